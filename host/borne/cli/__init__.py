"""The command line: one small file per command, wired here; errors become one line and an exit code in one place."""

from __future__ import annotations

import sys

import typer

from borne import __version__
from borne.cli.boards import boards
from borne.cli.flash import flash
from borne.cli.listen import listen
from borne.cli.ports import ports
from borne.cli.provision import provision
from borne.cli.street import street
from borne.errors import BorneError

app = typer.Typer(
    name="borne",
    help="Flash street sensor nodes, provision them, decode what they send.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"borne {__version__}")
        raise typer.Exit


@app.callback()
def _borne(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Flash street sensor nodes, provision them, decode what they send."""


for _command in (street, boards, ports, flash, provision, listen):
    app.command()(_command)


def main() -> None:
    """Run the command line; a BorneError is printed as one line, its class decides the exit code."""
    try:
        app()
    except BorneError as error:
        print(f"borne: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        # 128 + SIGINT, as shells expect it of an interrupted command.
        print("borne: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output (head, less) went away: that is its right, and no failure of ours.
        sys.stderr.close()
        sys.exit(0)
