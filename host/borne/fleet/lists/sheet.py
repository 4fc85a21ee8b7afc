"""A list as it lies in its file: headers and rows of cells, whatever the form of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Final

from borne.errors import ListError


@dataclass(frozen=True)
class Formula:
    """A cell that computes its value, which a file need not hold."""

    text: str


@dataclass(frozen=True)
class Broken:
    """A cell or a row that cannot be what it should be, with the reason."""

    reason: str


Cell = str | int | float | bool | date | time | Formula | Broken | None


@dataclass(frozen=True)
class Row:
    """`number` as a spreadsheet counts, the header being row 1; in GeoJSON, the features from 1.

    `broken` says why the row as a whole cannot be read.
    """

    number: int
    cells: tuple[Cell, ...]
    broken: str = ""

    @property
    def is_blank(self) -> bool:
        return not self.broken and all(cell is None or cell == "" for cell in self.cells)


@dataclass(frozen=True)
class Problem:
    """Why a row is refused. `column` is the header as it stands in the list, empty for the row as a whole."""

    row: int
    column: str
    reason: str

    def __str__(self) -> str:
        where = f"row {self.row}, {self.column}" if self.column else f"row {self.row}"
        return f"{where}: {self.reason}"


@dataclass(frozen=True)
class Sheet:
    """`rows` can be gone through once. `note`: how the file was read, where that was not plain UTF-8."""

    source: str
    headers: tuple[str, ...]
    rows: Iterator[Row]
    note: str = ""


# Far above any town's; a file of gigabytes is a mistake and would fill the memory.
LARGEST_BYTES: Final = 256 << 20


def read(path: Path) -> Sheet:
    """A list out of a file, its form told by its ending, and by its first bytes. Raises ListError."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ListError(f"{path}: has more than {LARGEST_BYTES >> 20} MB: that is no list of assets")
        raw = path.read_bytes()
    except OSError as error:
        raise ListError(f"{path}: {error.strerror}") from None
    if not raw.strip(b"\0 \r\n\t\xef\xbb\xbf\xff\xfe"):
        raise ListError(f"{path}: is empty")
    ending = path.suffix.lower()
    if raw.startswith(b"PK\x03\x04"):
        from borne.fleet.lists import workbook

        return workbook.read(path.name, raw)
    if raw.startswith(b"\xd0\xcf\x11\xe0") or ending in (".ods", ".xls"):
        raise ListError(f"{path}: is no form that can be read: save it as .xlsx or .csv")
    if ending == ".xlsx":
        raise ListError(f"{path}: is no Excel workbook: save it anew as .xlsx")
    if ending in (".geojson", ".json"):
        from borne.fleet.lists import geojson

        return geojson.read(path.name, raw)
    from borne.fleet.lists import text

    return text.read(path.name, raw)
