"""Options and small habits that the fleet's commands have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from borne.boards import unknown
from borne.errors import SettingError, UserError
from borne.fleet.registry.nodes import STATES
from borne_node.settings import KINDS

_WIDE = 200


def _one_of(name: str, known: Sequence[str]) -> Callable[[str | None], str | None]:
    """A check of an option's value, which else would only find nothing."""

    def check(given: str | None) -> str | None:
        if given is not None and given not in known:
            raise SettingError(f"{name}: {unknown(given, known)}")
        return given

    return check


RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        help="File, or postgresql:// URL; BORNE_REGISTRY, or a file in your data folder if not given.",
    ),
]
VaultOption = Annotated[
    Path | None,
    typer.Option("--vault", help="Folder of the keys; BORNE_VAULT, or one in your data folder if not given."),
]
IdentityOption = Annotated[
    Path | None,
    typer.Option("--identity", help="Your age identity file (0600), instead of the vault's passphrase."),
]
SiteOption = Annotated[str | None, typer.Option("--site", help="Only assets of this site.")]
KindOption = Annotated[
    str | None, typer.Option("--kind", help="Only parking, light or fill.", callback=_one_of("kind", KINDS))
]
StateOption = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="Only planned, flashed, provisioned, joined or seen.",
        callback=_one_of("state", STATES[:-1]),
    ),
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


def ask_passphrase() -> str:
    """Asked on the terminal; stdout stays clean."""
    return str(typer.prompt("passphrase of the vault", hide_input=True, err=True))


def asking() -> Callable[[], str] | None:
    """How to ask, None where nobody sits at a terminal."""
    return ask_passphrase if sys.stdin.isatty() else None


def console() -> Console:
    """For tables: as wide as the terminal, or wide enough for whatever reads them."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDE)


def errors() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)
