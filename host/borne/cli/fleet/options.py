"""Options and small habits that the fleet's commands have in common."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from borne.errors import UserError

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        help="File, or postgresql:// URL; BORNE_REGISTRY, or a file in your data folder if not given.",
    ),
]
SiteOption = Annotated[str | None, typer.Option("--site", help="Only assets of this site.")]
KindOption = Annotated[str | None, typer.Option("--kind", help="Only parking, light or fill.")]
StateOption = Annotated[
    str | None,
    typer.Option("--state", help="Only planned, flashed, provisioned, joined or seen."),
]
NetworkOption = Annotated[str | None, typer.Option("--network", help="Only assets of this network.")]
StreetOption = Annotated[str | None, typer.Option("--street", help="Only streets whose name holds this.")]
WhoOption = Annotated[
    str | None, typer.Option("--who", help="Store this name in the history; nobody's if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@contextmanager
def output(path: Path | None) -> Iterator[TextIO]:
    """A text file to write, whole or not at all; stdout where there is no path."""
    if path is None:
        yield sys.stdout
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def errors() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)
