"""Decoders for others, made of the table: JavaScript for network servers, the data dictionary, device repositories."""

from __future__ import annotations

import json
from importlib.resources import files

from borne.decoding.table import (
    FIRST_RESERVED_PORT,
    PORTS_A_VERSION,
    VERSION,
    Field,
    Layout,
    layouts,
)
from borne_node.report import history, schema

# What stands behind the core, for each server.
_WRAPPERS = {
    "tts": ("ts013", "tts"),
    "chirpstack": ("ts013",),
    "thingpark": ("ts013", "thingpark"),
    "liveobjects": ("liveobjects",),
}
SERVERS = tuple(_WRAPPERS)


def javascript(server: str) -> str:
    """The codec of one of SERVERS: ES5.1, without Date and locale, under the 40,960 bytes that The Things Stack
    takes.
    """
    parts = [_source("core"), *map(_source, _WRAPPERS[server])]
    text = "".join(parts)
    for name, value in _constants().items():
        text = text.replace(f"@{name}@", value)
    return text


def _source(name: str) -> str:
    return files("borne.decoding").joinpath("javascript", f"{name}.js").read_text(encoding="utf-8")


def _constants() -> dict[str, str]:
    model = (
        "TOP",
        "LOW",
        "RATE",
        "WIDEST",
        "MOST",
        "FOLLOWS",
        "GAP",
        "FIRST_SET",
        "SET",
        "CHANGED",
        "RESERVED",
    )
    more = ("WHICH", "MOVED", "DOWN", "HALF", "FAR", "LONGER")
    return {name: str(getattr(history, name)) for name in (*model, *more)} | {
        "COMMON": json.dumps(list(history.COMMON)),
        "VERSION": str(VERSION),
        "PORTS_A_VERSION": str(PORTS_A_VERSION),
        "FIRST_RESERVED_PORT": str(FIRST_RESERVED_PORT),
        "COMMAND": str(schema.COMMAND),
        "PORTS": "{\n" + ",\n".join(_port(layout) for layout in layouts().values()) + "\n}",
    }


def _port(layout: Layout) -> str:
    head = f"  // {layout.title}: {layout.size} bytes"
    if layout.window_bits:
        head += f", window index in the first {layout.window_bits} bits, windows of {layout.window_s} s"
    parts = [f"kind: {_js(layout.name)}", f"bytes: {layout.size}", f"windowBits: {layout.window_bits}"]
    if layout.has_history:
        sets = len({field.row for field in layout.fields})
        priors = [list(one) for one in history.PRIORS.get(layout.port, ())]
        parts.append(f"priors: {_js(priors + [[] for _ in range(sets - len(priors))])}")
    parts.append("fields: [\n" + _fields(layout.fields, "    ") + "\n  ]")
    if layout.variants:
        more = (
            f"    {code}: [" + ("\n" + _fields(f, "      ") + "\n    " if f else "") + "]"
            for code, f in layout.variants.items()
        )
        parts.append("variants: {\n" + ",\n".join(more) + "\n  }")
    return f"{head}\n  {layout.port}: {{ " + ", ".join(parts) + " }"


def _fields(fields: tuple[Field, ...], indent: str) -> str:
    rows = list(dict.fromkeys(field.row for field in fields))
    lines = []
    for n, field in enumerate(fields):
        comment = (
            f"{indent}// {field.text}" + (f", {field.unit}" if field.unit else "") + f"; bits {_bits(field)}"
        )
        lines.append(
            f"{comment}\n{indent}{_field(field, rows.index(field.row))}"
            + ("," if n + 1 < len(fields) else "")
        )
    return "\n".join(lines)


def _bits(field: Field) -> str:
    last = field.position + field.width - 1
    return f"{field.position} to {last}" if last > field.position else str(last)


def _field(field: Field, number: int) -> str:
    entry: dict[str, object] = {"name": field.name, "bits": field.width}
    if field.raw:
        entry["hex"] = True
    else:
        entry |= {"last": field.last}
        entry |= {"labels": field.labels} if field.labels else {"offset": field.offset, "step": field.step}
    entry |= {name: code for code, name in field.reserved.items()} | {"set": number}
    if field.row != field.name:
        entry["row"] = field.row
    return "{ " + ", ".join(f"{name}: {_js(value)}" for name, value in entry.items()) + " }"


def _js(value: object) -> str:
    return json.dumps(value)
