"""borne flash: make nodes of bare boards."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from borne import boards
from borne.boards import Board
from borne.errors import BorneError, PortError
from borne.flashing import esptool, flasher, ports
from borne.flashing.esptool import Flashed

_NAME_MOST = 32


def flash(
    board: Annotated[
        str, typer.Argument(help="A name out of `borne boards`, or one's own board file (.toml).")
    ],
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port", "-p", help="Device, socket://host:port or rfc2217://host:port; again for more boards."
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option("--image", help="MicroPython image, instead of the board's own from the cache."),
    ] = None,
    baud: Annotated[int, typer.Option("--baud", help="Speed of the line while flashing.")] = esptool.BAUD,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a board.")] = False,
) -> None:
    """Flash MicroPython and our firmware onto a board; its identity (NVS) is kept."""
    chosen = port or [_only_port()]
    loaded = boards.load(board)
    try:
        results = _flash(chosen, loaded, image, baud)
    except KeyboardInterrupt:
        print("borne: interrupted; a board is incomplete until it is flashed again", file=sys.stderr)
        raise
    for result in results:
        _tell(result, loaded.name, as_json)
    failed = [result for result in results if isinstance(result, BorneError)]
    if failed:
        # The last one is printed by the command line itself, with its exit code.
        for error in failed[:-1]:
            print(f"borne: {error}", file=sys.stderr)
        raise failed[-1]


def _flash(chosen: list[str], board: Board, image: Path | None, baud: int) -> list[Flashed | BorneError]:
    with _bars(chosen) as bars:
        tasks = {name: bars.add_task(_short(name), total=1.0) for name in chosen}

        def follow(port: str, fraction: float) -> None:
            bars.update(tasks[port], completed=fraction)

        jobs = [flasher.Job(name, board) for name in chosen]
        return flasher.flash_all(jobs, flasher.How(image, baud=baud), progress=follow)


def _only_port() -> str:
    there = list(ports.listed())
    if len(there) == 1:
        return there[0]
    if not there:
        raise PortError("no serial port; is the cable one that carries data? or give one with --port")
    raise PortError(f"several ports: say which with --port: {', '.join(there)}")


def _short(port: str) -> str:
    """The end of a long name tells ports apart, and leaves room for the bar."""
    return port if len(port) <= _NAME_MOST else "…" + port[1 - _NAME_MOST :]


def _bars(chosen: list[str]) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _tell(result: Flashed | BorneError, board: str, as_json: bool) -> None:
    if isinstance(result, BorneError):
        return
    if as_json:
        typer.echo(json.dumps({"board": board, **dataclasses.asdict(result)}))
    else:
        what = f"{result.chip}, MAC {result.mac}: {result.bytes} bytes written and verified"
        typer.echo(f"{result.port}: {what}; next: borne provision --port {result.port}")
