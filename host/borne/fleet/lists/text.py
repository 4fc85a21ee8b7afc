"""Lists as separated text: any of the encodings and separators that spreadsheets write."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from borne.errors import ListError
from borne.fleet.lists.sheet import Row, Sheet

_SEPARATORS: Final = ";,\t|"
_NAMES: Final = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "bars"}
# What Windows, macOS and DOS wrote in western Europe before UTF-8, and what its languages use of it.
_OLD_ENCODINGS: Final = ("cp1252", "mac_roman", "cp850")
_USUAL: Final = frozenset("àâäçéèêëîïôöùûüÿœæÀÂÄÇÉÈÊËÎÏÔÖÙÛÜŒÆñáíóúãõßÁÍÓÚÑ°’«»–€²³½ªº\u00a0")
_BOMS: Final = {
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_SURE: Final = 0.9
# charset-normalizer looks at the whole of what it is given; this much tells as well.
_ENOUGH: Final = 1 << 18


def read(source: str, raw: bytes) -> Sheet:
    """A Sheet out of the bytes of a text file. Raises ListError."""
    text, encoding = _decode(source, raw)
    first = text.split("\n", 1)[0]
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        # Excel's own hint in the first line.
        separator, text = first[4], text.split("\n", 1)[1] if "\n" in text else ""
    else:
        separator = _separator(first)
    records = _records(source, text, separator)
    header = next(records, None)
    if header is None or not any(name.strip() for name in header):
        raise ListError(f"{source}: its first row is empty; it must name the columns")
    headers = tuple(name.strip() for name in header)
    note = "" if encoding.startswith("utf-8") else f"read as {encoding}"
    return Sheet(source, headers, _rows(records, len(headers), separator), note)


def _decode(source: str, raw: bytes) -> tuple[str, str]:
    encoding = next((name for bom, name in _BOMS.items() if raw.startswith(bom)), "utf-8")
    try:
        return raw.decode(encoding), encoding
    except UnicodeDecodeError:
        if encoding != "utf-8":
            raise ListError(f"{source}: begins as {encoding} and is not: save it as UTF-8") from None
    if b"\0" in raw[:_ENOUGH]:
        raise ListError(f"{source}: holds bytes that are no text: save it as .xlsx or as CSV in UTF-8")
    return _decode_old(source, raw)


def _decode_old(source: str, raw: bytes) -> tuple[str, str]:
    """Not Unicode. A street's name or two is too little for statistics, so the usual letters decide where they can."""
    telling = b"\n".join(line for line in raw.split(b"\n") if not line.isascii())[:_ENOUGH]
    encoding = max(_OLD_ENCODINGS, key=lambda one: _usual(telling, one))
    if _usual(telling, encoding) < _SURE:
        from charset_normalizer import from_bytes

        best = from_bytes(telling).best()
        encoding = best.encoding if best else ""
    try:
        return raw.decode(encoding), encoding
    except (UnicodeDecodeError, LookupError):
        raise ListError(f"{source}: its encoding is unknown: save it as UTF-8") from None


def _usual(raw: bytes, encoding: str) -> float:
    """The share of letters beyond ASCII that are usual ones."""
    beyond = [letter for letter in raw.decode(encoding, "replace") if letter > "\x7f"]
    return sum(letter in _USUAL for letter in beyond) / len(beyond)


def _separator(first: str) -> str:
    outside = "".join(first.split('"')[::2])
    return max(_SEPARATORS, key=outside.count)


def _records(source: str, text: str, separator: str) -> Iterator[list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise ListError(f"{source}: line {reader.line_num}: {_reason(str(error))}") from None


def _reason(said: str) -> str:
    if "unexpected end" in said:
        return "a quotation mark is opened and never closed"
    if "expected after" in said:
        return 'text follows a closing quotation mark; inside a cell it is written twice: ""'
    if "field larger" in said:
        return "a cell has more than 128 KB; is a quotation mark never closed?"
    return said


def _rows(records: Iterator[list[str]], width: int, separator: str) -> Iterator[Row]:
    for number, cells in enumerate(records, 2):
        extra = any(cell.strip() for cell in cells[width:])
        if len(cells) == 1 < width and cells[0].strip():
            yield Row(number, tuple(cells), _alone(cells[0], width, separator))
        elif extra or 0 < len(cells) < width:
            yield Row(number, tuple(cells), f"has {len(cells)} cells, the header has {width}")
        else:
            yield Row(number, tuple(cells[:width]))


def _alone(cell: str, width: int, separator: str) -> str:
    other = _separator(cell)
    if other != separator and cell.count(other):
        return f"is separated by {_NAMES[other]}, the header by {_NAMES[separator]}"
    return f"has 1 cell, the header has {width}"
