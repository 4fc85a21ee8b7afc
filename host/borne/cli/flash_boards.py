"""What `borne flash` does with the boards that it was given: find out, flash, test, tell."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from borne import boards
from borne.boards import Board
from borne.cli.self_test import table as checklist
from borne.errors import BorneError, DeviceError, SettingError
from borne.flashing import detect, flasher, selftest
from borne.flashing.esptool import Flashed
from borne.flashing.flasher import How, Job
from borne.flashing.node import Identity
from borne.flashing.selftest import Check

_NAME_MOST: Final = 32

Checks = dict[str, list[Check]]


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
    checks = _self_tests(results, loaded) if self_test else {}
    _tell(chosen, results, checks, as_json)


def _flash(
    chosen: list[str], board: Board | None, identity: Identity | None, how: How, *, ask: bool
) -> list[Flashed | BorneError]:
    kinds: list[Board | BorneError] = [board] * len(chosen) if board else _find(chosen, how.baud, ask)
    jobs = [
        Job(port, kind, identity) for port, kind in zip(chosen, kinds, strict=True) if isinstance(kind, Board)
    ]
    with _bars(chosen) as bars:
        tasks = {job.port: bars.add_task(_short(job.port), total=1.0) for job in jobs}

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


def _self_tests(results: Sequence[Flashed | BorneError], board: Board | None) -> Checks:
    """Port to checks, for the boards that were flashed, all at once."""

    def one(done: Flashed) -> list[Check]:
        try:
            return selftest.check(
                done.port, pins=board or boards.load(done.board), settings=done.settings or None
            )
        except BorneError as error:
            return [Check("self-test", False, str(error).removeprefix(f"{done.port}: "))]

    flashed = [done for done in results if isinstance(done, Flashed)]
    with ThreadPoolExecutor(max(1, len(flashed))) as pool:
        return dict(zip([done.port for done in flashed], pool.map(one, flashed), strict=True))


def _tell(chosen: list[str], results: Sequence[Flashed | BorneError], checks: Checks, as_json: bool) -> None:
    for port, result in zip(chosen, results, strict=True):
        if as_json:
            typer.echo(json.dumps(_record(port, result, checks.get(port))))
        elif isinstance(result, Flashed):
            _say(result, checks.get(port, []))
    if len(chosen) > 1 and not as_json:
        Console().print(_summary(chosen, results, checks))
    failed = [result for result in results if isinstance(result, BorneError)]
    # The last one is printed by the command line itself, with its exit code.
    for error in failed[:-1]:
        print(f"borne: {error}", file=sys.stderr)
    if failed:
        raise failed[-1]
    if not all(selftest.passed(some) for some in checks.values()):
        raise DeviceError("flashed, but the self-test found what is listed above")


def _record(port: str, result: Flashed | BorneError, checks: list[Check] | None) -> dict[str, Any]:
    if isinstance(result, BorneError):
        return {"port": port, "ok": False, "error": str(result)}
    ok = selftest.passed(checks or [])
    record = {**dataclasses.asdict(result), "ok": ok, "provisioned": result.provisioned}
    if checks is not None:
        record["checks"] = [dataclasses.asdict(one) for one in checks]
    return record


def _say(done: Flashed, checks: list[Check]) -> None:
    what = f"{done.chip} {done.revision}, {done.flash_mb} MB of flash, MAC {done.mac}"
    if done.written:
        typer.echo(f"{done.port}: {what}: {done.written} bytes written and verified")
    else:
        typer.echo(f"{done.port}: {what}: is complete already, nothing was written")
    if done.kept:
        typer.echo(f"  kept: {', '.join(done.kept)}")
    for note in done.notes:
        typer.echo(f"  note: {note}")
    if checks:
        Console().print(checklist(checks))
    if not done.provisioned:
        typer.echo(f"  next: borne provision --port {done.port}")


def _summary(chosen: list[str], results: Sequence[Flashed | BorneError], checks: Checks) -> Table:
    table = Table("port", "board", "MAC", "written", "self-test", "", box=None, header_style="bold")
    for port, result in zip(chosen, results, strict=True):
        if isinstance(result, BorneError):
            table.add_row(_short(port), "", "", "", "", str(result).removeprefix(f"{port}: "))
            continue
        bad = [one.name for one in checks.get(port, ()) if one.ok is False]
        tested = ("ok" if not bad else f"FAILED: {', '.join(bad)}") if port in checks else "-"
        table.add_row(_short(port), result.board, result.mac, str(result.written), tested, "")
    return table


def _short(port: str) -> str:
    """The end of a long name tells ports apart, and leaves room for the bar."""
    return port if len(port) <= _NAME_MOST else "…" + port[1 - _NAME_MOST :]


def _bars(chosen: list[str]) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
