"""borne fleet replace: a new node for an asset."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from borne.cli.fleet.options import JsonOption, RegistryOption, WhoOption
from borne.fleet.registry import Stamp, open_registry
from borne.fleet.replacing import replace as retire


def replace(
    asset: Annotated[str, typer.Argument(help="Number of the asset, as in the list.")],
    why: Annotated[str, typer.Option(help="Reason, for the history: vandalised, water, ...")] = "",
    registry: RegistryOption = None,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retire the node of an asset; the next board that is provisioned for it takes its place, name and history."""
    old = retire(open_registry(registry, create=False), asset, why, Stamp(who=who))
    if as_json:
        typer.echo(json.dumps({"asset": asset, "retired_mac": old.mac, "retired_dev_eui": old.dev_eui}))
        return
    network = f" Take DevEUI {old.dev_eui.upper()} off the network." if old.dev_eui else ""
    typer.echo(
        f"{asset}: the node with MAC {old.mac} is retired.{network} Next: borne provision {asset} --port ..."
    )
