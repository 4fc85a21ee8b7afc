"""A sensor that finds the same to the last digit for days has stopped to measure, whatever it says."""

import struct

from borne_node.compat import const

SIZE = const(6)
# Value, and since when it is the same in unix seconds, 0: there was none.
_STATE = "<HI"
# No sensor is left unread for longer: the clock was set meanwhile.
_JUMP_S = const(86400)


class Unchanged:
    """`limit_s`: for how long one value can be true. `state` is what `state()` gave before the sleep."""

    def __init__(self, limit_s, state=None):
        self._limit = limit_s
        self._value, self._since = struct.unpack(_STATE, state) if state and len(state) == SIZE else (0, 0)

    def stuck(self, value, now):
        """Whether the 16 bits of `value` have been the same for the limit."""
        value &= 0xFFFF
        if value != self._value or not self._since or not 0 <= now - self._since <= self._limit + _JUMP_S:
            self._value, self._since = value, now & 0xFFFFFFFF
        if now - self._since < self._limit:
            return False
        self._since = now - self._limit
        return True

    def state(self):
        return struct.pack(_STATE, self._value, self._since)
