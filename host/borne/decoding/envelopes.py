"""One line of a stream -> one Uplink: the JSON of four network servers, our own MQTT, and bare bytes in hex or base64.

The envelopes are declared as the fields that we read; msgspec parses those and skips the rest, which is faster than
building dictionaries. It takes numbers as text (strict=False), which ThingPark sends now and then.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from msgspec import DecodeError as JsonError
from msgspec import Raw, Struct, ValidationError, field
from msgspec.json import Decoder

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


_NONE = Raw()


def _there(*raw: Raw) -> bool:
    """Whether one of the fields is there and not null."""
    return any(one is not _NONE and bytes(one) != b"null" for one in raw)


class _Heard(Struct, gc=False):
    """One gateway's reception."""

    rssi: float | None = None
    snr: float | None = None


# The Things Stack v3, from MQTT, a webhook, its event stream or its storage.


class _TtsIds(Struct, gc=False):
    device_id: str | None = None
    dev_eui: str | None = None
    dev_addr: str | None = None


class _TtsSettings(Struct, gc=False):
    frequency: int | None = None


class _TtsUplink(Struct):
    """Empty text, 0 and false are omitted (protobuf's JSON): a first uplink has no f_cnt."""

    f_port: int = 0
    f_cnt: int = 0
    frm_payload: bytes = b""
    rx_metadata: list[_Heard] = []
    settings: _TtsSettings | None = None
    received_at: str | None = None
    session_key_id: str | None = None
    app_s_key: Raw = _NONE


class _Tts(Struct):
    end_device_ids: _TtsIds | None = None
    uplink_message: _TtsUplink | None = None
    received_at: str | None = None
    result: _Tts | None = None  # Storage Integration and gRPC streams wrap each message
    data: _Tts | None = None  # an event of the console's stream (as.up.data.forward) wraps it as well


def _the_things_stack(message: _Tts) -> Uplink | None:
    inner = message.result or message.data
    if inner is not None:
        return _the_things_stack(inner)
    up, ids = message.uplink_message, message.end_device_ids or _TtsIds()
    if up is None:
        return None
    # It comes with the payload where skip_payload_crypto is on.
    if up.app_s_key is not _NONE and _there(up.app_s_key):
        raise EnvelopeError("the payload is still encrypted: let the server decrypt it (app_s_key)")
    heard = _best(up.rx_metadata)
    return Uplink(
        up.f_port,
        up.frm_payload,
        ids.dev_eui.upper() if ids.dev_eui else ids.device_id,
        up.received_at or message.received_at,
        up.f_cnt,
        up.session_key_id or ids.dev_addr,
        heard.rssi,
        heard.snr,
        up.settings.frequency if up.settings else None,
        len(up.rx_metadata),
    )


# ChirpStack v4, event "up", from MQTT or HTTP; its other events (join, status, ack, log) have no counter or port.


class _ChirpDevice(Struct, gc=False):
    devEui: str | None = None  # noqa: N815 - the names are ChirpStack's


class _ChirpHeard(Struct, gc=False):
    """Values at their default are written at event level, but left out in here: a missing rssi is 0."""

    rssi: float = 0.0
    snr: float = 0.0


class _ChirpTx(Struct, gc=False):
    frequency: int | None = None


class _Chirp(Struct):
    deviceInfo: _ChirpDevice | None = None  # noqa: N815
    devAddr: str | None = None  # noqa: N815
    time: str | None = None
    fCnt: int | None = None  # noqa: N815
    fPort: int | None = None  # noqa: N815
    data: bytes | None = None
    rxInfo: list[_ChirpHeard] = []  # noqa: N815
    txInfo: _ChirpTx | None = None  # noqa: N815
    joinServerContext: Raw = _NONE  # noqa: N815


