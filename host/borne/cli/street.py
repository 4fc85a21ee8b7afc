"""borne street: a virtual street, from bare boards to decoded reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.live import Live

from borne.decoding import listen
from borne.errors import UserError

if TYPE_CHECKING:
    from borne.virtual.street import Event
    from borne.virtual.street.picture import Picture

_FRAMES_A_SECOND = 8


def street(
    days: Annotated[float, typer.Option("--days", help="Days to play; may be a fraction.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed plays the same street.")] = 7,
    nodes: Annotated[int, typer.Option("--nodes", help="1 to 50: parking, light, fill, and again.")] = 3,
    link: Annotated[
        str | None, typer.Option("--link", help="wifi or lorawan for all; without it LoRaWAN, one by Wi-Fi.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Lines for a pipe, as when the output is no terminal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a report.")] = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Empty folder for the boards' flash files, which then stay.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", help="Write the last picture of the terminal to this file.")
    ] = None,
) -> None:
    """Flash, provision and run virtual nodes on a street that lives; decode what they send.

    At the end, what was released is compared with what truly happened.
    """
    try:
        from borne.virtual import street as library
        from borne.virtual import world
        from borne.virtual.street.picture import Picture
    except ModuleNotFoundError as error:
        raise UserError(f"street: needs {error.name}: install borne[street]") from None
    if svg and not svg.absolute().parent.is_dir():
        raise UserError(f"svg: there is no folder {svg.parent}")
    if link is None and not library.is_available():
        print("borne: street: pamoja-gateway is not there: all nodes report by Wi-Fi", file=sys.stderr)
    with closing(library.play(seed, days, nodes, link=link, folder=keep)) as events:
        picture = Picture(world.assets(seed, nodes), days)
        watched = picture.watch(events)
        if as_json:
            _json(watched)
        elif plain or not sys.stdout.isatty():
            _plain(picture, watched, picture.opening(seed))
        else:
            _live(picture, watched)
    if svg:
        picture.save(svg)


def _json(events: Iterable[Event]) -> None:
    from borne.virtual.street import Reported

    for event in events:
        if isinstance(event, Reported):
            found = listen.as_json(event.heard, event.received) | {"place": event.asset.place}
            print(json.dumps(found, ensure_ascii=False), flush=True)


def _plain(picture: Picture, events: Iterable[Event], opening: str) -> None:
    """`opening` is printed with the first event: who then presses Ctrl-C meets a street that can be taken down."""
    for event in events:
        if opening:
            print(opening, flush=True)
            opening = ""
        line = picture.line(event)
        if line is not None:
            print(line, flush=True)


def _live(picture: Picture, events: Iterable[Event]) -> None:
    console = Console(highlight=False)
    with Live(picture, console=console, refresh_per_second=_FRAMES_A_SECOND, transient=True):
        for _ in events:
            pass
    console.print(picture)
