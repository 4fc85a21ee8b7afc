"""borne fleet backup: registry and vault into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from borne.cli.fleet.options import RegistryOption, VaultOption
from borne.fleet import backup as library
from borne.fleet.registry import open_registry
from borne.fleet.vault import home, open_vault


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, .tar.gz.")],
    registry: RegistryOption = None,
    vault: VaultOption = None,
) -> None:
    """Write registry and vault into one file, and read it again before calling it done. Keys stay encrypted."""
    there = (vault or home()).exists()
    held = library.backup(open_registry(registry, create=False), open_vault(vault) if there else None, file)
    records = f"{held.records} keys" if there else "no vault"
    typer.echo(
        f"{file}: {held.rows['assets']} assets, {held.rows['nodes']} nodes, {records}; read back and compared"
    )
