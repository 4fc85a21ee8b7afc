"""The node's table joined with its meanings: typed rows with bit positions, for every decoder and generator
of the host.

A row that stands in one half only is refused when the table is built, so the halves cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from borne_node.report import meaning as _meaning
from borne_node.report import schema as _schema

FieldRow = tuple[str, int, int, int, int, int, int]
PortRow = tuple[str, int, int, int, tuple[FieldRow, ...]]
Label = str | bool | None
Key = tuple[int | str, ...]

MARKS = ("suppressed", "overflow")
RAW: int = _schema.RAW
VERSION: int = _schema.VERSION
PORTS_A_VERSION: int = _schema.PORTS_A_VERSION
FIRST_RESERVED_PORT = 224  # LoRaWAN 1.0.4, section 4.3.2: applications have ports 1 to 223
FLAG: tuple[Label, ...] = _meaning.FLAG
_RESERVED = (
    (_schema.UNKNOWN_CODE, "unknown"),
    (_schema.SUPPRESSED_CODE, "suppressed"),
    (_schema.OVERFLOW_CODE, "overflow"),
)


@dataclass(frozen=True)
class Field:
    """One value of a report. `position` counts bits from the start of the frame, most significant first."""

    name: str
    row: str  # the name in the table; several fields of one row are numbered
    position: int
    width: int
    offset: int
    step: int
    last: int
    reserved: Mapping[int, str]  # code: "unknown", "suppressed" or "overflow"
    text: str
    unit: str | None
    labels: tuple[Label, ...] | None
    privacy: str
    mechanism: str | None
    epsilon: tuple[int, int] | None
    city: str | None
    divide: int

    @property
    def raw(self) -> bool:
        """Plain bytes, shown in hex."""
        return self.last == RAW

    @property
    def top(self) -> int:
        return (1 << self.width) - 1

    @property
    def is_flag(self) -> bool:
        return self.labels == FLAG

    @property
    def marks(self) -> dict[int, str]:
        """The reserved codes that withhold a value for a reason, which a column of its own must tell."""
        return {code: name for code, name in self.reserved.items() if name in MARKS}


@dataclass(frozen=True)
class Layout:
    """One kind of report. `variants` holds the fields that follow the first one, by its code."""

    port: int
    name: str
    window_s: int
    window_bits: int
    room: int
    size: int
    fields: tuple[Field, ...]
    variants: Mapping[int, tuple[Field, ...]]
    rows: tuple[FieldRow, ...]

    @property
    def version(self) -> int:
        return self.port // PORTS_A_VERSION + 1

    @property
    def title(self) -> str:
        """The kind, and its version where that is not the first."""
        return self.name if self.version == 1 else f"{self.name}, version {self.version}"

    @property
    def has_history(self) -> bool:
        return self.room > 0


def build(
    table: Mapping[int, PortRow],
    variants: Mapping[int, Mapping[int, tuple[FieldRow, ...]]],
    meanings: Mapping[Key, _meaning.Meaning],
) -> dict[int, Layout]:
    """Layouts by port. Raises ValueError where the two halves of the table do not match row by row."""
    unused = dict(meanings)
    layouts = {}
    for port in sorted(table):
        name, window_s, window_bits, room, rows = table[port]
        fields, end = _fields((port,), (), rows, window_bits, meanings, unused)
        following = {
            code: _fields((port,), (code,), more, end, meanings, unused)[0]
            for code, more in variants.get(port, {}).items()
        }
        if end % 8 or any((more[-1].position + more[-1].width) % 8 for more in following.values() if more):
            raise ValueError(f"port {port}: the fields do not fill whole bytes")
        layouts[port] = Layout(port, name, window_s, window_bits, room, end // 8, fields, following, rows)
    if unused:
        raise ValueError(f"meanings of fields that do not exist: {sorted(map(str, unused))}")
    return layouts


def _fields(
    before: tuple[int, ...],
    after: tuple[int, ...],
    rows: tuple[FieldRow, ...],
    position: int,
    meanings: Mapping[Key, _meaning.Meaning],
    unused: dict[Key, _meaning.Meaning],
) -> tuple[tuple[Field, ...], int]:
    fields = []
    for name, width, offset, step, last, reserved, count in rows:
        key: Key = (*before, name, *after)
        if key not in meanings:
            raise ValueError(f"field {key} has no meaning")
        unused.pop(key, None)
        means = meanings[key]
        if means.labels is not None and len(means.labels) != last + 1:
            raise ValueError(f"field {key} has {last + 1} codes and {len(means.labels)} labels")
        codes = {
            (1 << width) - 1 - below: text for below, (bit, text) in enumerate(_RESERVED) if reserved & bit
        }
        for n in range(count):
            shown = name if count == 1 else f"{name}_{n + 1}"
            fields.append(Field(shown, name, position, width, offset, step, last, codes, *means))
            position += width
    return tuple(fields), position


@cache
def layouts() -> Mapping[int, Layout]:
    """The layouts of this version, by port."""
    return build(_schema.TABLE, _schema.VARIANTS, _meaning.ROWS)


def fields_of(layout: Layout) -> tuple[Field, ...]:
    """The fields of a layout, those of all its variants included."""
    return layout.fields + tuple(field for more in layout.variants.values() for field in more)


def prefix(layout: Layout) -> str:
    """What the names of a kind's columns begin with in a table of mixed ports; its versions share them."""
    return layout.name.replace(" ", "_") + "_"
