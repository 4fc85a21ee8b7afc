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
_GREY = (95, 95, 95)
_COLOURS = {"good": (0, 98, 65), "warning": (176, 28, 28)}
_BAND_MM = 17


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str
    strong: bool = False


@dataclass(frozen=True)
class Banner:
    """What is to be seen from afar: a `title`, below it what is stated of it; `tone` is "good" or "warning"."""

    title: str
    text: str
    tone: str


@dataclass(frozen=True)
class Pair:
    """A label, and large below it what it stands for."""

    label: str
    text: str


@dataclass(frozen=True)
class Items:
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Grid:
    """`head` is empty where the first column names what stands beside it."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """A QR code of `text`, which stands below it as well."""

    text: str


Block = Heading | Paragraph | Banner | Pair | Items | Grid | Code


def markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(map(_mark, blocks)) + "\n"


def _mark(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return f"**{block.text}**" if block.strong else block.text
    if isinstance(block, Banner):
        return f"## {block.title}\n\n**{block.text}**"
    if isinstance(block, Pair):
        return f"**{block.label}**  \n{block.text}"
    if isinstance(block, Items):
        return "\n".join(f"- {one}" for one in block.texts)
    if isinstance(block, Code):
        return f"<{block.text}>"
    wide = len(block.rows[0])
    rows = [block.head or ("",) * wide, ("---",) * wide, *block.rows]
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
    elif isinstance(block, Banner):
        _band(page, block)
    elif isinstance(block, Pair):
        page.set_text_color(*_GREY)
        _write(page, block.label, 8)
        page.set_text_color(0)
        _write(page, block.text, 10.5)
        page.ln(1)
    elif isinstance(block, Items):
        for one in block.texts:
            _write(page, f"- {one}", 9.5 * scale)
    elif isinstance(block, Code):
        _code(page, block.text, scale)
    else:
        _table(page, block, scale)
    page.ln(1.5)


def _band(page: FPDF, band: Banner) -> None:
    page.ln(1.5)
    page.set_fill_color(*_COLOURS[band.tone])
    top = page.get_y()
    page.rect(0, top, page.w, _BAND_MM, style="F")
    page.set_text_color(255)
    page.set_y(top + 3)
    _write(page, band.title, 13, "B")
    _write(page, band.text, 10)
    page.set_text_color(0)
    page.set_fill_color(0)
    page.set_y(top + _BAND_MM + 2)


def _table(page: FPDF, grid: Grid, scale: float) -> None:
    page.set_font("Helvetica", size=7.5 * scale)
    # A first column of names needs less room than what they stand for.
    widths = None if grid.head else (1, *(3,) * (len(grid.rows[0]) - 1))
    with page.table(
        line_height=4 * scale, text_align="LEFT", col_widths=widths, first_row_as_headings=bool(grid.head)
    ) as table:
        for row in (grid.head, *grid.rows) if grid.head else grid.rows:
            table.row([_known(cell) for cell in row])


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
