"""borne fleet backup: registry and vault into one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from borne.cli.fleet.options import IdentityOption, RegistryOption, VaultOption
from borne.errors import VaultError
from borne.fleet import backup as library
from borne.fleet.registry import open_registry
from borne.fleet.vault import Vault, home, open_vault


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, .tar.gz.")],
    registry: RegistryOption = None,
    vault: VaultOption = None,
    identity: IdentityOption = None,
) -> None:
    """Write registry and vault into one file, and read it again before calling it done. Keys stay encrypted.

    Where the vault is unlocked each key is opened too, so that a damaged one is found while older backups have it.
    """
    there = (vault or home()).exists()
    opened = _opened(vault, identity) if there else None
    held = library.backup(open_registry(registry, create=False), opened, file)
    keys = f"{held.records} keys" if there else "no vault"
    tried = ", opened" if held.is_opened else ""
    typer.echo(
        f"{file}: {held.rows['assets']} assets, {held.rows['nodes']} nodes, {keys}; read back{tried} and compared"
    )
    if held.damaged:
        raise VaultError(
            f"{len(held.damaged)} of the keys cannot be opened, here and so in the backup: "
            f"{', '.join(held.damaged)}; an older backup may have them"
        )
    if there and not held.is_opened:
        print("borne: the vault is locked, so whether its keys open was not tried", file=sys.stderr)


def _opened(path: Path | None, identity: Path | None) -> Vault:
    opened = open_vault(path)
    try:
        opened.unlock(identity, None)
    except VaultError:
        if identity:
            raise
    return opened
