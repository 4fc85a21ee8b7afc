"""borne fleet register: tell a network server or a broker of the nodes of the list."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from borne.cli.fleet import source
from borne.cli.fleet.options import (
    IdentityOption,
    JsonOption,
    RegistryOption,
    SiteOption,
    VaultOption,
    WhoOption,
)
from borne.errors import SettingError
from borne.fleet import files
from borne.fleet.model import Node
from borne.fleet.networks import config, importers, plan
from borne.fleet.networks.config import Network
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.pace import Pace
from borne.fleet.registry import Stamp, open_registry
from borne.fleet.registry import nodes as registered

_STYLES = {plan.CREATED: "green", plan.CHANGED: "cyan", plan.UNKNOWN: "yellow", importers.WRITTEN: "green"}
_STYLES |= dict.fromkeys(plan.FAILURES, "red")
_DONE = (plan.CREATED, plan.CHANGED, importers.WRITTEN)
_AFTERWARDS = {
    "mosquitto": "the broker reads the files again on SIGHUP: systemctl reload mosquitto",
    "thingpark": "import it under Devices, and delete it then: it holds keys",
    "tts": "import it under End devices, and delete it then: it holds keys",
}


def register(
    network: Annotated[str, typer.Option("--network", help="Its name in networks.toml.")],
    assets: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ASSET]...", help="These only: asset, DevEUI or label code."),
    ] = None,
    site: SiteOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="Write the network's import file (.csv, .json; 0600) instead."),
    ] = None,
    networks: Annotated[
        Path | None, typer.Option("--networks", help="networks.toml; in your settings folder if not given.")
    ] = None,
    nodes: Annotated[
        Path | None,
        typer.Option("--nodes", help="Nodes as JSON, one a line, instead of the registry's; - is stdin."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File (0600) of lines ASSET KEY, instead of the vault.")
    ] = None,
    registry: RegistryOption = None,
    vault: VaultOption = None,
    identity: IdentityOption = None,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register nodes with a network: what is missing is made, what differs is mended, nothing is deleted.

    Run it again as often as you like: after an interruption it goes on, and where all is well it changes nothing.
    """
    target = config.named(networks or config.default_path(), network)
    every = [node for node in source.read(nodes, registry) if node.state != "retired"]
    wanted = _of_network(source.chosen(every, assets or (), site), network)
    key_of = source.keys(keys, vault, identity, who)
    if file is not None or not target.online:
        rows: Iterable[plan.Row] = _write(target, wanted, key_of, file, dry_run)
    else:
        rows = _online(target, wanted, every, key_of, dry_run, as_json)
    shown: list[plan.Row] = []
    try:
        _show(rows, shown, as_json)
    finally:
        if nodes is None:
            _note(shown, network, registry, Stamp(who=who))
    typer.echo(f"{network}: {_summary(shown)}", err=True)
    if any(row.action in _DONE for row in shown) and (file or target.type == "mosquitto"):
        typer.echo(_AFTERWARDS[target.type], err=True)
    if any(row.action in plan.FAILURES for row in shown):
        raise typer.Exit(1)


def _note(rows: list[plan.Row], network: str, registry: str | None, stamp: Stamp) -> None:
    """What was done, in the history of each asset."""
    done = [row for row in rows if row.asset and row.action in _DONE]
    if done:
        with open_registry(registry, create=False).writing() as db:
            for row in done:
                at = registered.get(db, row.asset)
                detail = f"{network}: {row.detail or row.action}"
                registered.note(db, at.asset_id, at.id, "registered", detail, stamp)


def _of_network(nodes: list[Node], network: str) -> list[Node]:
    found = [node for node in nodes if node.asset.network == network]
    if not found:
        others = sorted({str(node.asset.network) for node in nodes if node.asset.network})
        hint = f"; they belong to {', '.join(others)}" if others else "; none of them names a network"
        raise SettingError(f"network: no node of the list belongs to {network!r}{hint}")
    return found


def _write(
    target: Network, nodes: list[Node], keys: Keys, file: Path | None, dry_run: bool
) -> list[plan.Row]:
    if file is None:
        raise SettingError(f"{target.name}: {target.type} is told by a file: give --file")
    data, rows = config.export(target, nodes, keys, file.suffix.removeprefix(".").lower())
    if not dry_run:
        files.write(file, data, private=True)
    return rows


def _online(
    target: Network, nodes: list[Node], every: list[Node], keys: Keys, dry_run: bool, quiet: bool
) -> Iterator[plan.Row]:
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(target.name, total=len(nodes))
        pace = Pace(target.options.get("rate", 0.0), tell=lambda why: console.print(f"  {escape(why)}"))
        with config.connect(target, pace) as backend:
            for row in plan.register(backend, nodes, keys, known=every, dry_run=dry_run):
                if row.asset and row.action != plan.UNKNOWN:
                    bar.advance(task)
                yield row


def _show(rows: Iterable[plan.Row], shown: list[plan.Row], as_json: bool) -> None:
    """Each row as it comes. After Ctrl-C says where it stands, and ends with 130 as a shell expects."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        for row in rows:
            shown.append(row)
            if as_json:
                typer.echo(json.dumps(row.as_dict(), ensure_ascii=False))
            else:
                style = _STYLES.get(row.action, "dim")
                text = f"{row.asset:<16} {row.device:<16}  {row.detail}".rstrip()
                console.print(f"[{style}]{row.action:<13}[/] {escape(text)}")
    except KeyboardInterrupt:
        print(f"\ninterrupted: {_summary(shown)}; run it again, it goes on from here", file=sys.stderr)
        raise typer.Exit(130) from None


def _summary(rows: list[plan.Row]) -> str:
    written = sum(row.action == importers.WRITTEN for row in rows)
    if not written:
        return plan.summary(rows)
    refused = sum(row.action in plan.FAILURES for row in rows)
    return f"{written} written" + (f", {refused} refused" if refused else "")
