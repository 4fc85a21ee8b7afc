"""Semtech's gateway message protocol, version 2, the gateway's side: datagrams, and the JSON inside them.

Source: Lora-net/packet_forwarder, PROTOCOL.TXT v1.4.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from borne.virtual.silicon.lora_air import Transmission

PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK = range(6)
_VERSION = 2
_GPS_EPOCH_S = 315_964_800
_LEAP_S = 18  # GPS ahead of UTC since 2017
_TICKS = 1 << 32


class Refused(Exception):
    """A PULL_RESP that is not carried out; the text is the TX_ACK's error."""


def datagram(kind: int, token: int, eui: str = "", body: object = None) -> bytes:
    """One datagram; `body` becomes JSON."""
    head = bytes((_VERSION,)) + token.to_bytes(2, "big") + bytes((kind,)) + bytes.fromhex(eui)
    return head + (json.dumps(body, separators=(",", ":")).encode() if body is not None else b"")


def parse(raw: bytes) -> tuple[int, int, bytes] | None:
    """(kind, token, JSON) of what a server sends, None for what is no such datagram."""
    if len(raw) < 4 or raw[0] != _VERSION or raw[3] > TX_ACK:
        return None
    return raw[3], int.from_bytes(raw[1:3], "big"), raw[4:]


def rxpk(packet: Transmission, rssi: float, snr: float, tmst: int, channel: int) -> dict[str, Any]:
    """A received frame (PROTOCOL.TXT, 4). Its time is that of its end."""
    seconds, micros = divmod(packet.end_us, 1_000_000)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return {
        "tmst": tmst,
        "time": f"{stamp}.{micros:06d}Z",
        "tmms": (packet.end_us // 1000) - (_GPS_EPOCH_S - _LEAP_S) * 1000,
        "chan": channel,
        "rfch": 0,
        # The synthesizer of an SX127x has steps of 61 Hz; a concentrator reports its channel.
        "freq": round(packet.frequency / 1e6, 3),
        "stat": 1,
        "modu": "LORA",
        "datr": f"SF{packet.sf}BW{packet.bandwidth // 1000}",
        "codr": f"4/{packet.coding}",
        "rssi": round(rssi),
        "lsnr": round(snr, 1),
        "size": len(packet.payload),
        "data": base64.b64encode(packet.payload).decode(),
    }


def transmission(body: bytes, now_us: int, epoch_us: int) -> Transmission:
    """The frame that a PULL_RESP asks for, at its simulated time. Raises Refused, ValueError for what is malformed.

    `epoch_us`: when the concentrator's counter stood at zero.
    """
    try:
        asked = json.loads(body)["txpk"]
        modulation, payload = asked["modu"], base64.b64decode(asked["data"], validate=True)
        sf, bandwidth = (int(part) for part in asked["datr"].removeprefix("SF").split("BW"))
        frequency, coding = round(asked["freq"] * 1e6), int(asked["codr"].removeprefix("4/"))
        power = float(asked.get("powe", 14))
        start_us = _start(asked, now_us, epoch_us)
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ValueError(f"no txpk: {error!r}") from None
    if modulation != "LORA" or not 7 <= sf <= 12 or len(payload) > 255:
        raise ValueError("no LoRa frame")
    return Transmission(
        payload,
        start_us,
        frequency,
        sf,
        bandwidth * 1000,
        coding=coding,
        inverted=bool(asked.get("ipol", False)),
        crc=not asked.get("ncrc", False),
        preamble=int(asked.get("prea", 8)),
        power=round(power),
    )


def _start(asked: dict[str, Any], now_us: int, epoch_us: int) -> int:
    if asked.get("imme"):
        return now_us
    if "tmst" in asked:
        ahead = (int(asked["tmst"]) - (now_us - epoch_us)) % _TICKS
        return now_us + (ahead - _TICKS if ahead >= _TICKS // 2 else ahead)
    return (int(asked["tmms"]) + (_GPS_EPOCH_S - _LEAP_S) * 1000) * 1000
