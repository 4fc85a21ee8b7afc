"""A LoRaWAN network server for tests and the virtual street, around pamoja-gateway.

pamoja (an independent implementation) checks joins and uplinks: keys, integrity codes, counters. Added here is what it
leaves to its user: refusal of a DevNonce that was used, sessions that outlive a lost join accept, acknowledgements,
LinkCheckAns, DeviceTimeAns, adaptive data rate, downlinks that wait. It talks Semtech's UDP protocol with gateways, and
answers an uplink before it acknowledges it, so that a gateway in simulated time need not wait to learn that no answer
comes.
"""

from __future__ import annotations

import base64
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pamoja._native import (  # type: ignore[attr-defined]  # PamojaError is not in its stubs
    ChannelPlan,
    GatewayNetwork,
    GatewayPacket,
    GatewayRxpk,
    GatewayTxpk,
    LorawanRxData,
    PamojaError,
    gateway_acknowledgment,
    gateway_encode,
    gateway_parse,
    lorawan_parse_join_request,
)

from borne import radio
from borne.virtual.air.adr import Adaption
from borne.virtual.air.answering import Answering
from borne.virtual.air.session import Session, accepted

_NET_ID = 0x13
# What pamoja calls a region, where it is another name.
_REGIONS = {"AS923-1": "AS923", "AS923-1-JP": "AS923"}
_JOIN_REQUEST, _UNCONFIRMED, _CONFIRMED = 0, 2, 4  # MType, TS001-1.0.4, table 2
_LINK_CHECK, _LINK_ADR, _DEV_STATUS, _NEW_CHANNEL, _DEVICE_TIME = 0x02, 0x03, 0x06, 0x07, 0x0D
_FOPTS = 15
_UP_LENGTHS = {0x02: 0, 0x03: 1, 0x04: 0, 0x05: 1, 0x06: 2, 0x07: 1, 0x08: 0, 0x09: 0, 0x0A: 1, 0x0D: 0}
_NEEDED_DB = {6: -5.0, 7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}
# Copies of one frame from several gateways arrive together; a retransmission comes a second later at the soonest.
_COPIES_MS = 500
_STOP = b"stop"


@dataclass(frozen=True)
class Uplink:
    """One frame of a device as the network has it. `received`: unix seconds of its end, in simulated time."""

    dev_eui: str
    port: int
    payload: bytes
    count: int
    received: float
    sf: int
    bandwidth: int
    frequency: int
    rssi: float
    snr: float
    gateway: str
    address: int


@dataclass
class Device:
    """`channels`: frequencies beyond the region's own that it has agreed to; `status` its last DevStatusAns: battery
    (0 fed from outside, 1 to 254, 255 unknown) and margin in dB.
    """

    dev_eui: bytes
    join_eui: bytes
    key: bytes = field(repr=False)
    adaption: Adaption
    nonce: int = -1
    sessions: dict[int, Session] = field(default_factory=dict)
    waiting: deque[tuple[int, bytes, bool]] = field(default_factory=deque)
    asked: tuple[int, int] | None = None
    channels: list[int] = field(default_factory=list)
    status: tuple[int, int] | None = None
    joins: int = 0
    downlinks: int = 0


