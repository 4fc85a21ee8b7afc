"""borne doctor: why a board does not talk, and what to do."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console

from borne.cli import attach
from borne.cli.self_test import table
from borne.flashing import doctor as library


def doctor(
    port: Annotated[
        str | None,
        typer.Option("--port", "-p", help="Device, socket:// or rfc2217://; without: the computer only."),
    ] = None,
    as_json: attach.Json = False,
) -> None:
    """Look from the computer to the board for what is in the way, and say what to do. The board may be reset.

    Permissions, who has the port open, the USB bridge's driver, the boot log, the prompt. Exit code 1 when something
    is in the way.
    """
    checks = list(library.examine(port))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in checks]))
    else:
        Console().print(table(checks))
    if any(one.ok is False for one in checks):
        raise typer.Exit(1)
