"""borne console: a terminal on a node."""

from __future__ import annotations

import typer

from borne.cli import attach
from borne.flashing import terminal


def console(port: attach.Port) -> None:
    """Connect this terminal with a node: its log and, after Ctrl-C, its prompt. Ctrl-D starts it anew."""
    typer.echo(f"{port}: Ctrl-C for the prompt, Ctrl-D there starts the node anew, Ctrl-] leaves", err=True)
    terminal.attach(port)
    typer.echo(f"\n{port}: left; the node goes on with what it does", err=True)
