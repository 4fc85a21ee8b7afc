"""borne fleet map: the fleet as a picture that works offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from borne.cli.fleet.options import (
    KindOption,
    NetworkOption,
    RegistryOption,
    SiteOption,
    StateOption,
    StreetOption,
)
from borne.cli.fleet.options import output as written
from borne.fleet.picture import page
from borne.fleet.registry import assets, nodes, open_registry


def map_(
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")],
    background: Annotated[
        Path | None, typer.Option(help="GeoJSON of streets or outlines, drawn below the points.")
    ] = None,
    site: SiteOption = None,
    kind: KindOption = None,
    state: StateOption = None,
    network: NetworkOption = None,
    street: StreetOption = None,
    registry: RegistryOption = None,
) -> None:
    """Draw the assets on one HTML page that fetches nothing; wheel and mouse zoom and move it."""
    wanted = assets.Filter(site, kind, state, network, street)
    with open_registry(registry, create=False).reading() as db:
        found = list(nodes.find(db, wanted))
    text = page(found, background)
    with written(output) as file:
        file.write(text)
    placed = text.count("<circle")
    more = (
        f"; {len(found) - placed} without latitude and longitude are not on it" if len(found) > placed else ""
    )
    typer.echo(f"{output}: {placed} assets{more}")
