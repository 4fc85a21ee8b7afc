"""The data dictionary: every bit of every frame in Markdown, made of the table."""

from __future__ import annotations

from collections.abc import Iterable

from borne.decoding.table import PORTS_A_VERSION, VERSION, Field, Layout, layouts

_HEAD = """# Data dictionary

Format version {version}. Made by `borne codec --for docs` from the report table; do not edit it by hand.

A frame is the window index (where the kind has windows), then the fields, bit-packed, most significant bit first; bit
0 is the first bit of the first byte. The fPort says kind and version: version *v* of port *n* (1 to {last}) travels on
port *n* + {step} x (*v* - 1). A decoder refuses ports, lengths and codes that it does not know; it never guesses.

**Windows.** The index counts windows since 1970-01-01 00:00 UTC and wraps. The window of a frame is the last one
before the frame was received whose index fits.

**Reserved codes** stand at the top of a field: all ones is *unknown*, one below *suppressed* (the privacy gate
withheld the value), two below *overflow* (outside what the field can say, on either side).

**Earlier windows.** Where a kind carries history, what follows the fields are the released values of the windows
before, newest first, coded as differences (`firmware/borne_node/report/history.py`). They repeat what was released
already and cost no privacy. A frame's length depends on kind, settings and data rate, never on a value.

**Privacy classes.** *thing*: about the node or the asset, no person's act shows in it. *statistic*: about people,
released by the gate with the mechanism named. *not anonymous*: shows single acts, sent after explicit opt-in only.
"""


def markdown() -> str:
    """The whole dictionary."""
    head = _HEAD.format(version=VERSION, last=PORTS_A_VERSION - 1, step=PORTS_A_VERSION)
    return "\n".join([head, _overview(), *map(_port, layouts().values())])


def _overview() -> str:
    rows = [
        (
            f"[{one.port}](#port-{one.port}-{one.title.replace(',', '').replace(' ', '-')})",
            one.title,
            f"{one.size} or more" if one.variants else str(one.size),
            _duration(one.window_s) if one.window_s else "none",
            _worst(one),
        )
        for one in layouts().values()
    ]
    return "## Ports\n\n" + _table(("port", "report", "bytes", "window", "privacy"), rows)


def _worst(layout: Layout) -> str:
    classes = {field.privacy for field in layout.fields}
    return next(one for one in ("not anonymous", "statistic", "thing") if one in classes)


def _port(layout: Layout) -> str:
    parts = [f"## Port {layout.port}: {layout.title}\n"]
    if layout.window_s:
        days = layout.window_s * (1 << layout.window_bits) / 86400
        parts.append(f"Windows of {_duration(layout.window_s)}; the index wraps after {days:.1f} days.")
    history = (
        f"Carries earlier windows, by MQTT in frames of {layout.room} bytes." if layout.has_history else ""
    )
    parts += [history] if history else []
    parts += [""] if layout.window_s else []
    parts.append(_fields([_window(layout)] if layout.window_bits else [], layout.fields))
    for code, more in layout.variants.items():
        label = (layout.fields[0].labels or ())[code]
        parts.append(f"### {label}\n\n" + (_fields([], more) if more else "Nothing follows.\n"))
    return "\n".join(parts)


_COLUMNS = ("bits", "field", "meaning", "unit", "codes", "privacy", "city model")


def _window(layout: Layout) -> tuple[str, ...]:
    top = (1 << layout.window_bits) - 1
    return (
        _span(0, layout.window_bits),
        "window",
        "index of the time window",
        "",
        f"0 to {top}",
        "thing",
        "",
    )


def _fields(before: list[tuple[str, ...]], fields: Iterable[Field]) -> str:
    return _table(_COLUMNS, before + [_row(field) for field in fields])


def _row(field: Field) -> tuple[str, ...]:
    privacy = field.privacy
    if field.mechanism and field.mechanism != "none":
        privacy += f": {field.mechanism}"
    if field.epsilon:
        over, under = field.epsilon
        privacy += f" (epsilon {over if under == 1 else f'{over}/{under}'})"
    city = (
        f"`{field.city}`" + (f" = value / {field.divide}" if field.divide != 1 else "") if field.city else ""
    )
    span = _span(field.position, field.width)
    return (span, f"`{field.name}`", field.text, field.unit or "", code_words(field), privacy, city)


def code_words(field: Field) -> str:
    """What the codes of a field stand for, in words."""
    if field.raw:
        return "bytes, shown in hex"
    parts = []
    if field.labels:
        words = (str(label).lower() for label in field.labels)
        parts = [f"{code}: {word}" for code, word in enumerate(words) if field.labels[code] is not None]
    else:
        low, high = field.offset, field.offset + field.step * field.last
        steps = f" in steps of {field.step}" if field.step != 1 else ""
        coded = "code" + (f" x {field.step}" if field.step != 1 else "")
        coded += f" {'-' if low < 0 else '+'} {abs(low)}" if low else ""
        parts = [f"{low} to {high}{steps}" + (f" (= {coded})" if coded != "code" else "")]
    parts += [f"{code}: {name}" for code, name in sorted(field.reserved.items())]
    used = field.last + 1 + len(field.reserved)
    return "; ".join(parts) + ("; others refused" if used <= field.top else "")


def _span(position: int, width: int) -> str:
    return str(position) if width == 1 else f"{position}-{position + width - 1}"


def _duration(seconds: int) -> str:
    for length, name in ((3600, "h"), (60, "min")):
        if seconds % length == 0:
            return f"{seconds // length} {name}"
    return f"{seconds} s"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(one) + " |" for one in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines) + "\n"
