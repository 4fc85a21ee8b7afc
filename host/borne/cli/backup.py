"""borne backup: a node's memory into a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from borne.cli.waiting import waiting
from borne.errors import ImageError
from borne.flashing import restoring
from borne.flashing.chip import BAUD


def backup(
    port: Annotated[
        str, typer.Option("--port", "-p", help="Device, socket://host:port or rfc2217://host:port.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; it must not be there yet.")],
    baud: Annotated[
        int, typer.Option("--baud", help="Highest speed of the line to try.", min=9600, max=4_000_000)
    ] = BAUD,
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
) -> None:
    """Save a node's keys, settings, records and files, checked byte by byte. The file is readable by you only
    (0600).
    """
    if output.exists():
        raise ImageError(f"{output}: is there already; a backup replaces no file")
    if not output.parent.is_dir():
        raise ImageError(f"{output.parent}: there is no such folder")
    with waiting("reading the node"):
        memory = restoring.take(port, baud=baud)
        memory.save(output)
    if as_json:
        names = {"chip": memory.chip, "mac": memory.mac, "board": memory.board, "files": sorted(memory.files)}
        typer.echo(json.dumps({"port": port, "file": str(output), **names}))
        return
    typer.echo(f"{output}: {memory.board or 'node'}, MAC {memory.mac}: NVS and {len(memory.files)} files")
    typer.echo("it holds keys and passwords: keep it as you would keep them")
