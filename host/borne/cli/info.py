"""borne info: what a node is and how it fares."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from borne.cli import attach
from borne.flashing import info as library

_SIZES = ("heap", "flash")


def info(port: attach.Port, wait: attach.Wait = attach.WAIT_SECONDS, as_json: attach.Json = False) -> None:
    """Show a node's versions, settings (no secrets), counters, free heap and flash. It is restarted afterwards."""
    with attach.node(port, wait) as opened:
        found = library.info(opened)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        Console().print(_table(found))


def _table(found: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    settings = found.get("settings") or {}
    for name, value in found.items():
        if name in _SIZES or name == "settings":
            continue
        table.add_row(name.replace("_", " "), _text(name, value, found))
    for name in sorted(settings):
        table.add_row(f"settings.{name}", str(settings[name]))
    if "settings" in found and not settings:
        table.add_row("settings", "none: not provisioned")
    return table


def _text(name: str, value: Any, found: dict[str, Any]) -> str:
    if value is None:
        return "-"
    if name in ("free_heap", "free_flash"):
        return f"{value:,} of {found[name.removeprefix('free_')]:,} bytes"
    return str(value)
