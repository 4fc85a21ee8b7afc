"""borne fleet label: labels with QR codes for nodes, on sheets, on tape, or as pictures."""

from __future__ import annotations

import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from borne.cli.fleet import source
from borne.cli.fleet.options import RegistryOption, SiteOption
from borne.errors import SettingError, UserError
from borne.fleet import files
from borne.fleet.labels import artwork, notices, sheets, stock, tr005
from borne.fleet.model import Node
from borne.privacy.record.words import LANGUAGES

# mypy reads members of literals only.
_Format = StrEnum("_Format", {name: name for name in ("pdf", "png", "svg")})  # type: ignore[misc]
_Language = StrEnum("_Language", {name: name for name in LANGUAGES})  # type: ignore[misc]
_PDF, _ENGLISH = _Format("pdf"), _Language("en")
_STOCKS = ", ".join(stock.STOCKS)


def label(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File of the PDF; for png and svg a folder.")
    ],
    assets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ASSET]...", help="These only: asset, DevEUI or label code."),
    ] = None,
    site: SiteOption = None,
    stock_name: Annotated[str, typer.Option("--stock", help=f"What is printed on: {_STOCKS}.")] = "L7160",
    start: Annotated[int, typer.Option(help="First label of the first sheet that is still there.")] = 1,
    shift: Annotated[str, typer.Option(help="mm to the right and down, for the printer: 0.5,-1.")] = "0,0",
    outline: Annotated[
        bool, typer.Option("--outline", help="Draw the edges, to try on plain paper.")
    ] = False,
    kind: Annotated[_Format, typer.Option("--format", help="pdf, or one png or svg a label.")] = _PDF,
    dpi: Annotated[int, typer.Option(min=72, max=2400, help="png: dots an inch.")] = 300,
    profile_id: Annotated[
        str, typer.Option(help="TR005: VendorID and VendorProfileID, 8 digits, of those who have them.")
    ] = tr005.NO_PROFILE,
    notice: Annotated[
        bool, typer.Option("--notice", help="Beside the labels, the privacy notice of each profile (A5).")
    ] = False,
    facts: Annotated[Path | None, typer.Option(help="notice: TOML, as for borne privacy record.")] = None,
    language: Annotated[_Language, typer.Option("--lang", help="notice: en or fr.")] = _ENGLISH,
    nodes: Annotated[
        Path | None,
        typer.Option("--nodes", help="Nodes as JSON, one a line, instead of the registry's; - is stdin."),
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Print labels: a TR005 QR code, the asset's number, a short code to say on the telephone. Never a key."""
    found = source.chosen(source.read(nodes, registry), assets or (), site)
    # Whoever is named has to have one; of a whole site those are printed that are there.
    wanted = found if assets else [node for node in found if node.dev_eui or node.asset.link != "lorawan"]
    if not wanted:
        raise UserError("labels: there is no node to print one for: borne provision makes them")
    paper = stock.named(stock_name)
    drawn = [artwork.draw(node, paper, profile_id) for node in wanted]
    written: dict[Path, bytes] = {}
    if kind == "pdf":
        written[output] = sheets.pdf(drawn, paper, start=start, shift=_shift(shift), outline=outline)
    else:
        written |= _pictures(output, wanted, drawn, paper, str(kind), dpi)
    put_up: dict[Path, bytes] = {}
    if notice:
        folder = output.parent if kind == "pdf" else output
        made = notices.notices(wanted, str(language), _facts(facts))
        put_up = {folder / f"notice-{name}.{language}.pdf": data for name, data in made.items()}
    for path, data in (written | put_up).items():
        files.write(path, data)
    _tell(drawn, paper, start, kind == "pdf")
    if put_up:
        holes = "" if facts else "; who is responsible is left open in them: --facts"
        typer.echo(f"privacy notice: {', '.join(map(str, put_up))}{holes}", err=True)
    if len(wanted) < len(found):
        typer.echo(f"{len(found) - len(wanted)} assets have no node yet, and so no label", err=True)


def _pictures(
    folder: Path, nodes: list[Node], drawn: list[artwork.Artwork], paper: stock.Stock, kind: str, dpi: int
) -> dict[Path, bytes]:
    found: dict[Path, bytes] = {}
    for node, one in zip(nodes, drawn, strict=True):
        path = folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', node.asset.asset).lstrip('.') or '_'}.{kind}"
        if path in found:
            path = path.with_stem(f"{path.stem}-{node.dev_eui or len(found)}")
        found[path] = sheets.png(one, paper, dpi) if kind == "png" else sheets.svg(one).encode()
    return found


def _shift(given: str) -> tuple[float, float]:
    parts = given.split(",")
    try:
        right, down = float(parts[0]), float(parts[1])
    except (ValueError, IndexError):
        raise SettingError(f"shift: {given!r} is not two lengths in mm such as 0.5,-1") from None
    if len(parts) != 2 or not (abs(right) <= 20 and abs(down) <= 20):
        raise SettingError(f"shift: {given!r} is not two lengths of at most 20 mm")
    return right, down


def _facts(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    for name, value in found.items():
        if not isinstance(value, str):
            raise UserError(f"{path}: {name} is no text")
    return found


def _tell(drawn: list[artwork.Artwork], paper: stock.Stock, start: int, on_sheets: bool) -> None:
    least = min(drawn, key=lambda one: one.module)
    count = f"{len(drawn)} label{'s' if len(drawn) > 1 else ''}"
    where = ""
    if on_sheets and paper.columns:
        pages = sheets.sheets_needed(len(drawn), paper, start)
        following = (start - 1 + len(drawn)) % paper.count + 1
        where = f" on {pages} sheet{'s' if pages > 1 else ''}"
        where += f"; the last one goes on with --start {following}" if following > 1 else ""
    typer.echo(
        f"{count} {paper.name}{where}; QR modules of {least.module:.2f} mm, error correction {least.error}: "
        f"a phone reads them from {least.reach_mm / 10:.0f} cm",
        err=True,
    )
