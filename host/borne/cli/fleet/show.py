"""borne fleet show: everything that is known of one asset."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from borne.cli.fleet.list_ import row
from borne.cli.fleet.options import JsonOption, RegistryOption
from borne.fleet import wanted
from borne.fleet.registry import nodes, open_registry, sites, status
from borne.fleet.registry.pending import of_node


def show(
    asset: Annotated[str, typer.Argument(help="Number of the asset, as in the list.")],
    as_json: JsonOption = False,
    registry: RegistryOption = None,
) -> None:
    """Show an asset, its node, what was flashed, and its history. Never a key."""
    with open_registry(registry, create=False).reading() as db:
        one = nodes.get(db, asset)
        at = wanted.merged(one.asset, sites.get(db, one.asset.site))
        found: dict[str, Any] = row(dataclasses.replace(one, asset=at)) | {
            "settings": dict(one.asset.settings),
            "pending": list(of_node(db, one.id)) if one.id else [],
            "flashes": list(status.flashes_of(db, one.asset_id)),
            "history": list(status.history_of(db, one.asset_id)),
        }
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, value in found.items():
        if value not in (None, "", [], {}, False) and not isinstance(value, list):
            console.print(f"[dim]{name:<16}[/dim]{escape(_text(name, value))}")
    for line in found["pending"]:
        console.print(f"[dim]{'pending':<16}[/dim]{line['setting']} = {line['value']}, {line['state']}")
    console.print("[dim]history[/dim]")
    for line in found["history"]:
        who = f" ({line['who']})" if "who" in line else ""
        board = f"  [dim]{line['mac']}[/dim]" if line["mac"] else ""
        console.print(f"  {_clock(line['at'])}  {line['event']:<12} {escape(line['detail'] + who)}{board}")


def _text(name: str, value: Any) -> str:
    if name.endswith("_at"):
        return _clock(value)
    if name.endswith("_eui"):
        return str(value).upper()
    if isinstance(value, dict):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    return str(value)


def _clock(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
