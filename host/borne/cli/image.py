"""borne image: a complete node as one file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from borne import boards
from borne.boards import Board
from borne.cli import node_options
from borne.errors import ImageError, SettingError, UserError
from borne.flashing import node
from borne.flashing.node import Identity

_OWNER_ONLY = 0o600
_EVERYBODY = 0o644


def image(
    board: Annotated[
        str, typer.Argument(help="A name out of `borne boards`, or one's own board file (.toml).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    image: Annotated[
        Path | None,
        typer.Option("--image", help="MicroPython image, instead of the board's own from the cache."),
    ] = None,
    kind: node_options.Kind = None,
    name: node_options.Name = None,
    settings: node_options.SettingsFile = None,
    pairs: node_options.Pairs = None,
    secrets_file: node_options.SecretsFile = None,
    asset: Annotated[
        str | None, typer.Option("--node", help="Make it the node of this asset, out of registry and vault.")
    ] = None,
    mac: Annotated[
        str | None, typer.Option("--mac", help="--node: reserve the board with this MAC, where none is yet.")
    ] = None,
    registry: Annotated[str | None, typer.Option(help="As for `borne fleet`.")] = None,
    vault: Annotated[Path | None, typer.Option(help="As for `borne fleet`.")] = None,
    vault_identity: Annotated[
        Path | None, typer.Option("--identity", help="As for `borne fleet vault`.")
    ] = None,
    who: Annotated[str | None, typer.Option(help="Store this name in the history.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
) -> None:
    """Make one file that holds a complete node: MicroPython, firmware, and settings and secrets where given.

    The same inputs give the same bytes. It is written to a blank board at offset 0, by esptool or any other flasher.
    """
    loaded = boards.load(board)
    notes: list[str] = []
    of_list = {"mac": mac, "registry": registry, "vault": vault, "identity": vault_identity, "who": who}
    if asset is None:
        _refuse(of_list, "goes with --node: give the asset whose node it shall be")
        identity = node_options.identity(kind, name, settings, pairs, secrets_file)
    else:
        by_hand = {"kind": kind, "name": name, "settings": settings, "set": pairs}
        _refuse(by_hand, "--node takes it from the list: leave it out, or change the list (borne fleet set)")
        _check_place(output)
        identity, notes = _of_list(asset, loaded, secrets_file, **of_list)
    whole = node.merge(node.regions(loaded, image, identity=identity))
    secret = identity is not None and bool(identity.secrets)
    write(output, whole, private=secret)
    digest = hashlib.sha256(whole).hexdigest()
    if secret:
        print(f"borne: {output} holds keys and passwords: keep it as you would keep them", file=sys.stderr)
    for note in notes:
        print(f"borne: {note}", file=sys.stderr)
    if as_json:
        result = {"board": loaded.name, "file": str(output), "bytes": len(whole), "sha256": digest}
        typer.echo(json.dumps({**result, "secrets": secret}))
        return
    typer.echo(f"{output}: {len(whole)} bytes, SHA-256 {digest}")
    typer.echo(f"onto a blank board: esptool --chip {loaded.chip} write-flash 0x0 {output}")


def _refuse(options: dict[str, Any], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise SettingError(f"--{name}: {why}")


def _check_place(output: Path) -> None:
    """Before a key is made for it."""
    if not output.parent.is_dir():
        raise ImageError(f"{output}: {os.strerror(errno.ENOENT)}")


def _of_list(asset: str, board: Board, secrets_file: Path | None, **where: Any) -> tuple[Identity, list[str]]:
    """The asset's node, and what somebody should know of its image."""
    try:
        from borne.cli import image_fleet
    except ModuleNotFoundError as error:
        raise UserError(f"image --node needs {error.name}: pip install 'borne[fleet]'") from None
    made = image_fleet.made(asset, board, secrets_file, **where)
    notes = [f"the image is for the board with MAC {made.mac} only"] if made.mac else []
    if made.was_on_air:
        notes.append(
            f"{asset} was on air: this image counts its DevNonces from 0, and the network refuses them until it "
            f"forgets the old ones; to keep the counters flash the board itself: borne provision {asset}"
        )
    return made.identity, notes


def write(path: Path, data: bytes, *, private: bool) -> None:
    """A file as a whole or not at all. `private`: readable by its owner only, from its first byte on."""
    partial = path.with_name(path.name + ".part")
    try:
        partial.unlink(missing_ok=True)
        mode = _OWNER_ONLY if private else _EVERYBODY
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ImageError(f"{path}: {error.strerror}") from None
