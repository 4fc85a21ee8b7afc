"""Lists as Excel workbooks: the first sheet that is not empty."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Any, Final

from borne.errors import ListError
from borne.fleet.lists.sheet import Broken, Cell, Formula, Row, Sheet

# A sheet that was formatted to its last row has a million of empty ones; so many in a row end it.
_EMPTY_ROWS: Final = 1000


def read(source: str, raw: bytes) -> Sheet:
    """A Sheet out of the bytes of an .xlsx file. Raises ListError."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(io.BytesIO(raw), read_only=True, data_only=False)
        for sheet in book.worksheets:
            sheet.reset_dimensions()
            rows = sheet.iter_rows()
            header = next(rows, ())
            names = [str(cell.value).strip() if cell.value is not None else "" for cell in header]
            while names and not names[-1]:
                names.pop()
            if names:
                return Sheet(source, tuple(names), _rows(source, rows, len(names)), _note(book, sheet))
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, SyntaxError, OSError):
        # What the library raises for a damaged archive depends on where the damage lies.
        raise ListError(f"{source}: is no Excel workbook that can be read: save it anew as .xlsx") from None
    raise ListError(f"{source}: its first row is empty; it must name the columns")


def _note(book: Any, sheet: Any) -> str:
    return "" if len(book.worksheets) == 1 else f"read from its sheet {sheet.title!r}"


def _rows(source: str, rows: Iterator[Any], width: int) -> Iterator[Row]:
    empty = 0
    try:
        for number, cells in enumerate(rows, 2):
            values = [_value(cell) for cell in cells]
            row = _row(number, values, width)
            empty = empty + 1 if row.is_blank else 0
            if empty > _EMPTY_ROWS:
                return
            yield row
    except (zipfile.BadZipFile, KeyError, ValueError, SyntaxError, OSError):
        raise ListError(f"{source}: is damaged: save it anew as .xlsx") from None


def _row(number: int, values: list[Cell], width: int) -> Row:
    if any(value not in (None, "") for value in values[width:]):
        return Row(number, tuple(values), f"has a cell beyond the header's {width}")
    return Row(number, tuple(values[:width]) + (None,) * (width - len(values)))


def _value(cell: Any) -> Cell:
    value = cell.value
    kind = getattr(cell, "data_type", "n")
    if kind == "f":
        return Formula(str(value))
    if kind == "e":
        return Broken(f"holds Excel's error {value}")
    if isinstance(value, timedelta):
        return Broken("is a duration for Excel: format the cell as text and type it again")
    if value is None or isinstance(value, str | int | float | date | time):
        return value
    return Broken("is no text and no number")
