"""borne fleet: one list in, everything out; one small file per command."""

from __future__ import annotations

from typing import Final

import typer

from borne.cli import Lazy

# Name, module, and the extra that it needs. The function has the module's last name.
COMMANDS: Final = {
    "import": ("borne.cli.fleet.import_", "fleet"),
    "export": ("borne.cli.fleet.export", "fleet"),
    "list": ("borne.cli.fleet.list_", "fleet"),
    "show": ("borne.cli.fleet.show", "fleet"),
    "status": ("borne.cli.fleet.status", "fleet"),
    "map": ("borne.cli.fleet.map_", "fleet"),
    "site": ("borne.cli.fleet.site", "fleet"),
    "set": ("borne.cli.fleet.set_", "fleet"),
    "listen": ("borne.cli.fleet.listen", "fleet"),
    "replace": ("borne.cli.fleet.replace", "fleet"),
    "vault": ("borne.cli.fleet.vault", "fleet"),
    "backup": ("borne.cli.fleet.backup", "fleet"),
    "restore": ("borne.cli.fleet.restore", "fleet"),
    "label": ("borne.cli.fleet.label", "fleet"),
    "register": ("borne.cli.fleet.register", "fleet"),
}


class _Fleet(Lazy):
    table = COMMANDS


fleet = typer.Typer(cls=_Fleet, no_args_is_help=True, pretty_exceptions_enable=False)


@fleet.callback()
def _fleet() -> None:
    """The town's assets and their nodes: the list, the registry, the vault, provisioning."""
