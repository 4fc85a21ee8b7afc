"""borne boards: which boards there are, and how one is wired."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from borne import boards as library
from borne import wiring
from borne.boards import Board
from borne.wiring import Wire

boards = typer.Typer(add_completion=False, help="List the boards that borne knows, or show how one is wired.")

AsJson = Annotated[bool, typer.Option("--json", help="For machines: one JSON object a line.")]


@boards.callback(invoke_without_command=True)
def everything(context: typer.Context, as_json: AsJson = False) -> None:
    """List the boards that borne knows, with chip, flash, radio and MicroPython image."""
    if context.invoked_subcommand is not None:
        return
    known = [library.load(name) for name in library.names()]
    if as_json:
        for board in known:
            typer.echo(_json(board))
        return
    table = Table("board", "chip", "flash", "radio", "kinds", "what it is", box=None)
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    for board in known:
        table.add_row(*_row(board))
    Console().print(table)


@boards.command()
def show(
    board: Annotated[
        str, typer.Argument(help="A name out of `borne boards`, or one's own board file (.toml).")
    ],
    kind: Annotated[
        str | None, typer.Option("--kind", "-k", help="Wiring of a node: parking, light or fill.")
    ] = None,
    sensor: Annotated[
        list[str] | None,
        typer.Option("--sensor", "-s", help="This part only; with --kind, in place of the default."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what goes to which pin: all kinds that the board can be, or one kind, or single sensors."""
    loaded = library.load(board)
    wires = _wires(loaded, kind, sensor)
    if as_json:
        for wire in wires:
            typer.echo(json.dumps(wire._asdict()))
        return
    console = Console()
    console.print(f"[bold]{loaded.title}[/] ({loaded.name}): {_what(loaded)}", highlight=False)
    console.print(_drawn(wires))
    for note in wiring.notes(_names(loaded, kind, sensor)):
        console.print(note, highlight=False)
    for source in loaded.sources:
        console.print(f"source: {source}", style="dim", highlight=False, markup=False)


def _names(board: Board, kind: str | None, sensor: list[str] | None) -> tuple[str, ...]:
    named = tuple(name.lower() for name in sensor or ())
    if kind is not None:
        return wiring.parts(kind, named)
    return named or tuple(name for one in wiring.kinds(board) for name in wiring.KINDS[one])


def _wires(board: Board, kind: str | None, sensor: list[str] | None) -> list[Wire]:
    return wiring.of_radio(board) + wiring.of_parts(board, _names(board, kind, sensor))


def _drawn(wires: list[Wire]) -> Table:
    table = Table("part", "its pin", "board", "function", "", box=None, header_style="bold")
    part = ""
    for wire in wires:
        place = wire.function if wire.gpio is None else f"GPIO {wire.gpio}"
        function = "" if wire.gpio is None else wire.function
        table.add_row(wire.part if wire.part != part else "", wire.pin, place, function, wire.hint)
        part = wire.part
    return table


def _what(board: Board) -> str:
    radio = f", {board.radio.chip.upper()}" if board.radio else ", no LoRa radio"
    return (
        f"{board.silicon.title}, {board.flash_mb} MB of flash{radio}; {', '.join(wiring.kinds(board))} node"
    )


def _json(board: Board) -> str:
    content = board.model_dump(exclude={"name"}, exclude_none=True)
    return json.dumps({"name": board.name, **content, "kinds": wiring.kinds(board)})


def _row(board: Board) -> tuple[str, ...]:
    radio = board.radio.chip.upper() if board.radio else "-"
    able = wiring.kinds(board)
    kinds = "all" if len(able) == len(wiring.KINDS) else ", ".join(able)
    chip, flash = board.silicon.title, f"{board.flash_mb} MB"
    return board.name, chip, flash, radio, kinds, board.title
