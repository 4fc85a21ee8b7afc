"""borne fleet status: how far the fleet is."""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import time
from typing import Annotated

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from borne.cli.fleet.options import JsonOption, KindOption, NetworkOption, RegistryOption, SiteOption, console
from borne.fleet.registry import assets, open_registry
from borne.fleet.registry.nodes import STATES
from borne.fleet.registry.status import Count, counts, pending_settings

_DAY_S = 86400


def status(
    site: SiteOption = None,
    kind: KindOption = None,
    network: NetworkOption = None,
    silent_days: Annotated[
        float, typer.Option(help="A node that was not heard for so long is silent.")
    ] = 3.0,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV, a line a site, kind and state.")] = False,
    as_json: JsonOption = False,
    registry: RegistryOption = None,
) -> None:
    """Count the assets by site and by how far their nodes are."""
    since = int(time.time() - silent_days * _DAY_S)
    with open_registry(registry, create=False).reading() as db:
        found = counts(db, assets.Filter(site=site, kind=kind, network=network), since)
        waiting = pending_settings(db)
    if as_json:
        rows = [dataclasses.asdict(one) for one in found]
        typer.echo(json.dumps({"counts": rows, "pending_settings": waiting}, ensure_ascii=False))
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(field.name for field in dataclasses.fields(Count))
        writer.writerows(dataclasses.astuple(one) for one in found)
    else:
        console().print(_table(found))
        if waiting:
            typer.echo(f"{waiting} settings wait for their node to confirm them")


def _table(found: list[Count]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = ("site", "kind", *STATES[:-1], "all", "changed", "silent")
    for name in shown:
        table.add_column(name, justify="left" if name in ("site", "kind") else "right")
    lines: dict[tuple[str, str], list[Count]] = {}
    for one in found:
        lines.setdefault((one.site or "", one.kind), []).append(one)
    for (where, kind), group in lines.items():
        table.add_row(escape(where), kind, *_cells(group))
    if len(lines) > 1:
        table.add_section()
        table.add_row("all", "", *_cells(found))
    return table


def _cells(group: list[Count]) -> list[str]:
    states = [sum(one.assets for one in group if one.state == state) for state in STATES[:-1]]
    more = (
        sum(one.assets for one in group),
        sum(one.outdated for one in group),
        sum(one.silent for one in group),
    )
    return [f"{number:,}" if number else "·" for number in (*states, *more)]
