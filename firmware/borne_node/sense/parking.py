"""Which bays are taken, from the magnetic field in each."""

import binascii
import struct
from array import array

from borne_node.compat import const
from borne_node.errors import SensorFault
from borne_node.sealed import save, unseal
from borne_node.sense import chosen, opener
from borne_node.sense.baseline import LIMIT, UNIT_NT, Baseline
from borne_node.sense.bays import ParkingReading, Switched

# The noise of 0.2 microtesla (deviation, datasheet table 2) spans 0.6 in 8 samples and 1.0 in 64; above 2
# something moves. Such a burst decides nothing.
_STEADY_NT = const(2000)
_SAMPLES = const(8)
_FIRST_SAMPLES = const(64)

# Three free bays or more that have moved by the same, to 3 microtesla: no cars, whose fields differ more, but a tram,
# or the current in its wire.
_ALIKE = const(120)
_ALIKE_LEAST = const(3)

# Version, day of the last record in NVS, the masks of baseline.py; then per bay the day on which it was free, two marks
# and the empty field.
_VERSION = const(3)
_HEAD = const(8)
_PER_BAY = const(9)

_RECORD = "bays"
_DAY_S = const(86400)


class Parking:
    """`open_bay(n)` gives the identified magnetometer of bay n, or raises SensorFault.

    `store` (NVS) keeps the fields of the empty bays, written when one is learned and daily, so that a power cut does
    not make the node learn on parked cars; a node that is provisioned anew learns anew. It never holds what is
    occupied. `state` (from `state()`) is for RTC memory. `faults` says after each reading why a bay could not be
    read: one SensorFault or None a bay.
    """

    def __init__(self, open_bay, settings, state=None, store=None):
        bays = settings["bays"]
        self._open_bay = open_bay
        self._bays = bays
        self._store = store
        # Which place the record is of: provisioning switches the slot.
        place = "%s %s %s %d" % (settings.get("name"), settings.get("slot"), chosen(settings), bays)
        self._place = struct.pack("<I", binascii.crc32(place.encode()) & 0xFFFFFFFF)
        # One bay's burst in nanotesla, and all bays' means in units; wiped after each reading.
        self._sample = array("i", [0, 0, 0])
        self._total = array("i", [0, 0, 0])
        self._low = array("i", [0, 0, 0])
        self._high = array("i", [0, 0, 0])
        self._means = array("h", [0] * (3 * bays))
        self._shift = [0, 0, 0]
        earth = settings.get("earth_nt", 47500) // UNIT_NT
        self._baseline = Baseline(bays, self._means, self._shift, earth)
        self._saved = 0
        self.faults = (None,) * bays
        if not self._restore(state):
            self._recall()

    def read(self, now):
        """A ParkingReading. Raises SensorFault only if no bay could be read: that of the first bay."""
        occupied = [None] * self._bays
        confidence = [0] * self._bays
        faults = [None] * self._bays
        steady = 0
        firm = self._baseline.firm
        try:
            for bay in range(self._bays):
                try:
                    steady |= self._measure(bay) << bay
                except SensorFault as fault:
                    faults[bay] = fault
            self._find_shift(steady)
            for bay in range(self._bays):
                if steady >> bay & 1:
                    occupied[bay], confidence[bay] = self._baseline.judge(bay, now // _DAY_S)
                elif not faults[bay]:
                    # A car passes, arrives or leaves just now: the next reading tells.
                    occupied[bay] = self._baseline.occupied >> bay & 1
        finally:
            self._wipe()
        self.faults = tuple(faults)
        self._keep(now, firm)
        if None not in faults:
            raise faults[0]
        return ParkingReading(tuple(occupied), tuple(confidence))

    def state(self):
        """8 bytes, and 9 a bay."""
        baseline = self._baseline
        head = (
            bytes((_VERSION, self._saved)) + baseline.masks() + bytes(baseline.freed) + bytes(baseline.marks)
        )
        return head + struct.pack("<%dh" % (3 * self._bays), *baseline.empty)

    def _restore(self, state):
        # Anything else than what this version wrote for this number of bays is none.
        if not state or len(state) != _HEAD + _PER_BAY * self._bays or state[0] != _VERSION:
            return False
        baseline = self._baseline
        self._saved = state[1]
        baseline.set_masks(state[2:_HEAD])
        at = _HEAD + self._bays
        baseline.freed[:] = state[_HEAD:at]
        baseline.marks[:] = state[at : at + 2 * self._bays]
        _unpack(baseline.empty, state, at + 2 * self._bays)
        return True

    def _recall(self):
        body = unseal(self._store.read(_RECORD)) if self._store else None
        if body and len(body) == 5 + 6 * self._bays and body[:4] == self._place:
            self._baseline.known = self._baseline.firm = body[4]
            _unpack(self._baseline.empty, body, 5)

    def _keep(self, now, firm):
        """Write the record on the day's first reading, or when a bay was learned just now."""
        today = now // _DAY_S & 255
        learned = self._baseline.firm & ~firm
        if not self._store or not self._baseline.firm or (today == self._saved and not learned):
            return
        fields = struct.pack("<%dh" % (3 * self._bays), *self._baseline.empty)
        if save(self._store, _RECORD, self._place + bytes((self._baseline.firm,)) + fields):
            self._saved = today

    def _measure(self, bay):
        """The mean field of a bay; 1 if it is at rest, else 0. Raises SensorFault."""
        known = self._baseline.known >> bay & 1
        magnetometer = self._open_bay(bay)
        self._burst(magnetometer, bay, _SAMPLES if known else _FIRST_SAMPLES)
        steady = all(self._high[axis] - self._low[axis] <= _STEADY_NT for axis in range(3))
        if not known and not steady:
            raise SensorFault(magnetometer.name, "not calibrated")
        return 1 if steady else 0

    def _burst(self, magnetometer, bay, samples):
        """Mean (in units), lowest and highest (in nT) of each axis. Raises SensorFault."""
        for axis in range(3):
            self._total[axis] = 0
        magnetometer.start()
        try:
            for n in range(samples):
                magnetometer.next(self._sample)
                self._add(n)
        finally:
            magnetometer.standby()
        # Noise is 6 counts (table 2): a chip that measures does not give eight equal samples on three axes.
        if self._low == self._high:
            raise SensorFault(magnetometer.name, "stuck")
        for axis in range(3):
            mean = self._total[axis] // (samples * UNIT_NT)
            self._means[3 * bay + axis] = max(-LIMIT, min(LIMIT, mean))

    def _add(self, n):
        for axis in range(3):
            value = self._sample[axis]
            self._total[axis] += value
            if not n or value < self._low[axis]:
                self._low[axis] = value
            if not n or value > self._high[axis]:
                self._high[axis] = value

    def _find_shift(self, steady):
        """What free bays have moved by together."""
        baseline = self._baseline
        free = steady & baseline.firm & ~baseline.occupied
        moved = [baseline.differences(bay) for bay in range(self._bays) if free >> bay & 1]
        if len(moved) < _ALIKE_LEAST:
            return
        middle = [sorted(one[axis] for one in moved)[len(moved) // 2] for axis in range(3)]
        alike = sum(all(abs(one[axis] - middle[axis]) <= _ALIKE for axis in range(3)) for one in moved)
        if alike >= _ALIKE_LEAST and 2 * alike > len(moved):
            self._shift[:] = middle

    def _wipe(self):
        # A magnetic signature is a vehicle's fingerprint: it does not outlive the reading.
        for axis in range(3):
            self._sample[axis] = self._total[axis] = self._low[axis] = self._high[axis] = 0
            self._shift[axis] = 0
        for at in range(3 * self._bays):
            self._means[at] = 0


def _unpack(numbers, data, at):
    for n in range(len(numbers)):
        numbers[n] = struct.unpack_from("<h", data, at + 2 * n)[0]


def build(settings, board, state=None):
    open_bay = Switched(opener(settings, board), board, settings["bays"])
    return Parking(open_bay, settings, state, board.nvs)
