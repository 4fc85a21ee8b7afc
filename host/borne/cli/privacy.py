"""borne privacy: audit captured frames; write the documents of a data protection officer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from borne.decoding.stream import batches
from borne.errors import UserError
from borne.privacy import audit as auditor

privacy = typer.Typer(
    name="privacy",
    help="Audit captured frames against the policy; write the data protection officer's documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@privacy.callback()
def _group() -> None:
    """Audit captured frames against the policy; write the data protection officer's documents."""


_STYLES = {auditor.OK: "green", auditor.BROKEN: "bold red", auditor.UNKNOWN: "yellow"}


@privacy.command()
def audit(
    frames: Annotated[Path, typer.Argument(metavar="FRAMES", help="Lines of a network server or of MQTT.")],
    policy: Annotated[
        str, typer.Option("--policy", help="all, a profile, or a file of the policy's canonical text.")
    ] = "all",
    tolerance: Annotated[
        int, typer.Option("--tolerance", min=0, help="Seconds that the network itself may take.")
    ] = auditor.TOLERANCE_S,
) -> None:
    """Say whether schedule, sizes, grid and noise of captured uplinks keep to the policy; exit code 1 if not."""
    rows = auditor.load(policy)
    try:
        with frames.open("rb") as file:
            found = auditor.audit((line for batch in batches(file) for line in batch), rows, tolerance)
    except OSError as error:
        raise UserError(f"{frames}: {error.strerror}") from None
    table = Table("node", "check", "", "what was found", box=None, header_style="bold")
    for one in found:
        table.add_row(one.device, one.name, f"[{_STYLES[one.verdict]}]{one.verdict}[/]", one.text)
    Console(highlight=False).print(table)
    if any(one.verdict == auditor.BROKEN for one in found):
        raise typer.Exit(1)
