"""borne ports: serial ports with what answers on them."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from borne.flashing import survey
from borne.flashing.survey import Found

_SAID = {
    "borne": "borne node, firmware {detail}",
    "micropython": "MicroPython {detail}",
    "bootloader": "bootloader of an {detail}, MAC {mac}",
    "nothing": "nothing answers",
    "closed": "{detail}",
}


def ports(
    port: Annotated[
        list[str] | None,
        typer.Argument(help="Only these: a device, socket://host:port or rfc2217://host:port."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a port.")] = False,
) -> None:
    """List serial ports with what answers on them. What runs there is interrupted and started again."""
    found = survey.survey(port)
    if as_json:
        for one in found:
            typer.echo(json.dumps(dataclasses.asdict(one)))
    elif not found:
        typer.echo("no serial port; is the cable one that carries data?")
    else:
        Console().print(_table(found))


def _table(found: list[Found]) -> Table:
    table = Table("port", "device", "what answers", box=None)
    for one in found:
        said = _SAID[one.answer].format(detail=one.detail, mac=one.mac).removeprefix(f"{one.port}: ")
        table.add_row(one.port, one.description, said)
    return table
