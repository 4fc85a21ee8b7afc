"""borne budget: airtime, duty cycle, energy and battery life of a LoRaWAN node, before it is flashed."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from borne import boards
from borne import budget as library
from borne.budget import Budget
from borne.errors import UserError

_FACTORS = (7, 8, 9, 10, 11, 12)
# Two lines each, so that a terminal of 80 columns holds them.
_COLUMNS = (
    *("SF", "bytes", "airtime\nms", "reports\na day", "airtime\ns a day", "duty\ncycle", "fair\nuse"),
    *("mAh\na day", "battery\nyears", ""),
)


def budget(
    board: Annotated[str, typer.Argument(help="Name of a board, or path of a board file.")],
    kind: Annotated[str, typer.Option(help="parking, light or fill.")],
    profile: Annotated[str | None, typer.Option(help="parking: zone, bay, day or live.")] = None,
    region: Annotated[str, typer.Option(help="EU868, US915, ...")] = "EU868",
    sf: Annotated[
        int | None, typer.Option(help="Spreading factor, 7 to 12; all of them if not given.")
    ] = None,
    reports: Annotated[float | None, typer.Option(help="Reports a day, instead of the policy's.")] = None,
    fair_use_s: Annotated[
        float, typer.Option(help="Airtime a day that the network grants, in seconds; 0 for no limit.")
    ] = library.FAIR_USE_S,
    battery_mah: Annotated[float, typer.Option(help="Capacity of the battery.")] = library.BATTERY_MAH,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a spreading factor.")] = False,
) -> None:
    """What a LoRaWAN node may send, and how long its battery lasts; refused with the reason where it cannot hold."""
    loaded = boards.load(board)
    found, missing = [], None
    for factor in (sf,) if sf is not None else _FACTORS:
        try:
            found.append(
                library.budget(
                    loaded,
                    kind,
                    region,
                    factor,
                    profile=profile,
                    reports=reports,
                    fair_use_s=fair_use_s,
                    battery_mah=battery_mah,
                )
            )
        except UserError as error:
            # A region need not have every spreading factor; what it has is worth showing.
            missing = error
    if not found and missing is not None:
        raise missing
    if as_json:
        for one in found:
            typer.echo(json.dumps(dataclasses.asdict(one)))
    else:
        console = Console(highlight=False)
        console.print(_table(found))
        for one in found:
            if one.problems:
                console.print(f"SF{one.sf}: {'; '.join(one.problems)}")
        if loaded.power is None:
            console.print(f"energy is unknown: the board file of {loaded.name} has no table `power`")
    if all(one.problems for one in found):
        raise UserError(f"budget: SF{found[0].sf}: {'; '.join(found[0].problems)}")


def _table(found: list[Budget]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for one in found:
        table.add_row(*_cells(one), style="red" if one.problems else "")
    return table


def _cells(one: Budget) -> tuple[str, ...]:
    bare, full = one.payload
    return (
        str(one.sf),
        str(full) if full == bare else f"{bare} + {full - bare}",
        f"{one.airtime_ms:.0f}",
        f"{one.reports:g}",
        f"{one.airtime_s:.1f}",
        "none" if one.duty is None else f"{one.duty:.1%}",
        "none" if one.fair_use is None else f"{one.fair_use:.0%}",
        "?" if one.mah is None else f"{one.mah:.1f}",
        "?" if one.life is None else f"{one.life:.1f}",
        "refused" if one.problems else "holds",
    )
