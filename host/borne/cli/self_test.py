"""borne self-test: ask each part of a node whether it works."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from borne import boards
from borne.cli import attach
from borne.flashing import selftest
from borne.flashing.selftest import Check

_MARKS = {True: "[green]ok[/]", False: "[red]FAIL[/]", None: "-"}


def self_test(
    port: attach.Port,
    board: Annotated[
        str | None, typer.Option(help="The board that it should be: a name of `borne boards`, or a file.")
    ] = None,
    settings: Annotated[
        str | None,
        typer.Option(help="The settings that it should have: their hash, as provisioning told it."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Whose sensors to ask before it is provisioned: parking, light, fill.")
    ] = None,
    wait: attach.Wait = attach.WAIT_SECONDS,
    as_json: attach.Json = False,
) -> None:
    """Ask each part of a node whether it works: a checklist; exit code 1 when one does not. The node is restarted."""
    pins = boards.load(board) if board else None
    with attach.node(port, wait) as opened:
        checks = selftest.check(opened, pins=pins, settings=settings, kind=kind)
    if as_json:
        result = {"port": port, "passed": selftest.passed(checks)}
        typer.echo(json.dumps(result | {"checks": [dataclasses.asdict(one) for one in checks]}))
    else:
        Console().print(table(checks))
    if not selftest.passed(checks):
        raise typer.Exit(1)


def table(checks: list[Check]) -> Table:
    """The checklist, for whoever else prints one."""
    shown = Table(box=None, show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for one in checks:
        shown.add_row(_MARKS[one.ok], one.name, one.detail)
    return shown
