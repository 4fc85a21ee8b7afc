"""borne fleet import: the town's list into the registry."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn

from borne.cli.fleet.options import JsonOption, RegistryOption, WhoOption, errors
from borne.errors import ListError
from borne.fleet import lists
from borne.fleet.importing import How, Plan, import_list
from borne.fleet.lists import town
from borne.fleet.registry import Stamp, exists, open_registry, scratch

# A screenful; `--json` has them all.
_SHOWN = 20


def import_(
    file: Annotated[Path, typer.Argument(metavar="LIST", help="CSV, XLSX or GeoJSON.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map", help='Column to field, "Header=field"; "Header=" leaves it out. Again for more.'
        ),
    ] = None,
    site: Annotated[str | None, typer.Option(help="Site of the rows that name none.")] = None,
    kind: Annotated[str | None, typer.Option(help="Kind of the rows that name none.")] = None,
    link: Annotated[str | None, typer.Option(help="Link of the rows that name none: lorawan, wifi.")] = None,
    board: Annotated[str | None, typer.Option(help="Board of the rows that name none.")] = None,
    network: Annotated[str | None, typer.Option(help="Network of the rows that name none.")] = None,
    box: Annotated[
        str | None, typer.Option(help="The town: SOUTH,WEST,NORTH,EAST in degrees. Outside of it: refused.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")
    ] = False,
    registry: RegistryOption = None,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take the town's list of assets into the registry: all of its rows, or none and the reasons.

    Columns are known by their names in English and French. Importing the same list again changes nothing.
    """
    defaults = {"site": site, "kind": kind, "link": link, "board": board, "network": network}
    how = How(
        _mapping(mapping or []),
        {name: given for name, given in defaults.items() if given is not None},
        town.box(box) if box is not None else None,
    )
    sheet = lists.read(file)
    store = scratch() if dry_run and not exists(registry) else open_registry(registry)
    console = errors()
    hidden = not console.is_terminal
    columns = SpinnerColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("reading ...")

        def follow(row: int) -> None:
            progress.update(task, description=f"{row:,} rows ...")

        plan = import_list(store, sheet, how, dry_run=dry_run, stamp=Stamp(who=who), progress=follow)
    if as_json:
        typer.echo(json.dumps(_as_json(plan, dry_run)))
    else:
        _show(plan, dry_run)
    if plan.refused:
        raise ListError(
            f"{file}: {len(plan.refused)} {'cell' if len(plan.refused) == 1 else 'cells or rows'} refused; "
            "nothing was written"
        )


def _mapping(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        header, equals, field = one.rpartition("=")
        if not equals:
            raise ListError(f'map: {one!r} is not of the form "Header=field"')
        found[header.strip()] = field.strip()
    return found


def _as_json(plan: Plan, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "created": [one.asset for one in plan.created],
        "changed": [new.asset for _, new in plan.changed],
        "unchanged": plan.unchanged,
        "absent": plan.absent,
        "refused": [dataclasses.asdict(one) for one in plan.refused],
        "notes": plan.notes,
    }


def _show(plan: Plan, dry_run: bool) -> None:
    console = errors()
    for note in plan.notes:
        print(f"borne: {note}", file=sys.stderr)
    for problem in plan.refused[:_SHOWN]:
        console.print(f"[red]{escape(str(problem))}[/red]")
    if len(plan.refused) > _SHOWN:
        console.print(f"[red]and {len(plan.refused) - _SHOWN:,} more; --json shows all[/red]")
    if dry_run:
        for old, new in plan.changed[:_SHOWN]:
            console.print(escape(f"{new.asset}: {_difference(old, new)}"))
    would = "would be " if dry_run or plan.refused else ""
    line = f"{len(plan.created):,} {would}created, {len(plan.changed):,} {would}changed, {plan.unchanged:,} unchanged"
    if plan.refused:
        line += f", {len(plan.refused):,} refused"
    if plan.absent:
        line += f"; {plan.absent:,} in the registry are not in the list, and stay"
    typer.echo(line)


def _difference(old: Any, new: Any) -> str:
    parts = []
    for one in dataclasses.fields(old):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if one.name == "settings":
            names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            parts += [f"{name} {before.get(name)!r} → {after.get(name)!r}" for name in names]
        elif before != after:
            parts.append(f"{one.name} {before!r} → {after!r}")
    return ", ".join(parts)
