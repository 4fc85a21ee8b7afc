"""borne restore: a backup back onto a node."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from borne.cli.waiting import waiting
from borne.flashing import backup, restoring
from borne.flashing.chip import BAUD


def restore(
    file: Annotated[Path, typer.Argument(help="What `borne backup` wrote.")],
    port: Annotated[
        str, typer.Option("--port", "-p", help="Device, socket://host:port or rfc2217://host:port.")
    ],
    onto_another: Annotated[
        bool, typer.Option("--onto-another", help="Onto another board than it was taken of.")
    ] = False,
    baud: Annotated[
        int, typer.Option("--baud", help="Highest speed of the line to try.", min=9600, max=4_000_000)
    ] = BAUD,
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
) -> None:
    """Give a flashed board the keys, settings, records and files of a backup, in place of all that it has."""
    # All of it is verified before the board is touched.
    memory = backup.load(file)
    with waiting("writing the node"):
        done = restoring.restore(port, memory, another=onto_another, baud=baud)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done)))
        return
    what = (
        f"{done.written} bytes written and verified"
        if done.written
        else "is like that already, nothing was written"
    )
    typer.echo(f"{port}: {done.chip}, MAC {done.mac}: {what}")
