"""Over-the-air activation (TS001-1.0.4, chapter 6), and its back-off (chapter 7)."""

import struct

from borne_node.chips.lora import airtime_us
from borne_node.compat import const
from borne_node.errors import LinkRefused, StorageError
from borne_node.link.lorawan import join_frames, masks
from borne_node.link.lorawan.air import NotBefore
from borne_node.link.lorawan.channels import Channels
from borne_node.link.lorawan.crypto import session_keys

_REQUEST = const(23)  # bytes
NONCE = "lw_nonce"  # in NVS: the next DevNonce
_LAST_NONCE = const(0xFFFF)
_DELAY_MS = const(5000)  # RP002-1.0.4, default settings: JOIN_ACCEPT_DELAY1; the second window is 1 s later
# Seconds between join requests, each +-20 %; the last one stays.
_BACK_OFF = (10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
# Chapter 7: from the 11th hour on, join requests take at most 8.7 s of airtime in 24 h.
_LATE_S = const(11 * 3600)
_LATE_SHARE = const(9931)
_LONGEST_S = const(
    6 * 3600
)  # no wait is longer; a later date was computed by a clock that has been set since


class Joins:
    """`memory`: attempts since the last success, unix seconds of the first of them, and when the next may go."""

    def __init__(self, plan, air, clock, memory):
        self._plan = plan
        self._air = air
        self._clock = clock
        self.attempts, self.first, self.then = memory

    @property
    def memory(self):
        return self.attempts, self.first & 0xFFFFFFFF, self.then & 0xFFFFFFFF

    def check(self):
        """Raises NotBefore while the back-off lasts."""
        now = self._clock.now()
        if now < self.then <= now + _LONGEST_S:
            raise NotBefore("join back-off", self.then)

    def request(self, session, root, join_eui, dev_eui, keep):
        """One join request and its windows; True when `session` was started anew. `keep()` as in Air.transmit."""
        channels, rate = self._channels()
        index = self._air.choose(channels, rate, _REQUEST)
        nonce = _next_nonce(session.store, session.owner)
        if nonce is None:
            raise LinkRefused("all 65536 DevNonces are used up: give the node a new JoinEUI or AppKey")
        self._back_off(rate)
        frame = join_frames.join_request(root, join_eui, dev_eui, nonce)
        ended = self._air.transmit(channels, index, rate, frame, self._plan.max_eirp, 0, keep)

        def take(packet, _):
            accept = join_frames.join_accept(root, packet.payload)
            return accept if accept and self._acceptable(accept, session) else None

        rx1 = channels.down_hz(index), self._plan.rx1_rate(rate, 0, False)
        accept = self._air.windows(ended, _DELAY_MS, rx1, self._plan.rx2, take)
        if accept:
            _begin(session, accept, rate, session_keys(root, accept.join_nonce, accept.net_id, nonce))
            self.attempts = self.then = 0
        return accept is not None

    def _channels(self):
        channels = Channels(self._plan)
        rates = self._plan.join_rates
        if self._plan.fixed:
            # Eight blocks in turn, each with its 500 kHz channel, for most networks listen to one block only.
            rate = rates[self.attempts % 2]
            channels.mask = masks.masked(channels, 0, 5, 1 << (self.attempts // 2 % 8))
        else:
            rate = rates[self.attempts // 2 % len(rates)]
        return channels, rate

    def _back_off(self, rate):
        now = self._clock.now()
        if not self.attempts:
            self.first = now
        wait = _BACK_OFF[min(self.attempts, len(_BACK_OFF) - 1)]
        if now - self.first > _LATE_S:
            wait = max(wait, airtime_us(*self._plan.rate(rate), _REQUEST) * _LATE_SHARE // 1_000_000)
        self.attempts = min(self.attempts + 1, 0xFF)
        self.then = now + wait * (80 + self._air.random(41)) // 100

    def _acceptable(self, accept, session):
        # JoinNonce is a counter in 1.0.4: one that was seen before is a replay.
        return (
            accept.join_nonce > session.join_nonce
            and (accept.settings >> 4 & 7) < len(self._plan.rx1[0])
            and self._plan.hears(accept.settings & 15)
        )


def _begin(session, accept, rate, keys):
    session.reset()
    session.join_nonce = accept.join_nonce
    session.rate = rate
    session.rx1_offset = accept.settings >> 4 & 7
    session.rx2_rate = accept.settings & 15
    session.rx_delay = accept.delay or 1
    if accept.channels:
        masks.add_list(session.channels, accept.channels)
    session.start(accept.address, *keys)
    session.save()


def _next_nonce(store, owner):
    """A DevNonce that was never used, made sure of by the flash; None when all are used up.

    `owner` stands for JoinEUI and AppKey: with new ones a counter at its end starts over.
    """
    raw = store.read(NONCE)
    if raw and len(raw) != 8:
        # Starting over would use DevNonces again, which networks refuse for ever.
        raise StorageError("the DevNonce counter is unreadable")
    nonce, whose = struct.unpack("<II", raw) if raw else (0, owner)
    if nonce > _LAST_NONCE:
        if whose == owner:
            return None
        nonce = 0
    store.write(NONCE, struct.pack("<II", nonce + 1, owner))
    store.commit()
    return nonce
