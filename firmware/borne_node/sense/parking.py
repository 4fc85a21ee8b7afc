"""Which bays are taken, from how far the magnetic field is from that of the empty bay."""

import math
import struct
from array import array

from borne_node.compat import const
from borne_node.errors import SensorFault
from borne_node.sense import opener
from borne_node.sense.bays import ParkingReading, Switched

# Inside, fields are kept in units of 25 nT: 16 bits then hold 819 microtesla, and 8 G are 800.
_UNIT_NT = const(25)
_LIMIT = const(32767)
# Differences are cut to 409 microtesla, so that the sum of three squares stays below 2**30 (MicroPython's
# small integers on the ESP32): a car moves the field under it by 10 to 100.
_FAR = const(16383)

# 8 and 5 microtesla: a car moves the field in its own bay by more than 10, in the next bay (2.5 m) by less
# than 3, since a dipole's field falls with the cube of the distance.
_ARRIVES = const(320)
_LEAVES = const(200)

# The noise of 0.2 microtesla (deviation, datasheet table 2) spans 0.6 in 8 samples and 1.0 in 64; above 2
# something moves. Such a burst decides nothing.
_STEADY_NT = const(2000)
_SAMPLES = const(8)
_CALIBRATION_SAMPLES = const(64)

# The empty bay's field follows by a sixteenth of the difference, at most 0.2 microtesla a reading: the
# day's warmth (0.05 %/K, table 2) is slower, a car that comes is not swallowed.
_DRIFT_SHIFT = const(4)
_DRIFT_MOST = const(8)

# Version, mask of the calibrated bays, mask of the occupied bays; then three 16-bit numbers a bay.
_VERSION = const(1)
_HEAD_SIZE = const(3)


class Parking:
    """`open_bay(n)` gives the identified magnetometer of bay n, or raises SensorFault.

    A bay is calibrated by its first reading, which must find it empty and the field at rest. `state` (from
    `state()`) holds the fields of the empty bays and what was occupied, nothing else. `faults` says after
    each reading why a bay could not be read: one SensorFault or None a bay.
    """

    def __init__(self, open_bay, settings, state=None):
        bays = settings["bays"]
        self._open_bay = open_bay
        self._bays = bays
        self._empty = array("h", [0] * (3 * bays))
        self._calibrated = 0
        self._occupied = 0
        # One bay's burst in nanotesla; wiped after each bay.
        self._sample = array("i", [0, 0, 0])
        self._total = array("i", [0, 0, 0])
        self._low = array("i", [0, 0, 0])
        self._high = array("i", [0, 0, 0])
        self.faults = (None,) * bays
        self._restore(state)

    def read(self, now):
        """A ParkingReading. Raises SensorFault only if no bay could be read: that of the first bay."""
        occupied = [None] * self._bays
        confidence = [0] * self._bays
        faults = [None] * self._bays
        for bay in range(self._bays):
            try:
                occupied[bay], confidence[bay] = self._read_bay(bay)
            except SensorFault as fault:
                faults[bay] = fault
            finally:
                self._wipe()
        self.faults = tuple(faults)
        if None not in faults:
            raise faults[0]
        return ParkingReading(tuple(occupied), tuple(confidence))

    def state(self):
        """3 bytes, and 6 a bay."""
        head = bytes((_VERSION, self._calibrated, self._occupied))
        return head + struct.pack("<%dh" % len(self._empty), *self._empty)

    def _restore(self, state):
        # Anything else than what this version wrote for this number of bays means to calibrate anew.
        if not state or len(state) != _HEAD_SIZE + 6 * self._bays or state[0] != _VERSION:
            return
        self._calibrated = state[1]
        self._occupied = state[2]
        for at in range(3 * self._bays):
            self._empty[at] = struct.unpack_from("<h", state, _HEAD_SIZE + 2 * at)[0]

    def _read_bay(self, bay):
        bit = 1 << bay
        magnetometer = self._open_bay(bay)
        if not self._calibrated & bit:
            self._burst(magnetometer, _CALIBRATION_SAMPLES)
            if not self._steady():
                raise SensorFault(magnetometer.name, "not calibrated")
            self._follow(bay, 0, _LIMIT)
            self._calibrated |= bit
        else:
            self._burst(magnetometer, _SAMPLES)
        return self._decide(bay, bit)

    def _burst(self, magnetometer, samples):
        """Mean (in units, in `_total`), lowest and highest (in nT) of each axis. Raises SensorFault."""
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
            mean = self._total[axis] // (samples * _UNIT_NT)
            self._total[axis] = max(-_LIMIT, min(_LIMIT, mean))

    def _add(self, n):
        for axis in range(3):
            value = self._sample[axis]
            self._total[axis] += value
            if not n or value < self._low[axis]:
                self._low[axis] = value
            if not n or value > self._high[axis]:
                self._high[axis] = value

    def _steady(self):
        return all(self._high[axis] - self._low[axis] <= _STEADY_NT for axis in range(3))

    def _decide(self, bay, bit):
        was = 1 if self._occupied & bit else 0
        if not self._steady():
            return was, 0  # a car passes, arrives or leaves just now: the next reading tells
        distance = self._distance(bay)
        if distance >= (_LEAVES if was else _ARRIVES):
            self._occupied |= bit
            return 1, min(100, (distance - _LEAVES) * 100 // _ARRIVES)
        self._occupied &= ~bit
        self._follow(bay, _DRIFT_SHIFT, _DRIFT_MOST)
        return 0, min(100, (_ARRIVES - distance) * 100 // _ARRIVES)

    def _distance(self, bay):
        square = 0
        for axis in range(3):
            difference = min(_FAR, abs(self._total[axis] - self._empty[3 * bay + axis]))
            square += difference * difference
        return int(math.sqrt(square))

    def _follow(self, bay, shift, most):
        for axis in range(3):
            at = 3 * bay + axis
            step = self._total[axis] - self._empty[at]
            if shift:
                step = (step + (1 << shift - 1)) >> shift
                step = max(-most, min(most, step))
            self._empty[at] += step

    def _wipe(self):
        # A magnetic signature is a vehicle's fingerprint: it does not outlive the reading of its bay.
        for axis in range(3):
            self._sample[axis] = self._total[axis] = self._low[axis] = self._high[axis] = 0


def build(settings, board, state=None):
    open_bay = Switched(opener(settings, board), board, settings["bays"])
    return Parking(open_bay, settings, state)
