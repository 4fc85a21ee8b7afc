"""borne provision ASSET, and --batch: out of registry and vault."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from borne import broker
from borne.cli.fleet.options import asking
from borne.cli.provision_picture import Picture
from borne.errors import PortError, RegistryError, SettingError, VaultError
from borne.flashing import ports
from borne.fleet.batch import Batch
from borne.fleet.commission import Bench, Done, commission, for_asset
from borne.fleet.first import First, Wait, expecting
from borne.fleet.registry import Stamp, assets, nodes, open_registry
from borne.fleet.registry.assets import Filter
from borne.fleet.registry.nodes import Standing
from borne.fleet.vault import open_vault


def bench(
    registry: str | None,
    vault: Path | None,
    identity: Path | None,
    who: str | None,
    secrets: dict[str, bytes],
    board: str | None,
    image: Path | None,
    take: bool,
    self_test: bool,
) -> Bench:
    """What provisioning works with. The vault is unlocked where that asks nobody; issuing keys does not need it."""
    opened = open_vault(vault, who)
    try:
        opened.unlock(identity, asking() if identity else None)
    except VaultError:
        if identity:
            raise
    return Bench(
        open_registry(registry, create=False),
        opened,
        secrets,
        stamp=lambda: Stamp(who=who),
        board=board,
        image=image,
        take=take,
        self_test=self_test,
    )


def say_begun(bench: Bench, asset: str | None, site: str | None) -> None:
    """What was broken off: of this asset, or of all that a batch would take."""
    with bench.registry.reading() as db:
        found = [nodes.get(db, asset)] if asset else list(nodes.begun(db, Filter(site=site)))
        told = [f"{one.asset.asset}: {_begun(one)}" for one in found]
        told = told or ["nothing was broken off; boards that are plugged in take the next free assets"]
    for line in told:
        print(f"borne: {line}", file=sys.stderr)


def _begun(at: Standing) -> str:
    if at.id is None:
        return "nothing was begun; the board that is plugged in is taken for it"
    if at.is_provisioned:
        more = ", and its row was changed since" if at.is_outdated else ""
        return f"was provisioned{more}; the board is compared with the registry"
    done = ["reserved"]
    done += ["flashed"] if at.state == "flashed" else []
    done += ["its key is in the vault"] if at.key_record else []
    return f"was broken off: {', '.join(done)}; plug in the board with MAC {at.mac}, and the rest is done"


def one(
    bench: Bench, asset: str, given: list[str] | None, uplink: str | None, wait: float, as_json: bool
) -> None:
    """One asset, whose board is plugged in."""
    port = _port(given)
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        # Before the node restarts, so that its first report is not missed.
        waiting = stack.enter_context(_expecting(bench, uplink)) if uplink else None
        done = _with_bar(bench, port, asset, console)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(done)))
        else:
            say(done)
        heard = True
        if waiting is not None and done.outcome != "already so":
            heard = _say_first(waiting(done, wait), wait, console)
    if not done.is_sound or not heard:
        raise typer.Exit(1)


def _with_bar(bench: Bench, port: str, asset: str, console: Console) -> Done:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(asset, total=1.0)
        return commission(bench, port, for_asset(asset), follow(progress, task))


def _expecting(bench: Bench, uplink: str) -> AbstractContextManager[Wait]:
    at = broker.parse(uplink)
    return expecting(bench.registry, at, os.environ.get(broker.PASSWORD_VARIABLE, ""))


def _say_first(first: First | None, wait: float, console: Console) -> bool:
    """Whether the node was heard."""
    if first is None:
        console.print(
            f"  [red]✗[/red] first report  none within {wait:g} s: is it registered, is its network in reach?"
        )
        return False
    signal = "" if first.rssi is None else f", RSSI {first.rssi:g} dBm"
    signal += "" if first.snr is None else f", SNR {first.snr:g} dB"
    kind = first.heard.report.kind if first.heard.report else "not decoded"
    console.print(f"  [green]✓[/green] first report  {kind} after {first.seconds:.0f} s{signal}")
    return True


def printer(
    bench: Bench, folder: Path | None, stock: str, command: str | None
) -> Callable[[Done], None] | None:
    """What prints labels, where they are asked for."""
    if folder is None:
        if command is not None:
            raise SettingError("print: says how to print labels: say where they go with --labels FOLDER")
        return None
    from borne.fleet.labelling import Labels

    return Labels(bench.registry, folder, stock, command)


def batch(
    bench: Bench,
    given: list[str] | None,
    site: str | None,
    board: str | None,
    count: int | None,
    then: Callable[[Done], None] | None,
    as_json: bool,
) -> None:
    """One board after another, as they are plugged in; or those on the ports given, at once."""
    console = Console(stderr=True, highlight=False)
    left = _left(bench, site)
    if not left and not given:
        typer.echo(f"{f'site {site}: ' if site else ''}every asset has its node", err=as_json)
        return
    picture = Picture(console)
    work = Batch(bench, site, board, tuple(given) if given else None, told=picture.note, then=then)
    with picture:
        work.run(count)
    for done in work.finished:
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(done)))
    tally = work.tally()
    typer.echo(f"{tally.done} done, {tally.failed} failed, {tally.left} left", err=as_json)
    if tally.failed:
        raise typer.Exit(1)


def _left(bench: Bench, site: str | None) -> int:
    """How many assets lack their node. Raises RegistryError where the site has no assets at all."""
    with bench.registry.reading() as db:
        there = assets.site_names(db)
        if site is not None and site not in there:
            raise RegistryError(
                f"site {site}: no asset of the list is there; sites that have some: {', '.join(there) or 'none'}"
            )
        return nodes.count_unfinished(db, Filter(site=site))


def follow(progress: Progress, task: TaskID) -> Callable[[str, float], None]:
    """Shows steps on a bar, or as lines where nobody watches."""
    steps: list[str] = []

    def tell(step: str, fraction: float) -> None:
        if step not in steps:
            steps.append(step)
            if progress.disable:
                print(f"  {step} ...", file=sys.stderr)
        progress.update(task, description=step, completed=fraction)

    return tell


def say(done: Done) -> None:
    """The checklist of one board."""
    console = Console(highlight=False, soft_wrap=True)
    eui = f", DevEUI {done.dev_eui.upper()}" if done.dev_eui else ""
    lines: tuple[str, ...] = ()
    if done.outcome == "already so":
        head = f"{escape(done.asset)}: already so[/green] (MAC {done.mac}{eui}, settings {done.digest[:8]})"
    else:
        head = f"{escape(done.asset)}: {done.outcome}[/green] on {escape(done.port)}"
        runs = f"{done.firmware} on MicroPython {done.micropython or 'of its image'}"
        lines = (
            f"board        MAC {done.mac}{eui}",
            f"firmware     {runs}, {'flashed and verified' if done.flashed else 'was there'}",
            f"settings     {done.digest[:8]}, read back and equal",
            f"key          {_KEYS[done.key]}",
        )
    console.print(f"[green]{head}")
    for line in lines:
        console.print(f"  [green]✓[/green] {line}")
    for check in done.checks:
        if not check.ok or check.name not in _SAID:
            console.print(f"  {_SIGNS[check.ok]} {escape(f'{check.name:<12} {check.detail}')}")
    failed = sum(check.ok is False for check in done.checks)
    if failed:
        console.print(
            f"[red]{escape(done.asset)} is provisioned, but {failed} of its parts failed the self-test:[/red] "
            "see to them, then run it again"
        )


# Of the self-test, what the checklist says anyway.
_SAID = ("firmware", "settings")
_SIGNS = {True: "[green]✓[/green]", None: "[dim]·[/dim]", False: "[red]✗[/red]"}
_KEYS = {
    "new": "new, in the vault and on the node; register it with the network",
    "kept": "the one that the vault has",
    "none": "none of its own",
}


def _port(given: list[str] | None) -> str:
    if given and len(given) == 1:
        return given[0]
    if given:
        raise PortError("one asset has one board: give one --port, or --batch")
    there = list(ports.listed())
    if len(there) == 1:
        return there[0]
    if not there:
        raise PortError("no serial port; is the cable one that carries data? or give one with --port")
    raise PortError(f"several ports: say which with --port: {', '.join(there)}")
