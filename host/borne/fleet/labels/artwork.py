"""One label as a drawing in mm: a QR code, and beside it what people read."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import segno
from fpdf import FPDF

from borne.errors import SettingError
from borne.fleet.labels import short, tr005
from borne.fleet.labels.stock import Stock
from borne.fleet.model import Node

# A dot of a 300 dpi label printer, which a module has to be a whole number of: else some are printed wider.
DOT_MM: Final = 25.4 / 300
QUIET: Final = 4  # modules, ISO/IEC 18004, 5.3.8
# Two pixels a module in a phone's 1080p picture (1,920 over 68 degrees) at 50 cm: an arm's length.
ARM_MM: Final = 0.75
_REACH: Final = 1920 / (2 * math.tan(math.radians(34))) / 2.1
# Three dots. Below that a thermal head's spread closes the gaps.
_LEAST_MM: Final = 3 * DOT_MM - 1e-9
_SMALLEST: Final = 1.35  # mm of type size, 3.8 points: the least that is legible at all
_COMFORTABLE: Final = 2.2  # mm, 6.2 points: what a number is set in before it is broken into lines
_LINE: Final = 1.18
# Of the size, in Helvetica and Courier: height of a capital, depth of a p.
_CAP: Final = 0.72
_DEPTH: Final = 0.22


@dataclass(frozen=True)
class Text:
    """A line of type; x and y of its base line and `size` in mm; font "Helvetica" or "Courier"; style "" or "B"."""

    x: float
    y: float
    size: float
    text: str
    font: str
    style: str


@dataclass(frozen=True)
class Artwork:
    """Everything in mm from the label's upper left corner. `error` is the QR code's error correction level."""

    width: float
    height: float
    code: str
    error: str
    module: float
    x: float
    y: float
    matrix: tuple[tuple[bool, ...], ...]
    texts: tuple[Text, ...]

    @property
    def reach_mm(self) -> float:
        """From how far a phone reads it without zoom."""
        return self.module * _REACH

    def bars(self) -> Iterator[tuple[float, float, float, float]]:
        """Dark rectangles of the QR code: column, row, width, height in modules; equal runs of rows are joined."""
        open_runs: dict[tuple[int, int], int] = {}
        for y, row in enumerate((*self.matrix, ())):
            runs = set(_runs(row))
            for run in [one for one in open_runs if one not in runs]:
                start = open_runs.pop(run)
                yield run[0], start, run[1], y - start
            for run in runs - open_runs.keys():
                open_runs[run] = y


def _runs(row: tuple[bool, ...]) -> Iterator[tuple[int, int]]:
    start = None
    for x, dark in enumerate((*row, False)):
        if dark and start is None:
            start = x
        elif not dark and start is not None:
            yield start, x - start
            start = None


def draw(node: Node, stock: Stock, profile_id: str = tr005.NO_PROFILE) -> Artwork:
    """A node's label. Raises SettingError: no DevEUI, a label too small for its code, letters that cannot be set."""
    # A long number can make a code too fine for a small label. People read it beside; the DevEUI has to be in it.
    for with_asset in (True, False):
        code = tr005.text_of(node, profile_id, with_asset=with_asset)
        error, matrix, module = _qr(code, min(stock.height, stock.width * 0.6), stock.edge)
        if module >= _LEAST_MM:
            break
    else:
        raise SettingError(
            f"{node.asset.asset}: a code of {len(matrix)} modules does not fit {stock.name}: take a larger label"
        )
    spare = (stock.height - len(matrix) * module) / 2
    x = min(spare, stock.edge + QUIET * module)
    left = x + (len(matrix) + QUIET) * module
    texts = _lines(node, stock, left, stock.width - stock.edge - left)
    return Artwork(stock.width, stock.height, code, error, module, x, spare, matrix, tuple(texts))


def _qr(code: str, side: float, edge: float) -> tuple[str, tuple[tuple[bool, ...], ...], float]:
    """Level, matrix and module for a square of `side` mm. The quiet zone is paper: it may lie in the edge.

    The highest level of error correction that leaves an arm's length; M otherwise, which mends 15 % and so a scratch
    or a splash across a label in the street. L is never taken.
    """
    for error in "HQM":
        matrix = segno.make(code, error=error, micro=False, boost_error=False).matrix
        room = min(side / (len(matrix) + 2 * QUIET), (side - 2 * edge) / len(matrix))
        module = math.floor(room / DOT_MM + 1e-9) * DOT_MM
        if module >= ARM_MM:
            break
    return error, tuple(tuple(bool(one) for one in row) for row in matrix), module


