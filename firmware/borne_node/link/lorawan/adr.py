"""Adaptive data rate as the end-device sees it (TS001-1.0.4, 4.3.1.1), and a quicker fall-back of our own.

The specification reacts after ADR_ACK_LIMIT + ADR_ACK_DELAY uplinks: a day for a parking bay. A car parked above the
node takes 10 to 20 dB at once. So an uplink that asked the network for an answer and got none is counted, the next
ones ask again, and every second miss takes one step: full power first, then the next lower data rate.
"""

from borne_node.compat import const

LIMIT = const(64)  # RP002-1.0.4, default settings: ADR_ACK_LIMIT
DELAY = const(32)  # ADR_ACK_DELAY
_PROBE = const(
    32
)  # uplinks in silence after which a LinkCheckReq goes along: 3 a day at one report in 15 minutes
_MISSES = const(2)  # two, for one answer in ten is lost on a good link too
_GIVE_UP = const(64)  # uplinks at the lowest rate and full power without a word: the session is taken as lost


class Adr:
    """`silent`: uplinks since the last downlink. `floor`: of these, those sent when no step was left."""

    def __init__(self, session):
        self._session = session
        self.silent = 0
        self.misses = 0
        self.floor = 0

    def heard(self):
        self.silent = self.misses = self.floor = 0

    @property
    def request(self):
        """Whether the next uplink is to carry ADRACKReq."""
        return self.silent >= LIMIT

    def unheard(self):
        """One more uplink without a downlink."""
        # Wraps by whole delays, so that the steps stay where they are.
        self.silent = self.silent + 1 if self.silent < 0xFFFF else 0xFFFF - DELAY + 1
        over = self.silent - LIMIT - DELAY
        if over >= 0 and over % DELAY == 0:
            self._step()
        elif over > 0 and self._at_floor():
            self.floor = min(self.floor + 1, 0xFF)

    def wants_probe(self):
        """Whether the next uplink should ask for an answer, to learn early that nobody hears it."""
        return self.misses > 0 or (self.silent > 0 and self.silent % _PROBE == 0)

    def unanswered(self):
        """The uplink asked for an answer and none came."""
        self.misses = self.misses % 0xFE + 1
        if self.misses % _MISSES == 0:
            self._step()

    @property
    def lost(self):
        """Whether everything was tried and nobody answers: join again."""
        return self.floor >= _GIVE_UP

    def _at_floor(self):
        return self._session.power == 0 and self._lower() is None

    def _lower(self):
        # The next lower rate that an enabled channel may use and that the dwell time leaves room at.
        session = self._session
        for rate in range(session.rate - 1, session.plan.up_rates[0] - 1, -1):
            if session.plan.room(rate, session.up_dwell) and session.channels.carries(
                session.channels.mask, rate
            ):
                return rate
        return None

    def _step(self):
        session = self._session
        lower = self._lower()
        if session.power:
            session.power = 0
        elif lower is not None:
            session.rate = lower
        else:
            # The last step of the specification: all default channels, each uplink once.
            mask = session.channels.mask | session.channels.defaults()
            session.changed = session.changed or mask != session.channels.mask or session.transmissions != 1
            session.channels.mask = mask
            session.transmissions = 1
