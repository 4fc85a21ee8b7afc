"""borne privacy: audit captured frames; write the documents of a data protection officer."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from borne.cli.fleet.options import RegistryOption, SiteOption
from borne.decoding.stream import batches
from borne.errors import UserError
from borne.privacy import audit as auditor
from borne.privacy.record.words import LANGUAGES

# mypy reads members of literals only.
_Language = StrEnum("_Language", {name: name for name in (*LANGUAGES, "both")})  # type: ignore[misc]
_BOTH = _Language("both")

privacy = typer.Typer(
    name="privacy",
    help="Audit captured frames against the policy; write the data protection officer's documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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


@privacy.command()
def record(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the documents.")],
    settings: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SETTINGS]...",
            help="settings.json of nodes: one, a list, or one a line. The fleet's registry if not given.",
        ),
    ] = None,
    site: SiteOption = None,
    registry: RegistryOption = None,
    facts: Annotated[
        Path | None, typer.Option("--facts", help="TOML: controller, contact, dpo, legal_basis, purpose, ...")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="build/privacy-report.json of make privacy.")
    ] = None,
    policy_hash: Annotated[
        str | None, typer.Option("--policy-hash", help="What the nodes report; refused if not of this build.")
    ] = None,
    language: Annotated[_Language, typer.Option("--lang", help="en, fr or both.")] = _BOTH,
) -> None:
    """Write the Article 30 entry, DPIA annex, statement of anonymity, retention, data dictionary and notices."""
    from borne.privacy.record import files

    if settings and (site or registry):
        raise UserError("record: of settings files, or of the fleet (--site, --registry)?")
    given = files.settings(settings) if settings else _of_fleet(site, registry)
    fleet = files.read(given, facts, report)
    languages = LANGUAGES if language == "both" else (str(language),)
    for path in files.write(fleet, output, languages, policy_hash):
        typer.echo(str(path))
    for name in fleet.missing:
        typer.echo(f"to be filled in: {name}", err=True)


def _of_fleet(site: str | None, registry: str | None) -> Iterable[tuple[str, Any]]:
    try:
        from borne.fleet import told
        from borne.fleet.registry import open_registry
        from borne.fleet.registry.assets import Filter
    except ModuleNotFoundError as error:
        raise UserError(f"record: a fleet needs {error.name}: pip install 'borne[fleet]'") from None

    with open_registry(registry, create=False).reading() as db:
        return list(told.settings(db, Filter(site=site)))
