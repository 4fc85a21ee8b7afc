"""The field of each empty bay, and from it which bays are taken. Fields are three numbers in units of 25 nT.

A bay whose empty field is known for sure (`firm`) is taken when the field is far from it, and while it is free the
empty field follows the warmth of the day. Learning it needs no empty bay. Cars differ, the empty bay comes back: the
field that is found again after the bay had another one is that of the empty bay. Until then the one whose strength is
closer to the earth's is presumed to be it (a sensor's axes lie anyhow, but no turning changes the strength).

While a bay is being learned one of the two fields in question is a car's, and a car's field tells which car it is.
So of each no more than a byte is kept, a mark: for each axis in which of four cells of 16 microtesla it lies, counted
round and round, and how strange its strength is, in four classes. Cars in millions share 256 marks. No field is kept
whole before it came back.
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

# A mark: cells of 16 microtesla, four of them, then the first again. A field belongs to a mark within 4 microtesla of
# its cells (noise, the day's warmth, magnetised iron). Out of a hundred other fields five do on all three axes, and
# one if its strength has to fit, too. A tram's 10 microtesla have to be found a second time.
_CELL = const(640)
_ROUND = const(2560)
_NEAR = const(160)
_APART = const(400)
# How far a strength may be from the earth's, in steps. 4 microtesla: sensitivity is right to 5 % (MMC5603NJ, table
# "Sensor specifications") of the earth's 47; then what a small car and what a large one does.
_STRANGE = (160, 640, 1280)
_STRANGE_NOISE = const(40)
_CAR = const(2)  # the class from which on it is one, rather than iron at the sensor

# The empty bay's field follows by a sixteenth of the difference, at most 0.2 microtesla a reading: the
# day's warmth (0.05 %/K, table 2) is slower, a car that comes is not swallowed.
_DRIFT_SHIFT = const(4)
_DRIFT_MOST = const(8)

# Cars that stand longer are seldom; a bay never free for so long may be one whose iron was magnetised: learn anew,
# with what was known as one of the two fields in question. No car is forgotten by that.
_DAYS_MOST = const(3)

_PRESUMED = const(16)  # the confidence of what is only presumed, for each step that it is stranger

_MASKS = ("known", "both", "firm", "occupied", "pending", "sure")


class Baseline:
    """`fields`: array("h") of three numbers a bay, as measured now; `shift`: three numbers that all bays have moved
    by (a tram), the same list as long as this lives; `earth`: the strength of the earth's field, in units.
    """

    def __init__(self, bays, fields, shift, earth):
        self._fields, self._shift, self._earth = fields, shift, earth
        # Bit masks of bays. known: it has a mark, or is firm; both: it has two, and the second is where it was last;
        # firm: it is learned, `empty` is set and the marks are not; pending: a weak change waits to be found again;
        # sure: the last reading was far from `empty`.
        self.known = self.both = self.firm = self.occupied = self.pending = self.sure = 0
        self.empty = array("h", [0] * (3 * bays))
        self.marks = bytearray(2 * bays)
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
                self._doubt(bay, bit)
        else:
            taken, confidence = self._learn(bay, bit)
            self.freed[bay] = day & 255
        self._set("occupied", bit, taken)
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
            taken = self._changed(distance, bit, _ARRIVES, _SURE)
        self._set("sure", bit, taken and distance >= _SURE)
        if taken:
            return 1, max(0, min(100, (distance - _LEAVES) * 100 // _ARRIVES))
        if distance < _ARRIVES:
            self._follow(self.empty, bay)
        return 0, max(0, (_ARRIVES - distance) * 100 // _ARRIVES)

    def _doubt(self, bay, bit):
        self.firm &= ~bit
        self.both |= bit
        self.marks[2 * bay] = self._mark_of(self.empty, bay)
        self.marks[2 * bay + 1] = self._mark_of(self._fields, bay)
        self._set_empty(bay, (0, 0, 0))

    def _learn(self, bay, bit):
        now = self._mark_of(self._fields, bay)
        if not self.known & bit:
            self.known |= bit
            self.marks[2 * bay] = now
            self._set("occupied", bit, now >> 6)
        here = 2 * bay + (1 if self.both & bit else 0)
        if self._changed(self._beside(self.marks[here], bay), bit, _NEAR, _APART):
            if self.both & bit:
                if self._came_back(bay):
                    self._settle(bay, bit)
                    return 0, 100
                self.marks[2 * bay] = self.marks[here]
            self.both |= bit
            self.marks[2 * bay + 1] = now
            self._presume(bay, bit)
        elif not self.pending & bit:
            self.marks[here] = now
        worse = self._worse(bay, bit) if self.both & bit else now >> 6 or 1
        return (1 if self.occupied & bit else 0), _PRESUMED * abs(worse)

    def _came_back(self, bay):
        mark, strange = self.marks[2 * bay] >> 6, self._strange(self._fields, bay)
        if self._beside(self.marks[2 * bay], bay) >= _NEAR or not (
            _class(strange - _STRANGE_NOISE) <= mark <= _class(strange + _STRANGE_NOISE)
        ):
            return False
        # A car that stands just as an earlier one did: against that, its strength must not be far worse.
        return mark <= (self.marks[2 * bay + 1] >> 6) + 1

    def _settle(self, bay, bit):
        self.firm |= bit
        self.both &= ~bit
        self.occupied &= ~bit
        self.marks[2 * bay] = self.marks[2 * bay + 1] = 0
        self._set_empty(bay, [self._fields[3 * bay + axis] - self._shift[axis] for axis in range(3)])

    def _presume(self, bay, bit):
        """After a change: the stranger field is the car's. If both are strange, a car took another's place; if
        neither is, a change is one nevertheless.
        """
        worse = self._worse(bay, bit)
        if worse or self.marks[2 * bay] >> 6 >= _CAR:
            self._set("occupied", bit, worse >= 0)
        else:
            self.occupied ^= bit

    def _worse(self, bay, bit):
        """By how many classes the field in which the bay is now is stranger than the one before."""
        return (self.marks[2 * bay + 1] >> 6) - (self.marks[2 * bay] >> 6)

    def _changed(self, distance, bit, found, sure):
        """Whether a field so far away is another one: at once if it is sure, else when it is found again."""
        changed = distance >= sure or (distance >= found and self.pending & bit)
        self._set("pending", bit, distance >= found and not changed)
        return 1 if changed else 0

    def _mark_of(self, fields, bay):
        mark = _class(self._strange(fields, bay)) << 6
        for axis in range(3):
            mark |= (self._part(fields, bay, axis) // _CELL & 3) << 2 * axis
        return mark

    def _beside(self, mark, bay):
        """How far the field lies beside the cells of a mark, the shorter way round."""
        square = 0
        for axis in range(3):
            beyond = (self._part(self._fields, bay, axis) - (mark >> 2 * axis & 3) * _CELL) % _ROUND - _CELL
            part = max(0, min(beyond, _ROUND - _CELL - beyond))
            square += part * part
        return int(math.sqrt(square))

    def _part(self, fields, bay, axis):
        part = fields[3 * bay + axis]
        return part - self._shift[axis] if fields is self._fields else part

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

    def _set_empty(self, bay, field):
        for axis in range(3):
            self.empty[3 * bay + axis] = field[axis]

    def _set(self, name, bit, on):
        mask = getattr(self, name)
        setattr(self, name, mask | bit if on else mask & ~bit)


def _class(strange):
    return sum(strange >= step for step in _STRANGE)
