"""borne fleet export: the registry as a list."""

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
    output,
)
from borne.fleet.exporting import write_csv
from borne.fleet.registry import assets, open_registry


def export(
    file: Annotated[Path | None, typer.Option("--output", "-o", help="File; stdout if not given.")] = None,
    site: SiteOption = None,
    kind: KindOption = None,
    state: StateOption = None,
    network: NetworkOption = None,
    street: StreetOption = None,
    registry: RegistryOption = None,
) -> None:
    """Write the assets as CSV (UTF-8), which `borne fleet import` takes back unchanged. Never a key."""
    wanted = assets.Filter(site, kind, state, network, street)
    with open_registry(registry, create=False).reading() as db, output(file) as out:
        count = write_csv(assets.find(db, wanted), out)
    if file is not None:
        typer.echo(f"{file}: {count:,} assets")
