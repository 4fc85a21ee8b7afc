"""borne logs: what went wrong on a node, or what it prints now."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer

from borne.cli import attach
from borne.flashing import bootlog, entering
from borne.flashing import info as library


def logs(
    port: attach.Port,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Show what it prints, from now on until Ctrl-C, without a word to it."
        ),
    ] = False,
    wait: attach.Wait = attach.WAIT_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the failed wakes and resets that a node wrote down, the last eight; or follow its console.

    Neither holds a secret or a value that was measured. Without --follow the node is interrupted and started again.
    """
    if follow:
        _follow(port, as_json)
        return
    with attach.node(port, wait) as opened:
        lines = library.log(opened)
    for line in lines:
        at = line.at.isoformat(timespec="seconds") if line.at else None
        typer.echo(
            json.dumps({"at": at, "text": line.text}) if as_json else f"{at or 'no clock':25}  {line.text}"
        )
    if not lines and not as_json:
        typer.echo(f"{port}: nothing went wrong", err=True)


def _follow(port: str, as_json: bool) -> None:
    try:
        for line in entering.listen(port):
            at = time.strftime("%H:%M:%S")
            found = bootlog.read(line)
            if as_json:
                typer.echo(json.dumps({"at": at, "text": line, "hints": [one.advice for one in found]}))
            else:
                typer.echo(f"{at}  {line}")
                for one in found:
                    typer.echo(f"          ^ {one.what}: {one.advice}")
            sys.stdout.flush()
    except KeyboardInterrupt:
        pass