def _chirpstack(message: _Chirp) -> Uplink | None:
    if message.fCnt is None and message.fPort is None:
        return None
    if _there(message.joinServerContext):
        raise EnvelopeError("the payload is still encrypted: a join server has the key (joinServerContext)")
    heard = _best(message.rxInfo)
    device = message.deviceInfo.devEui if message.deviceInfo else None
    return Uplink(
        message.fPort or 0,
        message.data or b"",
        device.upper() if device else None,
        message.time,
        message.fCnt or 0,
        message.devAddr,
        heard.rssi,
        heard.snr,
        message.txInfo.frequency if message.txInfo else None,
        len(message.rxInfo),
    )


# ThingPark (Actility), document `DevEUI_uplink`.


class _ThingParkHeard(Struct, gc=False):
    rssi: float | None = field(default=None, name="LrrRSSI")
    snr: float | None = field(default=None, name="LrrSNR")


class _ThingParkHeards(Struct):
    # One gateway is no list where the document was XML first.
    all: list[_ThingParkHeard] | _ThingParkHeard = field(default=[], name="Lrr")


class _ThingParkUplink(Struct):
    dev_eui: str | None = field(default=None, name="DevEUI")
    dev_addr: str | None = field(default=None, name="DevAddr")
    time: str | None = field(default=None, name="Time")
    port: int = field(default=0, name="FPort")
    f_cnt: int | None = field(default=None, name="FCntUp")
    payload: str = field(default="", name="payload_hex")
    rssi: float | None = field(default=None, name="LrrRSSI")
    snr: float | None = field(default=None, name="LrrSNR")
    frequency: float | None = field(default=None, name="Frequency")
    heard: _ThingParkHeards | None = field(default=None, name="Lrrs")


class _ThingPark(Struct):
    uplink: _ThingParkUplink | None = field(default=None, name="DevEUI_uplink")


def _thingpark(message: _ThingPark) -> Uplink | None:
    up = message.uplink
    if up is None:
        return None
    all_heard = up.heard.all if up.heard else []
    heard = all_heard if isinstance(all_heard, list) else [all_heard]
    best = _best([*heard, _ThingParkHeard(up.rssi, up.snr)])
    return Uplink(
        up.port,
        _hex(up.payload, "payload_hex"),
        up.dev_eui.upper() if up.dev_eui else None,
        up.time,
        up.f_cnt,
        up.dev_addr,
        best.rssi,
        best.snr,
        _hertz(up.frequency),
        len(heard) or None,
    )


# Orange Live Objects, data message of a LoRa device.


class _LiveLora(Struct):
    port: int = 0
    fcnt: int | None = None
    devEUI: str | None = None  # noqa: N815 - the names are Live Objects'
    sessionId: str | None = None  # noqa: N815
    rssi: float | None = None
    snr: float | None = None
    frequency: float | None = None
    gatewayCnt: int | None = None  # noqa: N815


class _LiveNetwork(Struct):
    lora: _LiveLora | None = None


class _LiveMetadata(Struct):
    network: _LiveNetwork | None = None


class _LiveValue(Struct):
    payload: str | None = None


class _Live(Struct):
    metadata: _LiveMetadata | None = None
    value: _LiveValue | None = None
    timestamp: str | None = None


def _live_objects(message: _Live) -> Uplink | None:
    network = message.metadata.network if message.metadata else None
    up = network.lora if network else None
    if up is None:
        return None
    return Uplink(
        up.port,
        _hex((message.value.payload if message.value else None) or "", "value.payload"),
        up.devEUI.upper() if up.devEUI else None,
        message.timestamp,
        up.fcnt,
        up.sessionId,
        up.rssi,
        up.snr,
        _hertz(up.frequency),
        up.gatewayCnt,
    )


# Our own MQTT, as {"topic", "payload" in hex, "time"}; `tst` is how mosquitto_sub calls the time.


class _Mqtt(Struct):
    topic: str = ""
    payload: str = ""
    time: str | None = None
    tst: str | None = None


def _mqtt(message: _Mqtt) -> Uplink | None:
    match = _TOPIC.fullmatch(message.topic)
    if match is None:
        return None
    return Uplink(int(match[2]), _hex(message.payload, "payload"), match[1], message.time or message.tst)


_TOPIC = re.compile(r"borne/v1/([^/]+)/up/([0-9]{1,3})")


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


