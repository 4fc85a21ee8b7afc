"""The field of each empty bay, and from it which bays are taken. Fields are three numbers in units of 25 nT.

A bay whose empty field is known for sure (`firm`) is taken when the field is far from it, and while it is free the
empty field follows the warmth of the day. Learning it needs no empty bay. Cars differ, the empty bay comes back: the
field that is found again after the bay had another one is that of the empty bay. Until then the one whose strength is
closer to the earth's is presumed to be it (a sensor's axes lie anyhow, but no turning changes the strength). While a
bay is being learned the two fields in question are kept, in RTC memory only; afterwards only the empty one is.
"""

import math
from array import array

from borne_node.compat import const

UNIT_NT = const(25)  # 16 bits then hold 819 microtesla, and 8 G are 800
LIMIT = const(32767)
# Differences are cut to 409 microtesla, so that the sum of three squares stays below 2**30 (MicroPython's
# small integers on the ESP32): a car moves the field under it by 10 to 100.
_FAR = const(16383)

# 8 and 5 microtesla: a car moves the field in its own bay by more than 10, in the next bay (2.5 m) by less
# than 3, since a dipole's field falls with the cube of the distance.
_ARRIVES = const(320)
_LEAVES = const(200)
# 16 microtesla: what is less may be a tram that passes just now, and has to be found a second time.
_SURE = const(640)
# 4 microtesla: sensitivity is right to 5 % (MMC5603NJ, table "Sensor specifications") of the earth's 47.
_EARTHLY = const(160)

# The empty bay's field follows by a sixteenth of the difference, at most 0.2 microtesla a reading: the
# day's warmth (0.05 %/K, table 2) is slower, a car that comes is not swallowed.
_DRIFT_SHIFT = const(4)
_DRIFT_MOST = const(8)

# Cars that stand longer are seldom; a bay never free for so long may be one whose iron was magnetised: learn anew,
# with what was known as one of the two fields. No car is forgotten by that.
_DAYS_MOST = const(3)

_PRESUMED_MOST = const(50)  # the confidence of what is only presumed

_MASKS = ("known", "both", "firm", "occupied", "pending", "sure")


