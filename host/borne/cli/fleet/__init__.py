"""borne fleet: one list in, everything out; one small file per command."""

from __future__ import annotations

from typing import Final

import typer

from borne.cli import Lazy

# Name, module, and the extra that it needs. The function has the module's last name.
COMMANDS: Final = {
    "import": ("borne.cli.fleet.import_", "fleet"),
    "export": ("borne.cli.fleet.export", "fleet"),
    "label": ("borne.cli.fleet.label", "fleet"),
}


class _Fleet(Lazy):
    table = COMMANDS


fleet = typer.Typer(cls=_Fleet, no_args_is_help=True, pretty_exceptions_enable=False)


@fleet.callback()
def _fleet() -> None:
    """The town's assets and their nodes: the list, the registry, the vault, provisioning."""
