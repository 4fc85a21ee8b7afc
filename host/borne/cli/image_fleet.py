"""borne image --node: out of registry and vault."""

from __future__ import annotations

from pathlib import Path

from borne.boards import Board
from borne.cli import node_options
from borne.cli.fleet.options import asking
from borne.fleet.imaging import Made, of_node
from borne.fleet.registry import Stamp, open_registry
from borne.fleet.vault import open_vault


def made(
    asset: str,
    board: Board,
    secrets_file: Path | None,
    *,
    mac: str | None,
    registry: str | None,
    vault: Path | None,
    identity: Path | None,
    who: str | None,
) -> Made:
    """The node, checked; somebody at a terminal is asked for the vault's passphrase where a key has to be read."""
    secrets = node_options.at_hand(secrets_file)
    opened = open_registry(registry, create=False)
    keys = open_vault(vault, who)
    return of_node(
        opened,
        keys,
        asset,
        board,
        mac=mac,
        secrets=secrets,
        unlock=lambda: keys.unlock(identity, asking()),
        stamp=Stamp(who=who),
    )
