"""Labels on paper: sheets and tapes as PDF, single labels as PNG or SVG. Vector all through: modules stay sharp."""

from __future__ import annotations

import io
from collections.abc import Iterable
from xml.sax.saxutils import escape

import pypdfium2  # type: ignore[import-untyped]
from fpdf import FPDF

from borne.errors import SettingError, UserError
from borne.fleet.labels.artwork import DOT_MM, Artwork, Text
from borne.fleet.labels.stock import Stock

_POINTS_A_MM = 72 / 25.4
_HAIRLINE_MM = 0.1


def pdf(
    labels: Iterable[Artwork],
    stock: Stock,
    *,
    start: int = 1,
    shift: tuple[float, float] = (0.0, 0.0),
    outline: bool = False,
) -> bytes:
    """Sheets, or a tape with one label a page.

    `start` is the first label of the first sheet that is still there, from 1, row by row. `shift` moves all by mm to
    the right and down, for a printer that is out of true. `outline` draws the labels' edges, to try on plain paper.
    Raises SettingError.
    """
    if not 1 <= start <= stock.count:
        raise SettingError(f"start: {start} is no label of {stock.name}, which has {stock.count} a sheet")
    page = FPDF(unit="mm", format=stock.page)
    page.set_auto_page_break(False)
    page.set_line_width(_HAIRLINE_MM)
    page.set_creator("borne")
    empty = True
    for number, label in enumerate(labels, start - 1):
        if number % stock.count == 0 or empty:
            page.add_page()
            empty = False
        x, y = stock.place(number % stock.count)
        _set(page, label, x + shift[0], y + shift[1], outline)
    if empty:
        raise UserError("labels: there is no node to print one for")
    return bytes(page.output())


def _set(page: FPDF, label: Artwork, x: float, y: float, outline: bool) -> None:
    if outline:
        page.rect(x, y, label.width, label.height)
    left, top = _on_dots(x + label.x), _on_dots(y + label.y)
    for column, row, width, height in label.bars():
        m = label.module
        page.rect(left + column * m, top + row * m, width * m, height * m, style="F")
    for text in label.texts:
        page.set_font(text.font, style=text.style, size=text.size * _POINTS_A_MM)
        page.text(x + text.x, y + text.y, text.text)


def _on_dots(position: float) -> float:
    return round(position / DOT_MM) * DOT_MM


def png(label: Artwork, stock: Stock, dpi: int = 300) -> bytes:
    """One label as a picture of its real size. Raises SettingError: a resolution that blurs the modules."""
    dots = label.module / 25.4 * dpi
    if dots < 2:
        raise SettingError(f"dpi: {dpi} gives {dots:.1f} dots a module; take 150 or more")
    alone = Stock(stock.name, stock.about, 0, 0, stock.width, stock.height, 0.0, 0.0, stock.edge)
    with pypdfium2.PdfDocument(pdf([label], alone)) as document:
        picture = document[0].render(scale=dpi / 72, no_smoothpath=True).to_pil().convert("L")
    out = io.BytesIO()
    picture.save(out, "PNG", dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def svg(label: Artwork) -> str:
    """One label as SVG, in mm."""
    m = label.module
    bars = "".join(
        f"M{column} {row}h{width}v{height}h-{width}z" for column, row, width, height in label.bars()
    )
    size = f'width="{label.width}mm" height="{label.height}mm" viewBox="0 0 {label.width} {label.height}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f'<rect width="{label.width}" height="{label.height}" fill="#fff"/>',
            f'<path transform="translate({label.x:.4f} {label.y:.4f}) scale({m:.6f})" '
            f'shape-rendering="crispEdges" d="{bars}"/>',
            *(_typeset(text) for text in label.texts),
            "</svg>\n",
        )
    )


_FAMILIES = {"Helvetica": "Helvetica, Arial, sans-serif", "Courier": "Courier New, Courier, monospace"}


def _typeset(text: Text) -> str:
    weight = ' font-weight="bold"' if text.style == "B" else ""
    return (
        f'<text x="{text.x:.3f}" y="{text.y:.3f}" font-size="{text.size:.3f}" '
        f'font-family="{_FAMILIES[text.font]}"{weight}>{escape(text.text)}</text>'
    )


def sheets_needed(count: int, stock: Stock, start: int = 1) -> int:
    """Pages that `count` labels take."""
    return -(-(count + start - 1) // stock.count)
