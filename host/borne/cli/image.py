"""borne image: a complete node as one file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from borne import boards
from borne.cli import node_options
from borne.errors import ImageError
from borne.flashing import node

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
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
) -> None:
    """Make one file that holds a complete node: MicroPython, firmware, and settings and secrets where given.

    The same inputs give the same bytes. It is written to a blank board at offset 0, by esptool or any other flasher.
    """
    loaded = boards.load(board)
    identity = node_options.identity(kind, name, settings, pairs, secrets_file)
    whole = node.merge(node.regions(loaded, image, identity=identity))
    secret = identity is not None and bool(identity.secrets)
    write(output, whole, private=secret)
    digest = hashlib.sha256(whole).hexdigest()
    if secret:
        print(f"borne: {output} holds keys and passwords: keep it as you would keep them", file=sys.stderr)
    if as_json:
        result = {"board": loaded.name, "file": str(output), "bytes": len(whole), "sha256": digest}
        typer.echo(json.dumps({**result, "secrets": secret}))
        return
    typer.echo(f"{output}: {len(whole)} bytes, SHA-256 {digest}")
    typer.echo(f"onto a blank board: esptool --chip {loaded.chip} write-flash 0x0 {output}")


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
