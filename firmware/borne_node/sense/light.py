"""How bright it is and how often somebody came by."""

import struct
from collections import namedtuple

from borne_node.chips.pulses import Pulses
from borne_node.compat import const
from borne_node.errors import SensorFault
from borne_node.sense import opener

# lux: whole, or None when the light sensor failed; triggers: presence triggers since the last reading.
LightReading = namedtuple("LightReading", ("lux", "triggers"))

# No sensor holds its output that long without a break: HC-SR501 300 s at its longest setting, then 2.5 s off.
_STUCK_S = const(3600)
# Longer than any pause between two readings (the night's window has 8 hours): the clock was set meanwhile.
_JUMP_S = const(86400)

_VERSION = const(1)
# Version; last trigger and since when the pin is high, in unix seconds, 0 for none; triggers not yet read.
_STATE = "<BIIB"
_STATE_SIZE = const(10)
_UNREAD_MOST = const(255)


class Light:
    """`open_lux()` gives the identified light sensor or raises SensorFault; `pin` is the presence sensor's.

    Awake, triggers are counted in the pin's interrupt or by calling `poll`. Over a deep sleep the pin wakes
    the node: `woken_by_pin` counts that trigger, `state` keeps the refractory time. `faults` after each
    reading: that of the light sensor and that of the presence sensor, or None. `wake_pin` may wake the node.
    """

    def __init__(self, open_lux, pin, settings, clock, state=None, woken_by_pin=False):
        self._open_lux = open_lux
        self._pin = self.wake_pin = pin
        last, self._high_since, unread = _parse(state)
        self._pulses = Pulses(pin, clock, settings["refractory_s"], last or None, unread)
        self._edges = 0
        self.poll = self._pulses.poll
        self.faults = (None, None)
        if woken_by_pin:
            self._pulses.trigger()
        self._pulses.attach()

    def read(self, now):
        """A LightReading, within 2.5 s. Raises SensorFault when the presence sensor is stuck."""
        self.faults = (None, None)
        lux = self._lux()
        self._check_pin(now)
        return LightReading(lux, self._pulses.take())

    def state(self):
        pulses = self._pulses
        unread = min(_UNREAD_MOST, pulses.unread())
        return struct.pack(_STATE, _VERSION, pulses.last or 0, self._high_since, unread)

    def _lux(self):
        try:
            return int(self._open_lux().read() + 0.5)
        except SensorFault as fault:
            self.faults = (fault, None)

    def _check_pin(self, now):
        """Raises SensorFault when the output has been high for an hour without an edge."""
        edges = self._pulses.edges
        high_s = now - self._high_since
        if not self._pin.value():
            self._high_since = 0
        elif not self._high_since or edges != self._edges or not 0 <= high_s < _JUMP_S:
            self._high_since = now
        elif high_s >= _STUCK_S:
            self._high_since = now - _STUCK_S
            fault = SensorFault("presence", "stuck")
            self.faults = (self.faults[0], fault)
            raise fault
        self._edges = edges


def _parse(state):
    if not state or len(state) != _STATE_SIZE or state[0] != _VERSION:
        return 0, 0, 0
    return struct.unpack(_STATE, state)[1:]


def build(settings, board, state=None):
    open_lux = opener(settings, board)
    return Light(open_lux, board.presence_pin(), settings, board.clock, state, board.woken_by_pin)
