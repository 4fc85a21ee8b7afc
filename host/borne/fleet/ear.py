"""Messages of nodes as brokers carry them: our own topics, and those of ChirpStack and The Things Stack; and back."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final

from borne.decoding import envelopes
from borne.decoding.envelopes import Uplink
from borne.errors import EnvelopeError
from borne_node.report import schema

# Ours; ChirpStack v4, "MQTT", Events; The Things Stack, "MQTT Server", Subscribing to Upstream Traffic.
TOPICS: Final = ("borne/v1/+/up/+", "application/+/device/+/event/up", "v3/+/devices/+/up")
_OWN, _CHIRPSTACK, _STACK = "borne", "application", "v3"


@dataclass(frozen=True)
class Message:
    """One message. `uplink` is None where it is none (`reason`)."""

    topic: str
    uplink: Uplink | None
    reason: str = ""


def take(topic: str, payload: bytes) -> Message:
    """What a message under TOPICS says."""
    parts = topic.split("/")
    if parts[0] == _OWN:
        if not (parts[4].isascii() and parts[4].isdigit()):
            return Message(topic, None, f"{parts[4]!r} is no port")
        return Message(topic, Uplink(int(parts[4]), payload, parts[2]))
    try:
        return Message(topic, envelopes.read(payload))
    except EnvelopeError as error:
        return Message(topic, None, str(error))


def downlink(topic: str, device: str, payload: bytes) -> tuple[str, bytes]:
    """Topic and content of a command (port 5) for the node whose message came under `topic`; `device`: its DevEUI."""
    parts = topic.split("/")
    if parts[0] == _OWN:
        return f"borne/v1/{parts[2]}/down/{schema.COMMAND}", payload
    data = base64.b64encode(payload).decode()
    if parts[0] == _CHIRPSTACK:
        order = {"devEui": device.lower(), "confirmed": False, "fPort": int(schema.COMMAND), "data": data}
        return "/".join((*parts[:4], "command", "down")), json.dumps(order).encode()
    queued = {"f_port": int(schema.COMMAND), "frm_payload": data, "priority": "NORMAL"}
    return "/".join((*parts[:4], "down", "push")), json.dumps({"downlinks": [queued]}).encode()