class _Form(NamedTuple):
    """How to read one server's JSON: parse into a Struct, then take what it says."""

    parse: Callable[[bytes | str], Any]
    take: Callable[[Any], Uplink | None]


def _form(kind: Any, take: Callable[[Any], Uplink | None]) -> _Form:
    return _Form(Decoder(kind, strict=False).decode, take)


_JSON = {
    "tts": _form(_Tts, _the_things_stack),
    "chirpstack": _form(_Chirp, _chirpstack),
    "thingpark": _form(_ThingPark, _thingpark),
    "liveobjects": _form(_Live, _live_objects),
    "mqtt": _form(_Mqtt, _mqtt),
}
FORMS = ("auto", *_JSON, "hex", "base64")


class _Probe(Struct):
    """The fields by which a message shows whose it is."""

    end_device_ids: Raw = _NONE
    uplink_message: Raw = _NONE
    result: Raw = _NONE
    deviceInfo: Raw = _NONE  # noqa: N815
    uplink: Raw = field(default=_NONE, name="DevEUI_uplink")
    location: Raw = field(default=_NONE, name="DevEUI_location")
    notification: Raw = field(default=_NONE, name="DevEUI_notification")
    metadata: Raw = _NONE
    streamId: Raw = _NONE  # noqa: N815
    topic: Raw = _NONE
    data: Raw = _NONE


_probe = Decoder(_Probe).decode


def _recognise(line: bytes | str) -> str:
    found = _probe(line)
    if _there(found.deviceInfo):
        return "chirpstack"
    if _there(found.uplink, found.location, found.notification):
        return "thingpark"
    if _there(found.end_device_ids, found.uplink_message, found.result):
        return "tts"
    if _there(found.metadata, found.streamId):
        return "liveobjects"
    if _there(found.topic):
        return "mqtt"
    if bytes(found.data)[:1] == b"{":  # text in ChirpStack, an object in The Things Stack's events
        return "tts"
    raise EnvelopeError("is JSON of no network server that is known: name it with --from")


def reader(form: str = "auto", port: int | None = None) -> Callable[[bytes | str], Uplink | None]:
    """A function that reads one line of a stream; it gives None for a message that is no uplink, raises EnvelopeError.

    form  one of FORMS; `port` is for lines of bytes alone
    """
    if form in _JSON:
        parse, take = _JSON[form]

        def read_json(line: bytes | str) -> Uplink | None:
            try:
                uplink = take(parse(line))
            except (ValidationError, JsonError, UnicodeDecodeError) as error:
                raise EnvelopeError(f"is no message of the kind: {error}") from None
            # A frame of MAC commands alone carries nothing of the application: no port, or port 0.
            return uplink if uplink is None or uplink.port or uplink.payload else None

        return read_json

    chosen = None if form == "auto" else form

    def read_any(line: bytes | str) -> Uplink | None:
        line = line.strip()
        if form == "auto" and line[:1] in (b"{", "{"):
            try:
                name = _recognise(line)
            except (ValidationError, JsonError, UnicodeDecodeError) as error:
                raise EnvelopeError(f"is no message of the kind: {error}") from None
            return _readers[name](line)
        try:
            text = line if isinstance(line, str) else line.decode("ascii")
        except UnicodeDecodeError:
            raise EnvelopeError("is no text") from None
        return bare(text, port, chosen)

    return read_any


_readers = {name: reader(name) for name in _JSON}


def read(line: bytes | str, form: str = "auto", port: int | None = None) -> Uplink | None:
    """One line of a stream, as by reader(form, port)."""
    return reader(form, port)(line)


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


def _best(heard: Any) -> Any:
    """The reception with the best SNR; one without SNR counts least."""
    if len(heard) == 1:
        return heard[0]
    return max(heard, key=lambda one: -1e9 if one.snr is None else one.snr, default=_NOBODY)


_NOBODY = _Heard()


def _hertz(megahertz: float | None) -> int | None:
    return None if megahertz is None else round(megahertz * 1_000_000)


def _hex(given: str, name: str) -> bytes:
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
