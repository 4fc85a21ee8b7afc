"""borne fleet restore: registry and vault out of a backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from borne.cli.fleet.options import RegistryOption, VaultOption
from borne.fleet import backup as library
from borne.fleet.registry import open_registry
from borne.fleet.vault import home


def restore(
    file: Annotated[Path, typer.Argument(help="What `borne fleet backup` wrote.")],
    registry: RegistryOption = None,
    vault: VaultOption = None,
) -> None:
    """Bring back registry and vault, into places that are empty; checked before, compared after."""
    # Before a registry is made that would stay empty.
    library.checked(file, vault or home())
    held = library.restore(file, open_registry(registry), vault or home())
    typer.echo(
        f"{file}: {held.rows['assets']} assets, {held.rows['nodes']} nodes, {held.records} keys restored and compared"
    )
