"""Rising edges of a presence sensor (PIR, microwave) as triggers, at most one in a refractory time."""

import struct

from borne_node.compat import const, ticks_diff

# AM312 holds its output 2 s, HC-SR501 at its shortest setting 3 s after the last motion (their data sheets).
_SETTLE_LIMIT_MS = const(10_000)
_SETTLE_POLL_MS = const(50)

# What outlives a sleep: last trigger in unix seconds or 0, triggers not yet read.
_STATE = "<IB"
SIZE = const(5)
_UNREAD_MOST = const(255)


class Pulses:
    """Counts by `attach` (interrupt), by `poll` (level), or by `trigger` when the pin woke the node.

    `last` is the unix time of the last counted trigger or None; it carries the refractory time over a
    sleep, as `unread` carries triggers that nobody took. `edges` counts all edges, for who wants to know
    that the pin moves. `follow`, if set, is called at each edge, in the interrupt: the lamp's dimmer.
    """

    follow = None

    def __init__(self, pin, clock, refractory_s, last=None, unread=0):
        self._pin = pin
        self._clock = clock
        self._refractory_s = refractory_s
        self._level = pin.value()
        self._counted = unread
        self._taken = 0
        self.edges = 0
        self.last = last

    def attach(self):
        """Count in an interrupt from now on; it works while the node is awake."""
        self._pin.irq(handler=self.trigger, trigger=self._pin.IRQ_RISING)

    def trigger(self, _pin=None):
        """A rising edge happened now."""
        self.edges += 1
        if self.follow:
            self.follow()
        now = self._clock.now()
        # A clock set back makes the difference negative: count, or an hour set back would silence an hour.
        if self.last is None or not 0 <= now - self.last < self._refractory_s:
            self.last = now
            self._counted += 1

    def poll(self):
        """Look at the level once; two looks must be closer than the sensor holds its output (2 s)."""
        level = self._pin.value()
        if level and not self._level:
            self.trigger()
        self._level = level

    def level(self):
        """Whether the sensor sees somebody now."""
        return self._pin.value()

    def take(self):
        """The triggers counted since the last call."""
        # Two counters, one written here and one in the interrupt: nothing is lost between them.
        unread = self.unread()
        self._taken += unread
        return unread

    def unread(self):
        return self._counted - self._taken

    def state(self):
        """SIZE bytes, of which `restore` makes `last` and `unread`."""
        return struct.pack(_STATE, self.last or 0, min(_UNREAD_MOST, self.unread()))


def restore(state):
    """(last, unread) of a state."""
    last, unread = struct.unpack(_STATE, state)
    return last or None, unread


def settle(pin, clock, limit_ms=_SETTLE_LIMIT_MS):
    """Wait until the pin is low, as a wake-up by its level needs; False when the limit passed before."""
    began = clock.ticks_ms()
    while pin.value():
        if ticks_diff(clock.ticks_ms(), began) >= limit_ms:
            return False
        clock.sleep_ms(_SETTLE_POLL_MS)
    return True
