"""A virtual gateway: hears the air, and speaks Semtech's UDP protocol to a network server on the network."""

from __future__ import annotations

import select
import socket
import time

from borne.virtual.air import gwmp
from borne.virtual.air.air import Air
from borne.virtual.air.propagation import Level, Place
from borne.virtual.silicon.lora_air import Transmission

# Receive paths of an SX1301 (datasheet, 3.3): frames that it demodulates at the same time.
_PATHS = 8
# Lora-net/packet_forwarder, jitqueue.c: TX_MARGIN_DELAY + TX_START_DELAY, and 3 x 128 s ahead at most.
_LATEST_US = 2_500
_EARLIEST_US = 384_000_000
_POWER_DBM = 27  # the most that a class-1 gateway of this band radiates, in RX2 (ETSI EN 300 220-2, band P)
# Real seconds: the server is on this computer and answers in milliseconds; routes behind it are held open.
_PATIENCE_S = 2.0
_KEEP_ALIVE_S = 10.0


class Gateway:
    """`server`: (host, port) of the network server's UDP port. `linger`: real seconds in which an answer may follow an
    acknowledgement; the test server sends it before, others decide after collecting copies (200 ms and more).
    """

    def __init__(
        self, air: Air, eui: str, place: Place, server: tuple[str, int], *, linger: float = 0.0
    ) -> None:
        self.air = air
        self.eui = eui
        self.place = place
        self.unanswered = 0
        self.refused: dict[str, int] = {}
        self.sent: list[Transmission] = []
        self._server = server
        self._linger = linger
        self._token = 0
        self._pulled: float | None = None
        # The concentrator has started some time before the street; its counter wraps every 71 minutes.
        self._epoch_us = air.clock.now_us - 1_000_000
        self._receiving: list[Transmission] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(server)
        self._socket.setblocking(False)
        air.add_gateway(self)

    def close(self) -> None:
        self._socket.close()

    def is_busy(self, packet: Transmission) -> bool:
        """Whether it is sending itself at that time, or receives as much as it can."""
        start, end = packet.start_us, packet.end_us
        self.sent = [one for one in self.sent if one.end_us > start - 60_000_000]
        if any(one.start_us < end and start < one.end_us for one in self.sent):
            return True
        self._receiving = [one for one in self._receiving if one.end_us > start]
        self._receiving.append(packet)
        return sum(one.start_us <= start for one in self._receiving) > _PATHS

    def forward(self, packet: Transmission, level: Level) -> None:
        """A frame that it has just received whole, to the server; what the server answers is put on the air."""
        self._pull()
        token = self._next_token()
        tmst = (packet.end_us - self._epoch_us) % (1 << 32)
        body = {"rxpk": [gwmp.rxpk(packet, level.rssi, level.snr, tmst, 0)]}
        self._send(gwmp.datagram(gwmp.PUSH_DATA, token, self.eui, body))
        if self._listen(gwmp.PUSH_ACK, token):
            self._listen(None, 0, self._linger)

    def _pull(self) -> None:
        """Hold the way back open, as often in real time as a real gateway does."""
        now = time.monotonic()
        if self._pulled is not None and now - self._pulled < _KEEP_ALIVE_S:
            return
        self._pulled = now
        token = self._next_token()
        self._send(gwmp.datagram(gwmp.PULL_DATA, token, self.eui))
        self._listen(gwmp.PULL_ACK, token)

    def _listen(self, wanted: int | None, token: int, seconds: float = _PATIENCE_S) -> bool:
        """Take what arrives until `wanted` with this token does; PULL_RESP are carried out meanwhile."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            ready, _, _ = select.select([self._socket], [], [], max(0.0, left))
            if not ready:
                self.unanswered += wanted is not None
                return False
            try:
                found = gwmp.parse(self._socket.recv(65536))
            except OSError:  # ECONNREFUSED: nobody listens there (yet)
                self.unanswered += 1
                return False
            if found is None:
                continue
            if found[0] == gwmp.PULL_RESP:
                self._transmit(found[1], found[2])
            elif found[:2] == (wanted, token):
                return True

    def _transmit(self, token: int, body: bytes) -> None:
        error = "NONE"
        try:
            packet = gwmp.transmission(body, self.air.clock.now_us, self._epoch_us)
            self._check(packet)
        except gwmp.Refused as refusal:
            error = str(refusal)
            self.refused[error] = self.refused.get(error, 0) + 1
        except ValueError:
            return  # lora_pkt_fwd drops what it cannot read, too
        else:
            self.sent.append(packet)
            self.air.send_down(self, packet)
        self._send(gwmp.datagram(gwmp.TX_ACK, token, self.eui, {"txpk_ack": {"error": error}}))

    def _check(self, packet: Transmission) -> None:
        ahead = packet.start_us - self.air.clock.now_us
        if ahead < _LATEST_US:
            raise gwmp.Refused("TOO_LATE")
        if ahead > _EARLIEST_US:
            raise gwmp.Refused("TOO_EARLY")
        if packet.power > _POWER_DBM + 2:
            raise gwmp.Refused("TX_POWER")
        if any(one.start_us < packet.end_us and packet.start_us < one.end_us for one in self.sent):
            raise gwmp.Refused("COLLISION_PACKET")

    def _next_token(self) -> int:
        self._token = (self._token + 1) & 0xFFFF
        return self._token

    def _send(self, raw: bytes) -> None:
        try:
            self._socket.send(raw)
        except OSError:
            self.unanswered += 1
