"""borne boards: which boards there are."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from borne import boards as library
from borne.boards import Board


def boards(as_json: Annotated[bool, typer.Option("--json", help="One JSON object a board.")] = False) -> None:
    """List the boards that borne knows, with chip, flash, radio and MicroPython image."""
    known = [library.load(name) for name in library.names()]
    if as_json:
        for board in known:
            typer.echo(
                json.dumps({"name": board.name, **board.model_dump(exclude={"name"}, exclude_none=True)})
            )
        return
    table = Table("board", "chip", "flash", "radio", "MicroPython", "what it is", box=None)
    for board in known:
        table.add_row(*_row(board))
    Console().print(table)


def _row(board: Board) -> tuple[str, ...]:
    radio = board.radio.chip.upper() if board.radio else "-"
    return board.name, board.silicon.title, f"{board.flash_mb} MB", radio, board.image_version, board.title