class Baseline:
    """`fields`: array("h") of three numbers a bay, as measured now; `shift`: three numbers that all bays have moved
    by (a tram), the same list as long as this lives; `earth`: the strength of the earth's field, in units.
    """

    def __init__(self, bays, fields, shift, earth):
        self._fields, self._shift, self._earth = fields, shift, earth
        # Bit masks of bays. known: `empty` is set; both: `other` is, too, and is where the bay was last; firm: it is
        # learned; pending: a weak change waits to be found again; sure: the last reading was far from `empty`.
        self.known = self.both = self.firm = self.occupied = self.pending = self.sure = 0
        self.empty = array("h", [0] * (3 * bays))
        self.other = array("h", [0] * (3 * bays))
        self.freed = bytearray(bays)  # day on which it was last free, modulo 256

    def masks(self):
        return bytes([getattr(self, name) for name in _MASKS])

    def set_masks(self, masks):
        for n in range(len(_MASKS)):
            setattr(self, _MASKS[n], masks[n])

    def judge(self, bay, day):
        """(1 or 0, confidence 0 to 100) of a bay whose field is at rest; `day` is that of today."""
        bit = 1 << bay
        if self.firm & bit:
            taken, confidence = self._compare(bay, bit)
            if not taken:
                self.freed[bay] = day & 255
            elif _DAYS_MOST < (day - self.freed[bay]) & 255 < 128:
                self.firm &= ~bit
                self.both |= bit
                self._copy(self.other, self._fields, bay)
        else:
            taken, confidence = self._learn(bay, bit)
            self.freed[bay] = day & 255
        self._mark("occupied", bit, taken)
        return taken, confidence

    def differences(self, bay):
        """How far the field of a bay is from that of the empty bay, each axis."""
        return [self._fields[3 * bay + axis] - self.empty[3 * bay + axis] for axis in range(3)]

    def _compare(self, bay, bit):
        distance = self._distance(self.empty, bay)
        if self.occupied & bit:
            # From far away to nearly back: it left, and the empty field has moved meanwhile, or a tram passes. Half
            # way leaves less than a car for either.
            taken = distance >= (_SURE if self.sure & bit else _LEAVES)
            if not taken and distance >= _LEAVES:
                self._meet(bay)
        else:
            taken = self._changed(distance, bit)
        self._mark("sure", bit, taken and distance >= _SURE)
        if taken:
            return 1, max(0, min(100, (distance - _LEAVES) * 100 // _ARRIVES))
        if distance < _ARRIVES:
            self._follow(self.empty, bay)
        return 0, max(0, (_ARRIVES - distance) * 100 // _ARRIVES)

    def _learn(self, bay, bit):
        if not self.known & bit:
            self.known |= bit
            self._copy(self.empty, self._fields, bay)
            self._mark("occupied", bit, self._strange(self.empty, bay) > _EARTHLY)
        here = self.other if self.both & bit else self.empty
        distance = self._distance(here, bay)
        if distance < _SURE and self._changed(distance, bit):
            self._copy(here, self._fields, bay)  # the same car, and something has moved
        elif distance >= _SURE:
            self._mark("pending", bit, False)
            if self.both & bit:
                if self._came_back(bay):
                    self._settle(bay, bit)
                    return 0, 100
                self._copy(self.empty, self.other, bay)
            self.both |= bit
            self._copy(self.other, self._fields, bay)
            self._presume(bay, bit)
        elif distance < _ARRIVES:
            self._follow(here, bay)
        return (1 if self.occupied & bit else 0), min(
            _PRESUMED_MOST, abs(self._worse(bay, bit)) * 100 // _ARRIVES
        )

    def _came_back(self, bay):
        if self._distance(self.empty, bay) >= _LEAVES:
            return False
        # A car that stands just as an earlier one did: against that, its strength must not be far worse.
        return self._strange(self.empty, bay) <= self._strange(self.other, bay) + 3 * _EARTHLY

    def _settle(self, bay, bit):
        self.firm |= bit
        self.both &= ~bit
        for axis in range(3):
            self.other[3 * bay + axis] = 0

    def _presume(self, bay, bit):
        """After a change: the stranger field is the car's. If both are as strange, a change is one nevertheless."""
        worse = self._worse(bay, bit)
        if abs(worse) <= _EARTHLY:
            self.occupied ^= bit
        else:
            self._mark("occupied", bit, worse > 0)

    def _worse(self, bay, bit):
        """How much stranger the field is, in which the bay is now, than that of an empty bay."""
        if self.both & bit:
            return self._strange(self.other, bay) - self._strange(self.empty, bay)
        return self._strange(self.empty, bay) - _EARTHLY

    def _changed(self, distance, bit):
        """Whether a field so far away is another one: at once if it is sure, else when it is found again."""
        found = distance >= _ARRIVES
        changed = distance >= _SURE or (found and self.pending & bit)
        self._mark("pending", bit, found and not changed)
        return 1 if changed else 0

    def _strange(self, fields, bay):
        """How much stronger or weaker than the earth's a field is."""
        square = 0
        for axis in range(3):
            part = min(_FAR, abs(fields[3 * bay + axis]))
            square += part * part
        return abs(int(math.sqrt(square)) - self._earth)

    def _distance(self, fields, bay):
        square = 0
        for axis in range(3):
            part = self._fields[3 * bay + axis] - self._shift[axis] - fields[3 * bay + axis]
            part = min(_FAR, abs(part))
            square += part * part
        return int(math.sqrt(square))

    def _follow(self, fields, bay):
        for at in range(3 * bay, 3 * bay + 3):
            step = (self._fields[at] - fields[at] + (1 << _DRIFT_SHIFT - 1)) >> _DRIFT_SHIFT
            fields[at] += max(-_DRIFT_MOST, min(_DRIFT_MOST, step))

    def _meet(self, bay):
        for at in range(3 * bay, 3 * bay + 3):
            self.empty[at] += (self._fields[at] - self.empty[at]) >> 1

    def _copy(self, to, origin, bay):
        for at in range(3 * bay, 3 * bay + 3):
            to[at] = origin[at]

    def _mark(self, name, bit, on):
        mask = getattr(self, name)
        setattr(self, name, mask | bit if on else mask & ~bit)
