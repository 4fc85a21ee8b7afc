"""What became of the boards that `borne flash` was given: their self-tests, and what is said of them."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from borne import boards
from borne.boards import Board
from borne.cli.flash_boards import short
from borne.cli.self_test import table as checklist
from borne.errors import BorneError, DeviceError
from borne.flashing import selftest
from borne.flashing.esptool import Flashed
from borne.flashing.selftest import Check

Checks = dict[str, list[Check]]


def self_tests(results: Sequence[Flashed | BorneError], board: Board | None) -> Checks:
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


def tell(chosen: list[str], results: Sequence[Flashed | BorneError], checks: Checks, as_json: bool) -> None:
    """Say what became of each board, in the order given. Raises the last one's error."""
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
            table.add_row(short(port), "", "", "", "", str(result).removeprefix(f"{port}: "))
            continue
        bad = [one.name for one in checks.get(port, ()) if one.ok is False]
        tested = ("ok" if not bad else f"FAILED: {', '.join(bad)}") if port in checks else "-"
        table.add_row(short(port), result.board, result.mac, str(result.written), tested, "")
    return table
