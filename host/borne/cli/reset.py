"""borne reset: start a node anew."""

from __future__ import annotations

from typing import Annotated

import typer

from borne.cli import attach
from borne.errors import UserError
from borne.flashing import entering


def reset(
    port: attach.Port,
    hard: Annotated[
        bool, typer.Option("--hard", help="By the control lines, as the RESET button does.")
    ] = False,
    soft: Annotated[bool, typer.Option("--soft", help="The program only; the chip goes on.")] = False,
    wait: attach.Wait = attach.WAIT_SECONDS,
) -> None:
    """Start a node anew: its chip over the REPL, unless told otherwise."""
    if hard and soft:
        raise UserError("reset: either --hard or --soft")
    if hard:
        entering.reset_by_lines(port)
    else:
        with attach.repl(port, wait) as opened:
            if soft:
                opened.soft_reset()
            else:
                opened.reset()
    typer.echo(f"{port}: started anew")
