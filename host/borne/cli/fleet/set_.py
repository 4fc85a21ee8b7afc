"""borne fleet set: change settings of a node that stands already."""

from __future__ import annotations

from typing import Annotated

import typer

from borne.cli.fleet.options import RegistryOption, WhoOption
from borne.errors import SettingError
from borne.fleet.hearing import SETTABLE
from borne.fleet.registry import Stamp, open_registry
from borne.fleet.setting import change


def set_(
    asset: Annotated[str, typer.Argument(help="Number of the asset, as in the list.")],
    pairs: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="Settings; no value clears one.")
    ],
    registry: RegistryOption = None,
    who: WhoOption = None,
) -> None:
    """Change settings of an asset, and queue them for its node where a downlink can carry them.

    `borne fleet listen` sends what is queued; a setting is pending until the node reports that it has it.
    """
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingError(f"set: {pair!r} is not of the form NAME=VALUE")
        given[name] = value
    queued = change(open_registry(registry, create=False), asset, given, Stamp(who=who))
    typer.echo(f"{asset}: {', '.join(given)} changed in the list")
    if queued:
        typer.echo(f"{', '.join(queued)}: queued for the node; `borne fleet listen` sends it")
    cable = [name for name in given if name not in queued]
    if cable:
        typer.echo(
            f"{', '.join(cable)}: reaches the node at its next `borne provision {asset}` "
            f"(downlinks carry {', '.join(SETTABLE)})"
        )
