"""borne flash: make nodes of boards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from borne.cli import node_options
from borne.errors import PortError
from borne.flashing import ports
from borne.flashing.chip import BAUD, prepare


def flash(
    board: Annotated[
        str | None,
        typer.Argument(
            help="A name out of `borne boards`, or one's own board file (.toml); left out: found out."
        ),
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port", "-p", help="Device, socket://host:port or rfc2217://host:port; again for more boards."
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every connected board, all at once.")] = False,
    image: Annotated[
        Path | None,
        typer.Option("--image", help="MicroPython image, instead of the board's own."),
    ] = None,
    kind: node_options.Kind = None,
    name: node_options.Name = None,
    settings: node_options.SettingsFile = None,
    pairs: node_options.Pairs = None,
    secrets_file: node_options.SecretsFile = None,
    factory_reset: Annotated[
        bool, typer.Option("--factory-reset", help="Wipe settings, keys and everything else the node keeps.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the whole flash once more at the end.")
    ] = True,
    self_test: Annotated[
        bool, typer.Option("--self-test/--no-self-test", help="Ask the node's parts whether they work.")
    ] = True,
    baud: Annotated[
        int, typer.Option("--baud", help="Highest speed of the line to try.", min=9600, max=4_000_000)
    ] = BAUD,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a board.")] = False,
) -> None:
    """Make complete nodes of boards; what a node has of its own (keys, settings, waiting reports) is kept.

    Only what differs is written. With --kind, --settings and their like the board becomes that node at once.
    """
    chosen = _ports(port, everything)
    # What the work needs is loaded while the programs start that talk to the boards.
    prepare(len(chosen))
    from borne.cli import flash_boards
    from borne.flashing.flasher import How

    identity = node_options.identity(kind, name, settings, pairs, secrets_file)
    how = How(image, factory_reset, verify, baud)
    flash_boards.flash(chosen, board, identity, how, self_test=self_test, as_json=as_json)


def _ports(given: list[str] | None, everything: bool) -> list[str]:
    there = list(ports.listed())
    if given and everything:
        raise PortError("--port and --all: give one or the other")
    if given:
        return list(dict.fromkeys(given))
    if not there:
        raise PortError("no serial port; is the cable one that carries data? or give one with --port")
    if len(there) > 1 and not everything:
        raise PortError(f"several ports: say which with --port, or --all: {', '.join(there)}")
    return there
