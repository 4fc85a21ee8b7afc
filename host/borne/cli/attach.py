"""What the commands for a node that runs share: its options, the way in, and that it runs again afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, TypeAlias

import typer

from borne.errors import BorneError, UserError
from borne.flashing.links import VIAS, Via
from borne.flashing.repl import Repl

WAIT_SECONDS = 60.0

Port: TypeAlias = Annotated[
    str, typer.Option("--port", "-p", help="Device, socket://host:port or rfc2217://host:port.")
]
Wait: TypeAlias = Annotated[
    float, typer.Option(min=0.0, help="Seconds to wait for a node that sleeps, or for a hand on its RESET.")
]
Way: TypeAlias = Annotated[
    str, typer.Option(help="Whose protocol to use: mpremote, or ampy where that fails.")
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="The result as a JSON object.")]


def repl(port: str, wait: float = WAIT_SECONDS, via: str = "mpremote") -> Repl:
    """A way into the node on `port`. Raises UserError for a protocol that there is not."""
    chosen: dict[str, Via] = {"mpremote": "mpremote", "ampy": "ampy"}
    if via not in chosen:
        raise UserError(f"via: there is {' and '.join(VIAS)}, no {via!r}")
    return Repl(port, wait=wait, tell=tell, via=chosen[via])


@contextmanager
def node(port: str, wait: float = WAIT_SECONDS, via: str = "mpremote") -> Iterator[Repl]:
    """The node's REPL; afterwards it is started again, whatever happened."""
    with repl(port, wait, via) as opened:
        try:
            yield opened
        finally:
            with suppress(BorneError):
                opened.reset()


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
