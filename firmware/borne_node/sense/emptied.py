"""When a container was emptied: its level fell, and stays where it fell to. And whether its ranger still measures.

Of the last four readings both of the newer pair lie at least 20 points below both of the older pair. So one echo that
went astray, high or low, changes nothing; nor does a heap that settles. A container less than that full is emptied
unseen.
"""

import binascii
import struct

from borne_node import RELEASED
from borne_node.compat import const
from borne_node.sealed import save, unseal
from borne_node.sense.unchanged import Unchanged

# Twice what a slanted heap moves the level by from one reading to the next (bench/fill_accuracy.py).
_FALL = const(20)
_NONE = const(255)
# To the millimetre, by day and by night: 1 K makes 2 mm a metre, and no ping is quite like the last.
_STUCK_S = const(3 * 86400)
_RECORD = "emptied"
# Mark of container and geometry; levels, oldest first; when the newest of them was read; when it was emptied, 0: not
# known. Then that of unchanged.py.
_STATE = "<IBBBII"
_OWN_SIZE = const(15)
SIZE = const(21)


class Emptied:
    """`at`: unix second of the reading that found it emptied first, or None. `store` (NVS) keeps it over a power cut.

    A node that is provisioned anew, or told another geometry, learns anew.
    """

    def __init__(self, settings, state=None, store=None):
        names = ("name", "slot", "container", "depth_mm", "offset_mm")
        mark = " ".join([str(settings.get(name)) for name in names])
        self._mark, self._store = binascii.crc32(mark.encode()) & 0xFFFFFFFF, store
        self._levels, self._read_at, self._at = [_NONE] * 3, 0, 0
        ours = state and len(state) == SIZE and struct.unpack("<I", state[:4])[0] == self._mark
        self._same = Unchanged(_STUCK_S, state[_OWN_SIZE:] if ours else None)
        if ours:
            _, *self._levels, self._read_at, self._at = struct.unpack(_STATE, state[:_OWN_SIZE])
            return
        body = unseal(store.read(_RECORD)) if store else None
        if body and len(body) == 8 and struct.unpack("<I", body[:4])[0] == self._mark:
            self._at = struct.unpack("<I", body[4:])[0]

    @property
    def at(self):
        return self._at or None

    def stuck(self, surface, now):
        """Whether the ranger has found the same millimetre for three days."""
        return self._same.stuck(surface, now)

    def see(self, level, now):
        """Take the level of a reading, whole percent."""
        if now < RELEASED:  # the clock is not set
            return
        if now < self._read_at:  # it was set back: what was seen is of no known time
            self._levels, self._at = [_NONE] * 3, min(self._at, now)
        first, second, third = self._levels
        if _NONE not in self._levels and max(third, level) + _FALL <= min(first, second):
            self._at = self._read_at
            if self._store:
                save(self._store, _RECORD, struct.pack("<II", self._mark, self._at))
        self._levels, self._read_at = [second, third, level], now

    def state(self):
        own = struct.pack(_STATE, self._mark, *(self._levels + [self._read_at, self._at]))
        return own + self._same.state()
