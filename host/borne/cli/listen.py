"""borne listen: decode what arrives on a broker."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from borne import broker
from borne.decoding import listen as library


def listen(
    mqtt: Annotated[
        str, typer.Option("--mqtt", help="Broker: mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS.")
    ],
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a report.")] = False,
) -> None:
    """Decode reports as they arrive. A password is taken from BORNE_MQTT_PASSWORD."""
    console = Console(highlight=False, soft_wrap=True)
    for heard in library.listen(broker.parse(mqtt), count=count, note=_note):
        now = int(time.time())
        if as_json:
            print(json.dumps(library.as_json(heard, now), ensure_ascii=False), flush=True)
        else:
            console.print(library.line(heard, now))


def _note(text: str) -> None:
    print(f"borne: {text}", file=sys.stderr, flush=True)
