"""A document as a list of blocks, and what becomes of it: Markdown, PDF, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import normalize

import segno
from fpdf import FPDF

from borne.errors import UserError

_SIZES = {1: 17, 2: 12, 3: 10.5}
_LINE = 1.35
_MM_A_POINT = 0.3528
_QR_MM = 34
_LETTERS = "cp1252"
# Latin letters whose stroke is no mark that Unicode takes apart.
_UNMARKED = str.maketrans("ĐđĦħıŁłŊŋŦŧ", "DdHhiLlNnTt")
_PAPERS_MM = {"A4": (210, 297), "A5": (148, 210)}  # ISO 216


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str
    strong: bool = False


@dataclass(frozen=True)
class Items:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """A QR code of `text`, which stands below it as well."""

    text: str


Block = Heading | Paragraph | Items | Grid | Code


def markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(map(_mark, blocks)) + "\n"


def _mark(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return f"**{block.text}**" if block.strong else block.text
    if isinstance(block, Items):
        return "\n".join(f"- {one}" for one in block.texts)
    if isinstance(block, Code):
        return f"<{block.text}>"
    rows = [block.head, ("---",) * len(block.head), *block.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def table_csv(grid: Grid) -> str:
    """RFC 4180, one line of names first."""
    out = io.StringIO()
    csv.writer(out).writerows([grid.head, *grid.rows])
    return out.getvalue()


def pdf(blocks: Sequence[Block], title: str, paper: str = "A4") -> bytes:
    """The same on paper, "A4" or "A5".

    The fonts that every PDF reader has know the letters of Windows-1252, so all of French; other Latin letters lose
    their marks. Raises UserError for what is no Latin letter.
    """
    page = FPDF(format=_PAPERS_MM[paper])
    page.core_fonts_encoding = _LETTERS
    page.set_title(_known(title))
    page.set_auto_page_break(True, margin=14)
    page.set_margin(14)
    page.add_page()
    scale = 0.86 if paper == "A5" else 1.0
    for block in blocks:
        _draw(page, block, scale)
    return bytes(page.output())


def _draw(page: FPDF, block: Block, scale: float) -> None:
    if isinstance(block, Heading):
        page.ln(1.5)
        _write(page, block.text, _SIZES[block.level] * scale, "B")
    elif isinstance(block, Paragraph):
        _write(page, block.text, 9.5 * scale, "B" if block.strong else "")
    elif isinstance(block, Items):
        for one in block.texts:
            _write(page, f"- {one}", 9.5 * scale)
    elif isinstance(block, Code):
        _code(page, block.text, scale)
    else:
        page.set_font("Helvetica", size=7.5 * scale)
        with page.table(line_height=4 * scale) as table:
            for row in (block.head, *block.rows):
                table.row([_known(cell) for cell in row])
    page.ln(1.5)


def _write(page: FPDF, text: str, size: float, style: str = "") -> None:
    page.set_font("Helvetica", style=style, size=size)
    page.multi_cell(0, size * _MM_A_POINT * _LINE, _known(text), new_x="LMARGIN", new_y="NEXT", align="L")


def _code(page: FPDF, text: str, scale: float) -> None:
    matrix = segno.make(text, error="m", micro=False).matrix
    side = _QR_MM * scale / len(matrix)
    if page.get_y() + _QR_MM > page.h - 20:
        page.add_page()
    left, top = page.get_x(), page.get_y()
    for y, row in enumerate(matrix):
        for x, dark in enumerate(row):
            if dark:
                page.rect(left + x * side, top + y * side, side, side, style="F")
    page.set_y(top + len(matrix) * side + 2)
    _write(page, text, 8 * scale)


def _known(text: str) -> str:
    """The text in letters that the built-in fonts have."""
    return "".join(one if _has(one) else _plain(one) for one in text)


def _has(letter: str) -> bool:
    return bool(letter.encode(_LETTERS, "ignore"))


def _plain(letter: str) -> str:
    found = "".join(one for one in normalize("NFKD", letter).translate(_UNMARKED) if _has(one))
    if not found:
        raise UserError(
            f"record: a PDF has no letter {letter!r} ({letter.encode('unicode_escape').decode()}): "
            "write names and addresses in Latin letters"
        )
    return found
