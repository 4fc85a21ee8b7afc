"""borne fleet listen: reports with their asset's name and place; what is queued goes out."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from borne import broker
from borne.broker import PASSWORD_VARIABLE
from borne.cli.fleet.options import RegistryOption
from borne.decoding.listen import Subscriber, marked, shown
from borne.fleet import ear, hearing
from borne.fleet.hearing import Heard
from borne.fleet.registry import Registry, Stamp, open_registry

_LOOK_UP_S = 0.5


def listen(
    mqtt: Annotated[
        str, typer.Option("--mqtt", help="Broker: mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS.")
    ],
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    registry: RegistryOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a message.")] = False,
) -> None:
    """Decode reports as they arrive, with asset and place; note that their nodes live; send what is queued for them.

    Hears our own topics, and those of ChirpStack and The Things Stack. A password is taken from BORNE_MQTT_PASSWORD.
    """
    store = open_registry(registry, create=False)
    at = broker.parse(mqtt)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    console = Console(highlight=False, soft_wrap=True)
    left = count
    with Subscriber(at, password, _note, ear.TOPICS, ear.take) as subscriber:
        _note(f"{at}: listening")
        while left is None or left > 0:
            message = subscriber.next(_LOOK_UP_S)
            if message is None:
                continue
            left = None if left is None else left - 1
            heard = _take(store, subscriber, message)
            if heard is None:
                _note(f"{message.topic}: {message.reason or 'is no uplink'}")
            elif as_json:
                print(json.dumps(_as_json(heard), ensure_ascii=False), flush=True)
            else:
                console.print(_line(heard))


def _take(store: Registry, subscriber: Subscriber, message: ear.Message) -> Heard | None:
    uplink = message.uplink
    if uplink is None or not uplink.device:
        return None
    stamp = Stamp()
    heard = hearing.hear(
        store, uplink.device, uplink.port, uplink.payload, stamp, rssi=uplink.rssi, snr=uplink.snr
    )
    if heard.standing is not None:
        for payload in hearing.commands(store, heard.standing, stamp):
            subscriber.publish(*ear.downlink(message.topic, uplink.device, payload))
    return heard


def _note(text: str) -> None:
    print(f"borne: {text}", file=sys.stderr, flush=True)


def _line(heard: Heard) -> Text:
    text = Text(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  ")
    if heard.standing is None:
        return text.append(f"{heard.device}: is in nobody's list", "yellow")
    asset = heard.standing.asset
    text.append(f"{asset.asset:<12}", "bold").append(f"  {asset.street or asset.site or ''}  ", "dim")
    if heard.report is None:
        return text.append(f"not decoded: {heard.reason}", "red")
    text.append(f"{heard.report.kind}  ").append_text(marked(shown(heard.report)))
    if heard.confirmed:
        text.append(f"  has {', '.join(heard.confirmed)}", "green")
    if heard.differs:
        text.append("  has other settings than the registry knows: provision it again", "red")
    return text


def _as_json(heard: Heard) -> dict[str, Any]:
    asset = heard.standing.asset if heard.standing else None
    return {
        "device": heard.device,
        "asset": asset.asset if asset else None,
        "street": asset.street if asset else None,
        "site": asset.site if asset else None,
        "latitude": asset.latitude if asset else None,
        "longitude": asset.longitude if asset else None,
        "report": heard.report.as_dict() if heard.report else None,
        "reason": heard.reason or None,
        "confirmed": list(heard.confirmed),
        "differs": heard.differs,
    }