def _lines(node: Node, stock: Stock, x: float, width: float) -> Iterator[Text]:
    """The asset first, then the short code, then as much of the rest as there is room for; in the middle."""
    rows = _rows(node, stock, width, _COMFORTABLE) or _rows(node, stock, width, _SMALLEST)
    if not rows:
        raise SettingError(f"{node.asset.asset}: its number does not fit {stock.name}")
    height = sum(size for _, size, _, _ in rows) * _LINE
    y = (stock.height - height + rows[-1][1] * (_LINE - _CAP - _DEPTH)) / 2
    for line, size, font, style in rows:
        yield Text(x, y + size * _CAP, size, line, font, style)
        y += size * _LINE


def _rows(node: Node, stock: Stock, width: float, least: float) -> list[tuple[str, float, str, str]]:
    """Lines with size, font and style; none where what has to stand there does not fit with `least` mm of type."""
    room, height = stock.height - 2 * stock.edge, 0.0
    rows: list[tuple[str, float, str, str]] = []
    for text, largest, font, style, needed in _content(node):
        size = min(largest, stock.height * 0.3)
        text = _settable(text, needed)
        whole = needed or font == "Courier"
        fitted = list(_fit(text, size, font, style, width, least if needed else _SMALLEST, whole))
        taken = sum(size * _LINE for _, size in fitted)
        if height + taken - fitted[-1][1] * (_LINE - _CAP - _DEPTH) > room + 1e-6:
            return [] if needed else rows
        rows += [(line, size, font, style) for line, size in fitted]
        height += taken
    return rows


def _content(node: Node) -> Iterator[tuple[str, float, str, str, bool]]:
    asset = node.asset
    yield asset.asset, 6.5, "Helvetica", "B", True
    yield short.code(node), 5.0, "Courier", "B", True
    if node.dev_eui:
        yield node.dev_eui.upper(), 2.6, "Courier", "B", False
    elif node.name != asset.asset:
        yield node.name, 2.6, "Courier", "B", False
    yield " ".join(filter(None, (asset.kind, asset.profile))), 2.6, "Helvetica", "", False
    for text in (asset.street, asset.site):
        if text:
            yield text, 2.6, "Helvetica", "", False


def _fit(
    text: str, size: float, font: str, style: str, width: float, least: float, whole: bool
) -> Iterator[tuple[str, float]]:
    """The text in one line as large as it fits; below `least` in several, or not `whole`, with its end left off."""
    fitted = min(size, width / _width(text, font, style))
    if fitted >= least or len(text) < 2:
        yield text, fitted
    elif whole:
        for line in _broken(text, max(1, int(len(text) * fitted / least))):
            yield line, min(least, width / _width(line, font, style))
    else:
        while text and _width(text + "...", font, style) * least > width:
            text = text[:-1]
        yield text.rstrip() + "...", least


def _broken(text: str, most: int) -> Iterator[str]:
    """Pieces of at most `most` letters, which together are the text: behind a separator where one is near the end."""
    while len(text) > most:
        near = max(text.rfind(sign, most // 2, most) for sign in "-_/. ")
        cut = near + 1 if near >= 0 else most
        yield text[:cut]
        text = text[cut:]
    yield text


def _width(text: str, font: str, style: str) -> float:
    """Of a text set 1 mm large, in mm."""
    ruler = _ruler()
    ruler.set_font(font, style=style, size=72 / 25.4)
    return float(ruler.get_string_width(text)) or 1.0


@cache
def _ruler() -> FPDF:
    return FPDF(unit="mm")


def _settable(text: str, needed: bool) -> str:
    """The text in Latin-1, which is what PDF's own fonts have; accents that it lacks are left off."""
    plain = "".join(
        letter
        if ord(letter) < 256
        else unicodedata.normalize("NFKD", letter).encode("latin-1", "ignore").decode() or "?"
        for letter in text
        if letter.isprintable()
    )
    if needed and "?" in plain and "?" not in text:
        raise SettingError(f"{text}: a letter of it is not in Latin-1, which labels are set in")
    return plain
