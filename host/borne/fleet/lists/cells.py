"""What a cell says: from what people and spreadsheets write to the value that a field holds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, time
from functools import cache
from typing import Any, Final, Literal

from borne.boards import unknown
from borne.fleet.lists.columns import fold
from borne.fleet.lists.sheet import Broken, Cell, Formula
from borne_node import settings as node_settings

Form = Literal["whole", "flag", "list", "text"]

# An asset's number stands on labels and in topics; a street in the settings file (borne_node.settings, `place`).
_ASSET_BYTES: Final = 40
_TEXT_BYTES: Final = 120
_DEGREES: Final = {"latitude": 90, "longitude": 180}
_NUMBER: Final = re.compile(r"[+-]?\d+([.,]\d+)?")
_KINDS: Final[Mapping[str, str]] = {
    "parking": "parking, parking bay, parking spot, stationnement, place, place de parking, place de stationnement",
    "light": "light, street light, streetlight, lamp, lamp post, luminaire, lampadaire, candelabre, eclairage, "
    "point lumineux, eclairage public",
    "fill": "fill, bin, container, waste, waste container, remplissage, conteneur, benne, bac, poubelle, corbeille, "
    "colonne, borne d apport volontaire",
}
_LINKS: Final[Mapping[str, str]] = {"lorawan": "lorawan, lora, lora wan", "wifi": "wifi, wi fi, wlan"}
_FLAGS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "yes", "oui", "vrai", "1", "x"), True),
    **dict.fromkeys(("false", "no", "non", "faux", "0"), False),
}
# Spreadsheets run what begins with these (OWASP, "CSV Injection"); an apostrophe before it makes it text.
_ACTIVE: Final = ("=", "+", "-", "@", "\t", "\r", "'")


class CellError(ValueError):
    """Why a cell cannot be what its column holds."""


def value(field: str, cell: Cell) -> Any:
    """The value of a cell in the column of `field`, None for an empty one. Raises CellError."""
    if isinstance(cell, Formula):
        raise CellError(f"is a formula ({_short(cell.text)}): copy the column and paste it as values")
    if isinstance(cell, Broken):
        raise CellError(cell.reason)
    if isinstance(cell, date | time):
        raise CellError(f"is a date for Excel ({cell}): format the column as text and type it again")
    if isinstance(cell, str):
        cell = _clean(cell)
    if cell is None or cell == "":
        return None
    if field in _DEGREES:
        return _degrees(field, cell)
    if field in _OWN:
        return _OWN[field](cell)
    return _SETTING[form(field)](cell)


def _clean(text: str) -> str:
    text = text.strip().strip("\ufeff\u00a0\u200b").strip()
    if text.startswith("="):
        raise CellError(f"is a formula ({_short(text)}): copy the column and paste it as values")
    if text.startswith("'") and text[1:2] in _ACTIVE:
        text = text[1:]
    if text.isascii():
        if not text.isprintable():
            raise CellError("holds a control character or a line break")
        return text
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        raise CellError("holds a control character or a line break")
    meant = _unspoilt(text)
    if meant is not None:
        raise CellError(f"was once read in the wrong encoding: {_short(text)!r} should be {_short(meant)!r}")
    return unicodedata.normalize("NFC", text)


def _unspoilt(text: str) -> str | None:
    """UTF-8 that was read as Windows-1252 ('RÃ©publique'), as it was meant; None for what is no such thing."""
    if "�" in text:
        return text.replace("�", "?")
    if not any("À" <= letter <= "ô" for letter in text):
        return None
    try:
        return text.encode("cp1252").decode("utf-8")
    except UnicodeError:
        return None


def escaped(text: str) -> str:
    """A text as it is written into a CSV file, so that a spreadsheet runs nothing; `value` takes it back."""
    return "'" + text if text.startswith(_ACTIVE) else text


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _text(cell: Cell, most: int) -> str:
    if isinstance(cell, bool):
        raise CellError("is true or false instead of a text: format the column as text")
    if isinstance(cell, float):
        if not cell.is_integer():
            raise CellError(f"is the number {cell:g} for Excel: format the column as text and type it again")
        cell = int(cell)
    text = str(cell)
    if len(text.encode()) > most:
        raise CellError(f"is longer than {most} bytes: {_short(text)!r}")
    return text


def _asset(cell: Cell) -> str:
    text = _text(cell, _ASSET_BYTES)
    if not any(letter.isalnum() for letter in text):
        raise CellError(f"{text!r} is no number of an asset")
    return text


def _one_of(words: Mapping[str, str]) -> Callable[[Cell], str]:
    known = {word: meant for meant, all_words in words.items() for word in all_words.split(", ")}

    def parse(cell: Cell) -> str:
        text = _text(cell, _TEXT_BYTES)
        if fold(text) not in known:
            raise CellError(unknown(text, words))
        return known[fold(text)]

    return parse


def _degrees(field: str, cell: Cell) -> float:
    most = _DEGREES[field]
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise CellError("is no number of degrees")
    if isinstance(cell, str):
        if not _NUMBER.fullmatch(cell):
            raise CellError(
                f"{_short(cell)!r} is no number of degrees such as {'48.85661' if most == 90 else '2.35222'}"
            )
        cell = float(cell.replace(",", "."))
    if not -most <= cell <= most:
        # Also a place in metres of a national grid, and a NaN.
        raise CellError(f"{cell:g} lies outside -{most} to {most} degrees (WGS 84)")
    return float(cell)


def _whole(cell: Cell) -> int | str:
    if isinstance(cell, str):
        if not _NUMBER.fullmatch(cell):
            raise CellError(f"{_short(cell)!r} is no whole number; leave the unit and spaces out")
        cell = float(cell.replace(",", "."))
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not float(cell).is_integer():
        raise CellError(f"{cell} is no whole number")
    if abs(cell) > 2**31:
        raise CellError(f"{cell:g} is out of all proportion")
    return int(cell)


def _flag(cell: Cell) -> bool:
    if isinstance(cell, bool):
        return cell
    if fold(str(cell)) not in _FLAGS:
        raise CellError(f"{_short(str(cell))!r} is neither yes nor no")
    return _FLAGS[fold(str(cell))]


def _list(cell: Cell) -> list[int]:
    if isinstance(cell, float) and not cell.is_integer():
        raise CellError(f"is the number {cell:g} for Excel: format the column as text and type 2,5 again")
    if isinstance(cell, bool):
        raise CellError("is true or false instead of a list such as 2,5")
    parts = [
        part for part in re.split(r"[,;\s]+", str(int(cell) if isinstance(cell, float) else cell)) if part
    ]
    if any(not part.isascii() or not part.isdigit() or len(part) > 4 for part in parts):
        raise CellError(f"{_short(str(cell))!r} is no list of numbers such as 2,5")
    return sorted({int(part) for part in parts})


_SHORT_TEXT: Final[Callable[[Cell], str]] = lambda cell: _text(cell, _TEXT_BYTES)  # noqa: E731
_OWN: Final[Mapping[str, Callable[[Cell], Any]]] = {
    "asset": _asset,
    "kind": _one_of(_KINDS),
    "link": _one_of(_LINKS),
    "profile": lambda cell: _SHORT_TEXT(cell).lower(),
    "region": lambda cell: _SHORT_TEXT(cell).upper(),
    **dict.fromkeys(("board", "network", "site", "street"), _SHORT_TEXT),
}
_SETTING: Final[Mapping[Form, Callable[[Cell], Any]]] = {
    "whole": _whole,
    "flag": _flag,
    "list": _list,
    "text": _SHORT_TEXT,
}
# One of them lies in any range whose end is at least 1.5 times its begin.
_TRIAL: Final = tuple(count << turn for turn in range(20) for count in (2, 3))


@cache
def form(setting: str) -> Form:
    """What values a setting of the node takes, found by asking the node's own check of it."""
    check = next((row[1] for row in node_settings._ROWS if row[0] == setting), None)
    if check is None:
        return "text"
    if not check(True):
        return "flag"
    if not check([]):
        return "list"
    return "whole" if any(not check(number) for number in _TRIAL) else "text"