class NetworkServer:
    """On a UDP port of the loopback for the length of a `with` block; `.address` is where gateways send.

    `uplinks` fills with what devices say on ports above 0; whoever reads it takes from its left. `channels`: Hz of what
    each device is told to use beside the region's own. Each `rx2_every`-th answer goes into the second window.
    `status_every`: uplinks between two questions for battery and margin; 0 for none.
    """

    def __init__(
        self,
        region: str = "EU868",
        *,
        adr: bool = True,
        channels: Sequence[int] = (),
        rx2_every: int = 0,
        status_every: int = 0,
    ) -> None:
        self.plan = radio.plan(region)
        self.uplinks: deque[Uplink] = deque()
        self.refused: Counter[str] = Counter()
        self.devices: dict[bytes, Device] = {}
        self.errors: list[BaseException] = []
        self._adr = adr
        self._channels = tuple(channels)
        self._status_every = status_every
        self._answering = Answering(self.plan, rx2_every)
        self._network = GatewayNetwork(ChannelPlan.for_region(_REGIONS.get(region, region)), _NET_ID)
        self._recent: dict[bytes, tuple[int, GatewayRxpk]] = {}
        self._ways: dict[str, tuple[str, int]] = {}
        self._token = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="network-server", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self._socket.getsockname()
        return host, port

    def __enter__(self) -> NetworkServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(_STOP, self.address)
        self._thread.join(5)
        self._socket.close()

    def register(self, dev_eui: bytes, join_eui: bytes, app_key: bytes) -> None:
        """Admit a device; EUIs most significant byte first."""
        _, high = self.plan.up_rates
        top = max(rate for rate in range(high + 1) if self.plan.rates[rate][1] == 125_000)
        self.devices[dev_eui] = Device(dev_eui, join_eui, app_key, Adaption(top, self.plan.powers))
        self._network.register(dev_eui, join_eui, app_key)

    def send(self, dev_eui: bytes, port: int, payload: bytes, *, confirmed: bool = False) -> None:
        """Queue a downlink; it goes out after the device's next uplink."""
        self.devices[dev_eui].waiting.append((port, payload, confirmed))

    # -- gateways -------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while True:
            raw, sender = self._socket.recvfrom(65536)
            if raw == _STOP:
                return
            try:
                self._datagram(gateway_parse(raw), sender)
            except PamojaError:
                self.refused["datagram"] += 1
            except (
                Exception
            ) as error:  # told to the owner: a thread that is gone would look like a silent network
                self.errors.append(error)

    def _datagram(self, packet: GatewayPacket, sender: tuple[str, int]) -> None:
        if packet.kind == "PullData" and packet.gateway:
            self._ways[packet.gateway] = sender
        for heard in packet.packets:
            answer = self._uplink(heard, packet.gateway or "")
            way = self._ways.get(packet.gateway or "")
            if answer is not None and way is not None:
                self._token = (self._token + 1) & 0xFFFF
                self._socket.sendto(
                    gateway_encode(GatewayPacket("PullResp", self._token, transmit=answer)), way
                )
        acknowledgment = gateway_acknowledgment(packet)
        if acknowledgment is not None:
            self._socket.sendto(gateway_encode(acknowledgment), sender)

    def _uplink(self, heard: GatewayRxpk, gateway: str) -> GatewayTxpk | None:
        """What is to be sent back for one frame, None for nothing."""
        frame, at = heard.payload, heard.gps_millis or 0
        if heard.crc != "Ok" or heard.link is None or not frame:
            return None
        self._recent = {key: one for key, one in self._recent.items() if at - one[0] < _COPIES_MS}
        if frame in self._recent:
            return None
        self._recent[frame] = at, heard
        kind = frame[0] >> 5
        try:
            if kind == _JOIN_REQUEST:
                return self._join(heard)
            if kind in (_UNCONFIRMED, _CONFIRMED):
                return self._data(heard, gateway)
        except PamojaError as error:
            self.refused[str(error)] += 1
        return None

    # -- joins ----------------------------------------------------------------------------------------------------

    def _join(self, heard: GatewayRxpk) -> GatewayTxpk | None:
        frame = heard.payload
        device = self.devices.get(bytes(reversed(frame[9:17])))
        if device is None:
            self.refused["unknown DevEUI"] += 1
            return None
        request = lorawan_parse_join_request(frame, device.key)
        # TS001-1.0.4, chapter 6: DevNonce is a counter; what is not above the last one is a replay.
        if request.dev_nonce <= device.nonce:
            self.refused["DevNonce has already been used"] += 1
            return None
        event = self._network.uplink(heard)
        device.nonce = request.dev_nonce
        accept = event.accept
        if event.outcome != "joined" or accept is None:
            self.refused["join"] += 1
            return None
        session = accepted(device.key, accept.payload, request.dev_nonce)
        # The session before goes on until the device has spoken in the new one: the accept may be lost.
        first = list(device.sessions.values())[:1]
        device.sessions = {one.address: one for one in (*first, session)}
        device.joins += 1
        device.asked = None
        device.adaption.power = 0
        device.adaption.snrs.clear()
        device.channels.clear()
        return self._answering.to(heard, accept.payload, accept.timestamp_us or 0)

    # -- data -----------------------------------------------------------------------------------------------------

    def _data(self, heard: GatewayRxpk, gateway: str) -> GatewayTxpk | None:
        frame = heard.payload
        address = int.from_bytes(frame[1:5], "little")
        device = next((one for one in self.devices.values() if address in one.sessions), None)
        if device is None:
            self.refused["unknown DevAddr"] += 1
            return None
        session = device.sessions[address]
        if frame == session.last:
            # A retransmission: the answer was lost, or NbTrans asks for it. Only an acknowledgement is repeated.
            return self._answer(heard, device, session, None) if frame[0] >> 5 == _CONFIRMED else None
        data = self._open(heard, session)
        if data is None:
            self.refused["counter or keys"] += 1
            return None
        session.last = frame
        # What is older than the session that speaks is over; a newer one, whose accept was lost, is not yet.
        order = list(device.sessions)
        device.sessions = {one: device.sessions[one] for one in order[order.index(address) :]}
        self._learn(heard, device, data)
        if data.fport:
            self.uplinks.append(_uplink(heard, device, session, data, gateway))
        return self._answer(heard, device, session, data)

    def _open(self, heard: GatewayRxpk, session: Session) -> LorawanRxData | None:
        """The checked frame. pamoja's network forgets a session with the next join, its session does not."""
        event = self._network.uplink(heard)
        if event.outcome == "data" and event.fcnt is not None:
            session.up = event.fcnt
            return session.peer.decode(heard.payload, event.fcnt)
        low = int.from_bytes(heard.payload[6:8], "little")
        last = -1 if session.up is None else session.up
        count = (last & ~0xFFFF | low) if last >= 0 else low
        count += 0x10000 * (count <= last)
        try:
            data = session.peer.decode(heard.payload, count)
        except PamojaError:
            return None
        session.up = count
        return data

    def _learn(self, heard: GatewayRxpk, device: Device, data: LorawanRxData) -> None:
        link = heard.link
        assert link is not None
        rate = self.plan.rates.index((link.spreading_factor, link.bandwidth_hz))
        if device.asked and 0x07 in (values[0] for command, values in commands(data) if command == _LINK_ADR):
            device.adaption.answered(device.asked)
        device.asked = None
        for command, values in commands(data):
            if command == _NEW_CHANNEL and values[0] & 3 == 3 and len(device.channels) < len(self._channels):
                device.channels.append(self._channels[len(device.channels)])
            elif command == _DEV_STATUS:
                margin = values[1] & 0x3F
                device.status = values[0], margin - 64 if margin > 31 else margin
        device.adaption.heard(rate, link.spreading_factor, heard.snr_db or 0.0)

    def _answer(
        self, heard: GatewayRxpk, device: Device, session: Session, data: LorawanRxData | None
    ) -> GatewayTxpk | None:
        """`data` None: a confirmed frame once more."""
        options, must = b"", data is None
        for command, _ in commands(data) if data else ():
            if command == _LINK_CHECK:
                options += struct.pack("<BBB", _LINK_CHECK, self._margin(heard), 1)
            elif command == _DEVICE_TIME and heard.gps_millis is not None:
                seconds, milliseconds = divmod(heard.gps_millis, 1000)
                options += struct.pack("<BIB", _DEVICE_TIME, seconds, milliseconds * 256 // 1000)
        if data is not None:
            must = data.confirmed or data.adr_ack_req
            for more in (self._adapt(device, data), self._new_channel(device), self._ask_status(session)):
                options += more if len(options) + len(more) <= _FOPTS else b""
        port, payload, confirmed = device.waiting.popleft() if device.waiting else (None, b"", False)
        if not (options or must or port is not None):
            return None
        raw = session.downlink(
            port,
            payload,
            options=options,
            acknowledge=data is None or data.confirmed,
            pending=bool(device.waiting),
            confirmed=confirmed,
        )
        device.downlinks += 1
        return self._answering.to(heard, raw, (heard.timestamp_us or 0) + 1_000_000)

    def _adapt(self, device: Device, data: LorawanRxData) -> bytes:
        """LinkADRReq where the device should change."""
        wanted = device.adaption.wanted() if self._adr and data.adr else None
        if wanted is None:
            return b""
        device.asked = wanted
        rate, power = wanted
        # All channels: those of a dynamic plan by its mask, a fixed plan by ChMaskCntl 6 with all of 500 kHz.
        known = len(self.plan.channels) + len(device.channels)
        mask, control = (0xFF, 6) if self.plan.fixed else ((1 << known) - 1, 0)
        return struct.pack("<BBHB", _LINK_ADR, rate << 4 | power, mask, control << 4 | 1)

    def _new_channel(self, device: Device) -> bytes:
        """NewChannelReq for the next one that the device does not have yet, DR0 to DR5."""
        if len(device.channels) == len(self._channels):
            return b""
        index, frequency = (
            len(self.plan.channels) + len(device.channels),
            self._channels[len(device.channels)],
        )
        return struct.pack("<BBI", _NEW_CHANNEL, index, frequency // 100 | 0x50 << 24)

    def _ask_status(self, session: Session) -> bytes:
        due = self._status_every and (session.up or 0) % self._status_every == 0
        return bytes((_DEV_STATUS,)) if due else b""

    def _margin(self, heard: GatewayRxpk) -> int:
        assert heard.link is not None
        return max(0, min(254, round((heard.snr_db or 0.0) - _NEEDED_DB[heard.link.spreading_factor])))


def commands(data: LorawanRxData) -> list[tuple[int, bytes]]:
    """The MAC commands of an uplink as (command, values), up to the first that is unknown or cut."""
    stream = data.payload if data.fport == 0 else data.fopts
    found, at = [], 0
    while at < len(stream) and stream[at] in _UP_LENGTHS:
        end = at + 1 + _UP_LENGTHS[stream[at]]
        if end > len(stream):
            break
        found.append((stream[at], stream[at + 1 : end]))
        at = end
    return found


def _uplink(
    heard: GatewayRxpk, device: Device, session: Session, data: LorawanRxData, gateway: str
) -> Uplink:
    link = heard.link
    assert link is not None
    return Uplink(
        device.dev_eui.hex(),
        data.fport or 0,
        data.payload,
        session.up or 0,
        (heard.received_at_us or 0) / 1e6,
        link.spreading_factor,
        link.bandwidth_hz,
        heard.frequency_hz,
        heard.rssi_dbm,
        heard.snr_db or 0.0,
        gateway,
        session.address,
    )


def chirpstack_event(uplink: Uplink) -> Mapping[str, Any]:
    """The uplink as ChirpStack v4 publishes it (event "up"), for borne.decoding.envelopes and every integration."""
    received = datetime.fromtimestamp(uplink.received, UTC).isoformat()
    link = {"bandwidth": uplink.bandwidth, "spreadingFactor": uplink.sf, "codeRate": "CR_4_5"}
    return {
        "time": received,
        "deviceInfo": {"devEui": uplink.dev_eui},
        "devAddr": f"{uplink.address:08x}",
        "fCnt": uplink.count,
        "fPort": uplink.port,
        "data": base64.b64encode(uplink.payload).decode(),
        "rxInfo": [{"gatewayId": uplink.gateway, "rssi": round(uplink.rssi), "snr": uplink.snr}],
        "txInfo": {"frequency": uplink.frequency, "modulation": {"lora": link}},
    }
