"""borne listen: decode what arrives on a broker."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from borne.decoding import listen as library
from borne.decoding.listen import Heard, Shown

# What the gate did to a value, as sign and as style.
SIGNS = {"noised": "~", "coarse": "≈", "suppressed": "", "unknown": "", "overflow": "", "": ""}
STYLES = {
    "noised": "yellow",
    "coarse": "cyan",
    "suppressed": "magenta",
    "unknown": "dim",
    "overflow": "red",
    "": "",
}


def listen(
    mqtt: Annotated[
        str, typer.Option("--mqtt", help="Broker: mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS.")
    ],
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a report.")] = False,
) -> None:
    """Decode reports as they arrive. A password is taken from BORNE_MQTT_PASSWORD."""
    console = Console(highlight=False, soft_wrap=True)
    for heard in library.listen(library.broker(mqtt), count=count, note=_note):
        now = int(time.time())
        if as_json:
            print(json.dumps(library.as_json(heard, now), ensure_ascii=False), flush=True)
        else:
            console.print(line(heard, now))


def _note(text: str) -> None:
    print(f"borne: {text}", file=sys.stderr, flush=True)


def line(heard: Heard, received: int) -> Text:
    """One message as one line."""
    text = Text(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(received))}  ")
    text.append(f"{heard.name:<12}", "bold")
    if heard.report is None:
        return text.append(f"  not decoded: {heard.reason}  {heard.payload.hex()}", "red")
    text.append(f"  {heard.report.kind:<12}  ")
    return text.append_text(values(library.shown(heard.report))).append(f"  {len(heard.payload)} B", "dim")


def values(all_shown: tuple[Shown, ...], *, unknown: bool = True) -> Text:
    """The values of a report with their marks. Without `unknown`, those that nobody measured are left out."""
    parts = [_value(one) for one in all_shown if unknown or one.mark != "unknown"]
    return Text(", ").join(parts)


def _value(one: Shown) -> Text:
    text = Text(f"{one.name.replace('_', ' ')} ")
    return text.append(SIGNS[one.mark] + one.text, STYLES[one.mark])
