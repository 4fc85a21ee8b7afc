"""borne virtual-board: a board to try everything on, without a board."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from borne import boards
from borne.virtual import desk


def virtual_board(
    board: Annotated[
        str, typer.Argument(help="A board of `borne boards`, or a board file.")
    ] = "esp32-devkitc",
    kind: Annotated[
        str | None, typer.Option(help="Attach the sensors of this kind: parking, light, fill.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where its flash is kept.")] = None,
    speed: Annotated[float, typer.Option(help="Let its time run so many times as fast.")] = 1.0,
) -> None:
    """Run a virtual board until Ctrl-C; flash it, open its REPL, let it measure. It prints its port."""
    with desk.place(boards.load(board), kind, folder, speed=speed) as running:
        running.power_on()
        typer.echo(running.port)
        typer.echo(
            f"{board}: flash in {running.flash.path}, "
            f"Wi-Fi network {next(iter(desk.ACCESS_POINTS))!r} without password, Ctrl-C ends it",
            err=True,
        )
        threading.Event().wait()
