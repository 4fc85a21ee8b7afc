"""borne fleet list: assets with their nodes."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich import box
from rich.markup import escape
from rich.table import Table

from borne.cli.fleet.options import (
    JsonOption,
    KindOption,
    NetworkOption,
    RegistryOption,
    SiteOption,
    StateOption,
    StreetOption,
    console,
)
from borne.fleet import wanted
from borne.fleet.registry import assets, open_registry
from borne.fleet.registry.nodes import Standing

COLUMNS = (
    *(
        "asset",
        "kind",
        "profile",
        "site",
        "street",
        "latitude",
        "longitude",
        "board",
        "link",
        "region",
        "network",
    ),
    *("state", "outdated", "node", "mac", "dev_eui", "join_eui", "firmware", "settings_hash"),
    *("provisioned_at", "joined_at", "seen_at", "rssi", "snr"),
)
_SHOWN = ("asset", "kind", "site", "street", "state", "dev_eui", "firmware")


def list_(
    site: SiteOption = None,
    kind: KindOption = None,
    state: StateOption = None,
    network: NetworkOption = None,
    street: StreetOption = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with all columns.")] = False,
    as_json: JsonOption = False,
    registry: RegistryOption = None,
) -> None:
    """List assets with what stands there, in the order of the town's list."""
    chosen = assets.Filter(site, kind, state, network, street)
    with open_registry(registry, create=False).reading() as db:
        rows = (row(one) for one in wanted.standings(db, chosen))
        if as_json:
            for one in rows:
                typer.echo(json.dumps(one, ensure_ascii=False))
        elif as_csv:
            writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        else:
            _print(rows)


def row(one: Standing) -> dict[str, Any]:
    """An asset and its node as one flat object; never a key."""
    asset, node = one.asset, one.node
    told = {name: getattr(one, name) for name in COLUMNS if hasattr(one, name) and name != "asset"}
    listed = {name: getattr(asset, name) for name in COLUMNS if hasattr(asset, name)}
    more = {"node": node.name, "outdated": one.is_outdated, "settings_hash": one.digest and one.digest[:8]}
    found = listed | told | more
    return {name: found[name] for name in COLUMNS}


def _print(rows: Iterator[dict[str, Any]]) -> None:
    table = Table(*_SHOWN, box=box.SIMPLE_HEAD, pad_edge=False)
    for one in rows:
        shown = {**one, "dev_eui": (one["dev_eui"] or "").upper()}
        shown["state"] += " (changed since)" if one["outdated"] else ""
        table.add_row(*(escape(str(shown[name] or "")) for name in _SHOWN))
    if table.row_count:
        console().print(table)
    else:
        typer.echo("no asset is like that")
