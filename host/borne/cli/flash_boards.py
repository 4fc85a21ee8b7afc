"""What `borne flash` does with the boards that it was given: find out, flash; flash_told tests and tells."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from borne import boards
from borne.boards import Board
from borne.errors import BorneError, SettingError
from borne.flashing import detect, flasher
from borne.flashing.esptool import Flashed
from borne.flashing.flasher import How, Job
from borne.flashing.node import Identity

_NAME_MOST: Final = 32


def flash(
    chosen: list[str],
    board: str | None,
    identity: Identity | None,
    how: How,
    *,
    self_test: bool,
    as_json: bool,
) -> None:
    """Flash the boards on these ports, and say what became of each. Raises the last one's error."""
    loaded = None if board is None else boards.load(board)
    if identity is not None and len(chosen) > 1:
        raise SettingError("name: one node's settings go to one board: give one --port")
    try:
        results = _flash(chosen, loaded, identity, how, ask=not as_json and len(chosen) == 1)
    except KeyboardInterrupt:
        print("borne: interrupted; a board is incomplete until it is flashed again", file=sys.stderr)
        raise
    # What talks to a node that runs, and draws tables, is loaded when there is something to ask and to tell.
    from borne.cli import flash_told

    flash_told.tell(chosen, results, flash_told.self_tests(results, loaded) if self_test else {}, as_json)


def _flash(
    chosen: list[str], board: Board | None, identity: Identity | None, how: How, *, ask: bool
) -> list[Flashed | BorneError]:
    kinds: list[Board | BorneError] = [board] * len(chosen) if board else _find(chosen, how.baud, ask)
    jobs = [
        Job(port, kind, identity) for port, kind in zip(chosen, kinds, strict=True) if isinstance(kind, Board)
    ]
    with _bars(chosen) as bars:
        tasks = {job.port: bars.add_task(short(job.port), total=1.0) for job in jobs}

        def follow(port: str, fraction: float) -> None:
            bars.update(tasks[port], completed=fraction)

        done = iter(flasher.flash_all(jobs, how, progress=follow))
    return [next(done) if isinstance(kind, Board) else kind for kind in kinds]


def _find(chosen: list[str], baud: int, ask: bool) -> list[Board | BorneError]:
    """The board on each port, or why it is not known; a question only in doubt, and only to somebody at a terminal."""

    def one(port: str) -> Board | BorneError:
        try:
            found = detect.find(port, baud)
            return _question(found) if found.board is None and ask and sys.stdin.isatty() else found.sure()
        except BorneError as error:
            return error

    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        return list(pool.map(one, chosen))


def _question(found: detect.Found) -> Board:
    typer.echo(found.doubt(), err=True)
    for number, name in enumerate(found.fitting, 1):
        typer.echo(f"  {number}  {name:24}{boards.load(name).title}", err=True)
    choice = 0
    while not 1 <= choice <= len(found.fitting):
        choice = typer.prompt("which one", type=int, err=True)
    return boards.load(found.fitting[choice - 1])


def short(port: str) -> str:
    """The end of a long name tells ports apart, and leaves room for the bar."""
    return port if len(port) <= _NAME_MOST else "…" + port[1 - _NAME_MOST :]


def _bars(chosen: list[str]) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
