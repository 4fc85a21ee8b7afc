"""One line of a stream -> one Uplink: the JSON of four network servers, our own MQTT, and bare bytes in hex or base64.

Every reader takes what the servers send, not what their documents promise; the odd lines name their source.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from borne.errors import EnvelopeError


class Uplink(NamedTuple):
    """What a network says about one frame. `time` is ISO 8601 with zone; None where the network did not say.

    device   DevEUI in upper case, or the node's name over MQTT
    session  tells sessions of a device apart, whose frame counters begin anew
    gateways how many heard it; rssi (dBm) and snr (dB) are those of the best SNR; frequency is in Hz
    """

    port: int
    payload: bytes
    device: str | None = None
    time: str | None = None
    f_cnt: int | None = None
    session: str | None = None
    rssi: float | None = None
    snr: float | None = None
    frequency: int | None = None
    gateways: int | None = None


Reader = Callable[[Any], Uplink | None]


def the_things_stack(message: dict[str, Any]) -> Uplink | None:
    """The Things Stack v3, from MQTT, a webhook, its event stream or its storage; None for what is no uplink.

    Empty text, 0 and false are omitted: protobuf's JSON mapping. A first uplink has no f_cnt, a MAC-only one no f_port.
    """
    message = message.get("result") or message  # Storage Integration and gRPC streams wrap each message
    if (
        "data" in message and "end_device_ids" not in message
    ):  # an event wraps it once more (as.up.data.forward)
        message = message["data"]
    up = message.get("uplink_message")
    if up is None:
        return None
    if "app_s_key" in up:  # sent with the payload where its decryption is switched off (skip_payload_crypto)
        raise EnvelopeError("the payload is still encrypted: let the server decrypt it")
    ids = message.get("end_device_ids") or {}
    rssi, snr = _best(up.get("rx_metadata") or ())
    settings = up.get("settings") or {}
    return Uplink(
        _whole(up.get("f_port", 0), "f_port"),
        _base64(up.get("frm_payload", ""), "frm_payload"),
        _device(ids.get("dev_eui")) or ids.get("device_id"),
        up.get("received_at") or message.get("received_at"),
        _whole(up.get("f_cnt", 0), "f_cnt"),
        up.get("session_key_id") or ids.get("dev_addr"),
        rssi,
        snr,
        _hertz(settings.get("frequency")),
        len(up.get("rx_metadata") or ()),
    )


def chirpstack(message: dict[str, Any]) -> Uplink | None:
    """ChirpStack v4, event "up", from MQTT or HTTP; None for its other events (join, status, ack, txack, log).

    Values at their default are written out at event level, but left out inside rxInfo: a missing rssi is 0.
    """
    if "fCnt" not in message and "fPort" not in message:
        return None
    if message.get("joinServerContext") or message.get("join_server_context"):
        raise EnvelopeError(
            "the payload is still encrypted: the join server keeps the key (joinServerContext)"
        )
    info = message.get("deviceInfo") or {}
    heard = message.get("rxInfo") or ()
    rssi, snr = _best([{"rssi": one.get("rssi", 0), "snr": one.get("snr", 0)} for one in heard])
    return Uplink(
        _whole(message.get("fPort", 0), "fPort"),
        _base64(message.get("data") or "", "data"),
        _device(info.get("devEui")),
        message.get("time"),
        _whole(message.get("fCnt", 0), "fCnt"),
        message.get("devAddr"),
        rssi,
        snr,
        _hertz((message.get("txInfo") or {}).get("frequency")),
        len(heard),
    )


def thingpark(message: dict[str, Any]) -> Uplink | None:
    """ThingPark (Actility), `DevEUI_uplink`; None for its other documents. Numbers may come as text."""
    up = message.get("DevEUI_uplink")
    if up is None:
        return None
    heard = (up.get("Lrrs") or {}).get("Lrr") or ()
    heard = [heard] if isinstance(heard, dict) else heard  # one gateway is no list where the source was XML
    reports = [{"rssi": one.get("LrrRSSI"), "snr": one.get("LrrSNR")} for one in (*heard, up)]
    rssi, snr = _best(reports)
    return Uplink(
        _whole(up.get("FPort", 0), "FPort"),
        _hex(up.get("payload_hex", ""), "payload_hex"),
        _device(up.get("DevEUI")),
        up.get("Time"),
        None if up.get("FCntUp") is None else _whole(up["FCntUp"], "FCntUp"),
        up.get("DevAddr"),
        rssi,
        snr,
        _megahertz(up.get("Frequency")),
        len(heard) or None,
    )


def live_objects(message: dict[str, Any]) -> Uplink | None:
    """Orange Live Objects, a data message of a LoRa device; None for messages of other interfaces."""
    network = ((message.get("metadata") or {}).get("network") or {}).get("lora")
    if network is None:
        return None
    return Uplink(
        _whole(network.get("port", 0), "metadata.network.lora.port"),
        _hex((message.get("value") or {}).get("payload") or "", "value.payload"),
        _device(network.get("devEUI")),
        message.get("timestamp"),
        None if network.get("fcnt") is None else _whole(network["fcnt"], "metadata.network.lora.fcnt"),
        network.get("sessionId"),
        _real(network.get("rssi")),
        _real(network.get("snr")),
        _megahertz(network.get("frequency")),
        None if network.get("gatewayCnt") is None else _whole(network["gatewayCnt"], "gatewayCnt"),
    )


_TOPIC = re.compile(r"borne/v1/([^/]+)/up/([0-9]{1,3})")


def mqtt(message: dict[str, Any]) -> Uplink | None:
    """Our own MQTT, as {"topic", "payload" in hex, "time"?}: what `mosquitto_sub -F` can write; None for downlinks."""
    match = _TOPIC.fullmatch(message.get("topic", ""))
    if match is None:
        return None
    time = message.get("time") or message.get("tst")
    return Uplink(int(match[2]), _hex(message.get("payload", ""), "payload"), match[1], time)


def bare(text: str, port: int | None = None, form: str | None = None) -> Uplink:
    """PORT and bytes, or a topic and bytes (`mosquitto_sub -F '%t %x'`), or bytes alone where the port is given.

    Raises EnvelopeError. Bytes are hex where they can be; `form` "base64" or "hex" decides what is both.
    """
    parts = re.split(r"[\s,;:]+", text.strip())
    match = _TOPIC.fullmatch(parts[0])
    if match is not None and len(parts) <= 2:
        return Uplink(int(match[2]), _either(parts[1] if len(parts) == 2 else "", form), match[1])
    if len(parts) == 2 and parts[0].isascii() and parts[0].isdigit() and len(parts[0]) <= 3:
        return Uplink(int(parts[0]), _either(parts[1], form))
    if len(parts) == 1 and port is not None:
        return Uplink(port, _either(parts[0], form))
    if len(parts) == 1:
        raise EnvelopeError("has no port: write PORT BYTES")
    raise EnvelopeError("is neither JSON nor PORT BYTES in hex or base64")


# Recognised by a field that no other has, in this order.
JSON_FORMS: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "tts": (the_things_stack, ("end_device_ids", "result", "uplink_message", "data")),
    "chirpstack": (chirpstack, ("deviceInfo",)),
    "thingpark": (thingpark, ("DevEUI_uplink",)),
    "liveobjects": (live_objects, ("metadata", "streamId")),
    "mqtt": (mqtt, ("topic",)),
}
FORMS = ("auto", *JSON_FORMS, "hex", "base64")


def recognise(message: dict[str, Any]) -> Reader:
    """The reader for a JSON object. Raises EnvelopeError."""
    if "deviceInfo" in message:  # has "data" too, which The Things Stack's events have
        return chirpstack
    for name in ("DevEUI_uplink", "end_device_ids", "metadata", "topic"):
        if name in message:
            return next(reader for reader, names in JSON_FORMS.values() if name in names)
    if any(
        name.startswith("DevEUI_") for name in message
    ):  # ThingPark's location, notification, multicast documents
        return thingpark
    if any(isinstance(message.get(name), dict) for name in ("result", "data", "uplink_message")):
        return the_things_stack
    raise EnvelopeError("is JSON of no network server that is known: name it with --from")


def read(line: bytes | str, form: str = "auto", port: int | None = None) -> Uplink | None:
    """One line of a stream; None for a message that is no uplink. Raises EnvelopeError.

    form  one of FORMS; `port` is for lines of bytes alone
    """
    line = line.strip()
    if form in JSON_FORMS or (form == "auto" and line[:1] in (b"{", "{")):
        message = _json(line)
        reader = JSON_FORMS[form][0] if form != "auto" else recognise(message)
        try:
            uplink = reader(message)
            # A frame of MAC commands alone carries nothing of the application: no port, or port 0.
            return uplink if uplink is None or uplink.port or uplink.payload else None
        except (AttributeError, TypeError, KeyError) as error:
            raise EnvelopeError(f"is no message of {reader.__name__}: {error}") from None
    try:
        text = line if isinstance(line, str) else line.decode("ascii")
    except UnicodeDecodeError:
        raise EnvelopeError("is no text") from None
    return bare(text, port, None if form == "auto" else form)


def nanoseconds(time: str) -> int:
    """Unix time in ns of ISO 8601 with up to nine decimals and a zone. Raises EnvelopeError."""
    match = _TIME.fullmatch(time)
    if match is None:
        raise EnvelopeError(f"{time!r} is no time with a zone")
    try:
        whole = datetime.fromisoformat(match[1] + (match[3] if match[3] not in "Zz" else "+00:00"))
    except ValueError:
        raise EnvelopeError(f"{time!r} is no time") from None
    since = whole.astimezone(UTC) - _EPOCH
    return (since.days * 86400 + since.seconds) * 10**9 + int((match[2] or "").ljust(9, "0")[:9])


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# mosquitto_sub writes the zone without a colon (+0100); datetime takes both.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:[.,](\d{1,12}))?([Zz]|[+-]\d\d:?\d\d)")


def _json(line: bytes | str) -> dict[str, Any]:
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise EnvelopeError(f"is no JSON: {error}") from None
    if not isinstance(message, dict):
        raise EnvelopeError("is no JSON object")
    return message


def _best(heard: Any) -> tuple[float | None, float | None]:
    """RSSI and SNR of the gateway with the best SNR; one without SNR counts least."""
    if len(heard) == 1:
        return _real(heard[0].get("rssi")), _real(heard[0].get("snr"))
    best: tuple[float | None, float | None] = (None, None)
    for one in heard:
        snr, rssi = _real(one.get("snr")), _real(one.get("rssi"))
        if (snr is not None and (best[1] is None or snr > best[1])) or (best == (None, None)):
            best = (rssi, snr)
    return best


def _device(given: Any) -> str | None:
    return given.upper() if isinstance(given, str) and len(given) == 16 else given


def _whole(given: Any, name: str) -> int:
    if type(given) is int:
        return given
    if isinstance(given, str) and given.isascii() and given.isdigit():
        return int(given)
    raise EnvelopeError(f"{name} is {given!r}, no whole number")


def _real(given: Any) -> float | None:
    try:
        return None if given is None else float(given)
    except (TypeError, ValueError):
        return None


def _hertz(given: Any) -> int | None:
    number = _real(given)
    return None if number is None else round(number)


def _megahertz(given: Any) -> int | None:
    number = _real(given)
    return None if number is None else round(number * 1_000_000)


def _base64(given: Any, name: str) -> bytes:
    try:
        return binascii.a2b_base64(given, strict_mode=True)
    except (binascii.Error, ValueError, TypeError):
        raise EnvelopeError(f"{name} is no base64") from None


def _hex(given: Any, name: str) -> bytes:
    try:
        return binascii.unhexlify(given)
    except (binascii.Error, ValueError, TypeError):
        raise EnvelopeError(f"{name} is no hex") from None


def _either(text: str, form: str | None) -> bytes:
    if form != "base64":
        try:
            return binascii.unhexlify(text.removeprefix("0x"))
        except (binascii.Error, ValueError):
            if form == "hex":
                raise EnvelopeError(f"{text[:40]!r} is no hex") from None
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise EnvelopeError(f"{text[:40]!r} is {'no base64' if form else 'neither hex nor base64'}") from None
