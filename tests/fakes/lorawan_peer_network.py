"""A network around one of the peers (lorawan_peers.py): every frame up is opened by the peer, every one down is its."""

from __future__ import annotations

import random
from typing import Any

from lorawan_node import APP_KEY, DEV_EUI, JOIN_EUI, Node
from lorawan_peers import LibLora, Peer, Unable

from borne_node.link.lorawan import frames
from borne_node.link.lorawan.channels import Channels

_KEPT = 4


class PeerNetwork:
    """`plan(data, repeated)` says what an uplink is answered with: (Data without its counter, window, how), or None.

    `how` is "good", "flipped" (one bit), or "old" (a downlink of before once more). Where the device listens, its own
    session says: that it listens there is what other tests are for. `due` holds what the device should hand up,
    (port, payload) in order; `acknowledged` the counters of uplinks whose acknowledgement was on the air.
    """

    def __init__(self, node: Node, peer: Peer, seed: int) -> None:
        self.node, self.peer = node, peer
        self.rnd = random.Random(seed)
        self.loss = 0.0
        self.plan: Any = lambda data, repeated: None
        self.address = self.joins = 0
        self.up, self.down = -1, 0
        self.last = b""
        self.sent: list[bytes] = []
        self.opened = self.built = 0
        self.due: list[tuple[int, bytes]] = []
        self.acknowledged: set[int] = set()
        node.ether.listeners[:] = [self.hear]

    def hear(
        self, frame: bytes, start: int, end: int, frequency: int, sf: int, bandwidth: int, power: int
    ) -> None:
        if self.rnd.random() < self.loss:
            return
        if frame[0] == 0:
            self._join(frame, end, frequency, sf, bandwidth)
        else:
            self._uplink(frame, end, frequency, sf, bandwidth)

    def _join(self, frame: bytes, end: int, *channel: int) -> None:
        read = self.peer.request(APP_KEY, frame)
        assert read is not None and read[:2] == (JOIN_EUI, DEV_EUI)
        rnd, self.joins = self.rnd, self.joins + 1
        self.address = rnd.getrandbits(32)
        if self.node.plan.fixed:
            settings = rnd.randrange(4) << 4 | rnd.randrange(8, 14)
            listed = b"\xff" * 9 + bytes(6) + b"\1"
        else:
            settings = rnd.randrange(6) << 4 | rnd.randrange(6)
            listed = b"".join((8_671_000 + 2_000 * place).to_bytes(3, "little") for place in range(5)) + b"\0"
        given = self.joins, rnd.getrandbits(24), self.address, settings, rnd.randrange(16)
        raw = self._of_a_join("accept", APP_KEY, *given, rnd.choice([b"", listed]))
        self.network, self.application = self._of_a_join("keys", APP_KEY, *given[:2], read[2])
        self.up, self.down, self.sent = -1, 0, []
        plan, channels = self.node.plan, Channels(self.node.plan)
        index = next(one for one in range(channels.count) if (channels.get(one) or (0,))[0] == channel[0])
        rate = plan.rx1_rate(plan.rates.index(channel[1:]), 0, False)
        self._put(raw, end + 5_000_000, (channels.down_hz(index), *plan.rate(rate)))

    def _of_a_join(self, what: str, *arguments: Any) -> Any:
        try:
            return getattr(self.peer, what)(*arguments)
        except Unable:
            return getattr(LibLora(), what)(*arguments)

    def _uplink(self, frame: bytes, end: int, *channel: int) -> None:
        repeated = frame == self.last
        low = int.from_bytes(frame[6:8], "little")
        count = self.up if repeated else frames.next_count(self.up if self.up >= 0 else None, low)
        data = self.peer.open(self.network, self.application, frame, count)
        assert data is not None, "a counter was used again, or keys differ"
        assert data.address == self.address
        self.opened += 1
        self.up, self.last = count, frame
        answer = self.plan(data, repeated)
        if answer is not None:
            self._answer(*answer, end, channel)

    def _answer(self, data: frames.Data, window: int, how: str, end: int, channel: tuple[int, ...]) -> None:
        if how == "old":
            raw = self.rnd.choice(self.sent)
        else:
            data = data._replace(down=True, address=self.address, count=self.down)
            raw = self.peer.build(self.network, self.application, data)
            self.built += 1
            if how == "flipped":
                place = self.rnd.randrange(8 * len(raw))
                raw = bytes(byte ^ (place // 8 == at) << place % 8 for at, byte in enumerate(raw))
            else:
                self.down += 1
        if self.rnd.random() < self.loss:
            return
        if how == "good":
            self.sent = [*self.sent[-_KEPT:], raw]
            if data.port:
                self.due.append((data.port, data.payload))
            if data.control & frames.ACK:
                self.acknowledged.add(self.up)
        session, plan = self.node.mac.session, self.node.plan
        start = end + 1_000_000 * session.rx_delay
        count = session.channels.count
        places = {session.channels.down_hz(one) for one in range(count) if self._sends(one, channel[0])}
        if window == 1 and len(places) == 1:
            rate = plan.rx1_rate(plan.rates.index(channel[1:]), session.rx1_offset, session.down_dwell)
            self._put(raw, start, (places.pop(), *plan.rate(rate)))
        else:
            # Two channels may share an uplink frequency and not a downlink frequency.
            self._put(raw, start + 1_000_000, (session.rx2_hz, *plan.rate(session.rx2_rate)))

    def _sends(self, index: int, frequency: int) -> bool:
        found = self.node.mac.session.channels.get(index)
        return bool(found) and found[0] == frequency

    def _put(self, raw: bytes, start: int, channel: tuple[int, ...]) -> None:
        self.node.ether.down[:] = [one for one in self.node.ether.down if one[1] > start - 20_000_000]
        self.node.ether.down.append((raw, start, (*channel, True), -90, 5))
