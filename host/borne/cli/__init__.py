"""The command line: one small file per command, in one table; errors become one line and an exit code in one place."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperCommand, TyperGroup

from borne.errors import BorneError, UserError

# Name, module, and the extra that it needs beyond a plain installation. The function has the module's last name.
COMMANDS: Final = {
    "street": ("borne.cli.street", "street"),
    "boards": ("borne.cli.boards", ""),
    "ports": ("borne.cli.ports", ""),
    "flash": ("borne.cli.flash", ""),
    "image": ("borne.cli.image", ""),
    "backup": ("borne.cli.backup", ""),
    "restore": ("borne.cli.restore", ""),
    "budget": ("borne.cli.budget", ""),
    "provision": ("borne.cli.provision", ""),
    "fleet": ("borne.cli.fleet", "fleet"),
    "sensor-test": ("borne.cli.sensor_test", ""),
    "deploy": ("borne.cli.deploy", ""),
    "console": ("borne.cli.console", ""),
    "exec": ("borne.cli.exec", ""),
    "logs": ("borne.cli.logs", ""),
    "reset": ("borne.cli.reset", ""),
    "info": ("borne.cli.info", ""),
    "doctor": ("borne.cli.doctor", ""),
    "self-test": ("borne.cli.self_test", ""),
    "listen": ("borne.cli.listen", ""),
    "decode": ("borne.cli.decode", "columns"),
    "codec": ("borne.cli.codec", "columns"),
    "privacy": ("borne.cli.privacy", "privacy"),
    "virtual-board": ("borne.cli.virtual_board", "street"),
}


class Lazy(TyperGroup):
    """Loads a command when it is named, so that none waits for, or fails by, the libraries of another."""

    table: ClassVar[Mapping[str, tuple[str, str]]] = COMMANDS

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | TyperGroup | None:
        if cmd_name not in self.table:
            return None
        module, extra = self.table[cmd_name]
        try:
            function = getattr(import_module(module), module.rpartition(".")[2])
        except ModuleNotFoundError as error:
            function = _without(cmd_name, extra, error)
        if isinstance(function, typer.Typer):
            group = typer.main.get_group(function)
            group.name = cmd_name
            return group
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name, context_settings=_ANY if function.__name__ == "refuse" else None)(function)
        command = typer.main.get_command(alone)
        assert isinstance(command, TyperCommand)
        return command


# So that a command that is not installed says that, whatever it was given.
_ANY: Final = {"allow_extra_args": True, "ignore_unknown_options": True}


def _without(name: str, extra: str, error: ModuleNotFoundError) -> Callable[[], None]:
    def refuse() -> None:
        raise UserError(f"{name} needs {error.name}: pip install 'borne[{extra}]'") from None

    refuse.__doc__ = f"(not installed; it comes with the extra `{extra}`)"
    return refuse


app = typer.Typer(
    name="borne",
    cls=Lazy,
    help="Flash street sensor nodes, provision them, decode what they send.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from borne import __version__

        typer.echo(f"borne {__version__}")
        raise typer.Exit


@app.callback()
def _borne(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Flash street sensor nodes, provision them, decode what they send."""


def main() -> None:
    """Run the command line; a BorneError is printed as one line, its class decides the exit code."""
    # What is loaded stays to the end: the collector need not look through it, neither at work nor at the exit.
    gc.freeze()
    try:
        app()
    except BorneError as error:
        print(f"borne: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output (head, less) went away: that is its right, and no failure of ours.
        sys.stderr.close()
        sys.exit(0)
