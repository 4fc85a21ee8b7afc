"""How bright it is, how often somebody came by, and what the lamp does."""

import struct
from collections import namedtuple

from borne_node.chips.pulses import SIZE, Pulses, restore
from borne_node.compat import const
from borne_node.errors import SensorFault
from borne_node.sense import chosen, opener
from borne_node.sense.unchanged import SIZE as SAME_SIZE
from borne_node.sense.unchanged import Unchanged

# lux: whole, or None when the light sensor failed; triggers: presence triggers since the last reading. Of the lamp,
# each None without a meter or when it failed: state (lamp.py), dimming in percent, Wh since the last reading.
LightReading = namedtuple("LightReading", ("lux", "triggers", "lamp", "dimming", "energy"))

# No sensor holds its output that long without a break: HC-SR501 300 s at its longest setting, then 2.5 s off.
_STUCK_S = const(3600)
# Longer than any pause between two readings (the night's window has 8 hours): the clock was set meanwhile.
_JUMP_S = const(86400)

# Not one whole lux more or less by day and by night: the sky does not do that, also not where a lamp burns.
_SAME_S = const(2 * 86400)

_VERSION = const(3)
# Behind the state of chips/pulses.py: version; since when the pin is high, in unix seconds, 0 for not. Then that of
# unchanged.py, then the lamp's.
_STATE = "<BI"
_STATE_SIZE = const(10)


class Light:
    """`open_lux()` gives the identified light sensor or raises SensorFault; `pin` is the presence sensor's.

    Awake, triggers are counted in the pin's interrupt or by calling `poll`. Over a deep sleep the pin wakes
    the node: `woken_by_pin` counts that trigger, `state` keeps the refractory time. `faults` after each
    reading: those of the light sensor, the presence sensor and the lamp's meter, or None. `wake_pin` may wake the
    node. `open_radar()`: a presence sensor that can be asked whether it lives, beside its pin. `make_lamp(state)`
    gives a lamp.Lamp. `follow()` is called when somebody comes. All three may be None.
    """

    def __init__(
        self,
        open_lux,
        pin,
        settings,
        clock,
        state=None,
        woken_by_pin=False,
        open_radar=None,
        make_lamp=None,
        follow=None,
    ):
        self._open_lux = open_lux
        self._pin = self.wake_pin = pin
        last, unread, self._high_since, same, kept = _parse(state)
        self._same = Unchanged(_SAME_S, same)
        # Who wakes the sensor lets it count on when all else of it is gone.
        self.pulses = self._pulses = Pulses(pin, clock, settings["refractory_s"], last, unread)
        self._pulses.follow = follow
        self._edges = 0
        self.poll = self._pulses.poll
        self.faults = (None, None, None)
        self._open_radar = open_radar
        self._lamp = make_lamp(kept) if make_lamp else None
        if woken_by_pin:
            self._pulses.trigger()
        self._pulses.attach()

    def read(self, now):
        """A LightReading, within 4 s. Raises SensorFault when the presence sensor is stuck or silent."""
        self.faults = (None, None, None)
        lux = self._lux(now)
        lamp = self._read_lamp(now, lux)
        self._check_pin(now)
        self._check_radar()
        return LightReading(lux, self._pulses.take(), *lamp)

    def state(self):
        """That of the pulses first: who lets them count on puts theirs in its place."""
        kept = self._pulses.state() + struct.pack(_STATE, _VERSION, self._high_since) + self._same.state()
        return kept + self._lamp.state() if self._lamp else kept

    def _read_lamp(self, now, lux):
        if self._lamp:
            try:
                return self._lamp.read(now, lux)
            except SensorFault as fault:
                self.faults = self.faults[:2] + (fault,)
        return None, None, None

    def _check_radar(self):
        # A radar that died leaves its pin at rest: that would count as nobody.
        if self._open_radar:
            try:
                self._open_radar().read()
            except SensorFault as fault:
                self.faults = (self.faults[0], fault, self.faults[2])
                raise

    def _lux(self, now):
        try:
            chip = self._open_lux()
            lux = int(chip.read() + 0.5)
            if self._same.stuck(lux, now):
                raise SensorFault(chip.name, "stuck")
            return lux
        except SensorFault as fault:
            self.faults = (fault, None, None)

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
            self.faults = (self.faults[0], fault, self.faults[2])
            raise fault
        self._edges = edges


def _parse(state):
    if not state or len(state) < _STATE_SIZE + SAME_SIZE or state[SIZE] != _VERSION:
        return None, 0, 0, None, None
    rest = state[_STATE_SIZE:]
    found = restore(state[:SIZE]) + struct.unpack(_STATE, state[SIZE:_STATE_SIZE])[1:]
    return found + (rest[:SAME_SIZE], rest[SAME_SIZE:])


def build(settings, board, state=None):
    def make_lamp(kept):
        from borne_node.sense.lamp import Lamp

        return Lamp(opener(settings, board, "lamp"), settings, board.clock, kept, board.nvs)

    return Light(
        opener(settings, board),
        board.presence_pin(),
        settings,
        board.clock,
        state,
        board.woken_by_pin,
        None if chosen(settings, "presence") == "pir" else opener(settings, board, "presence"),
        None if chosen(settings, "lamp") == "none" else make_lamp,
        board.follow,
    )
