"""What endangers a container: that it leans or lies, and that it burns."""

import binascii
import struct

from borne_node.compat import const
from borne_node.sealed import save, unseal

# Cosine of 35 degrees, in thousandths: no kerb leans so much.
_LEANS = const(819)
# At rest gravity is all there is; while somebody empties it or throws something in, it is more or less.
_REST_LEAST, _REST_MOST = const(850), const(1150)
# A lid that is open leans too, a container that lies goes on to.
_TIMES = const(2)

# EN 54-5: a heat detector of class A1 answers at 54 to 65 degrees; a dark container in the sun is 55 inside, and the
# chip's thermometer is off by some degrees. And it rises faster than the sun makes it: 20 K from one reading to the
# next, an hour later.
_HOT_C = const(70)
_RISES_K = const(20)
_WITHIN_S = const(2 * 3600)

# Between two readings the accelerometer itself watches the axis that is most upright, and wakes the node when that
# has lost 40 % for half a minute: longer than it takes to empty a container.
_WATCHED = const(60)
_WATCHED_S = const(30)

_RECORD = "upright"
_UNKNOWN = const(-128)
# Gravity when it stood (thousandths of g), readings in a row that leaned, temperature and time of the last reading.
_STATE = "<hhhBbI"


class Safety:
    """`open_accelerometer()` gives the identified chip or raises SensorFault; None: it has none.

    How it stands is learned at its first reading at rest and kept in `store` (NVS), so that a container whose battery
    failed while it lay does not take that for upright; a node that is provisioned anew learns anew.
    """

    def __init__(self, open_accelerometer, settings, state=None, store=None):
        self._open = open_accelerometer
        self._store = store
        self._pin, self._woken = None, False
        self.armed = None
        place = "%s %s" % (settings.get("name"), settings.get("slot"))
        self._place = struct.pack("<I", binascii.crc32(place.encode()) & 0xFFFFFFFF)
        valid = state and len(state) == struct.calcsize(_STATE)
        numbers = struct.unpack(_STATE, state) if valid else (0, 0, 0, 0, _UNKNOWN, 0)
        self._up, self._leant, self._celsius, self._at = list(numbers[:3]), numbers[3], numbers[4], numbers[5]
        body = None if valid or not store else unseal(store.read(_RECORD))
        if body and len(body) == 10 and body[:4] == self._place:
            self._up = list(struct.unpack("<hhh", body[4:]))

    def watch_by(self, pin, woken):
        """`pin` is wired to the accelerometer's interrupt, and has `woken` the node or not.

        A container that leans, and one that woke the node just now, is not watched before the next reading by the
        clock: so it wakes the node once between two of these at most.
        """
        self._pin, self._woken = pin, woken

    def tilt(self):
        """1 when it leans by more than 35 degrees at two readings in a row, or at one for which it woke the node; 0
        when not, None: not known.

        Raises SensorFault.
        """
        if not self._open:
            return None
        sample = [0, 0, 0]
        chip = self._open()
        chip.read(sample)
        strength = _product(sample, sample)
        if not _REST_LEAST * _REST_LEAST <= strength <= _REST_MOST * _REST_MOST:
            return 1 if self._leant >= _TIMES else None
        if not any(self._up):
            self._up = sample
            if self._store:
                save(self._store, _RECORD, self._place + struct.pack("<hhh", *sample))
        cosine = _product(sample, self._up) / (strength * _product(self._up, self._up)) ** 0.5
        more = _TIMES if self._woken else 1
        self._leant = min(_TIMES, self._leant + more) if cosine * 1000 < _LEANS else 0
        if self._pin and not self._leant and not self._woken:
            strengths = [abs(part) for part in self._up]
            axis = strengths.index(max(strengths))
            chip.watch(axis, strengths[axis] * _WATCHED // 100, _WATCHED_S)
            self.armed = self._pin
        return 1 if self._leant >= _TIMES else 0

    def fire(self, celsius, now):
        """1 when it is hot, or grew hot within two hours; 0 when not; None without a thermometer."""
        before, gap = self._celsius, now - self._at
        self._celsius = _UNKNOWN if celsius is None else max(_UNKNOWN + 1, min(127, celsius))
        self._at = now & 0xFFFFFFFF
        if celsius is None:
            return None
        rises = before != _UNKNOWN and 0 <= gap <= _WITHIN_S and celsius - before >= _RISES_K
        return 1 if rises or celsius >= _HOT_C else 0

    def state(self):
        return struct.pack(_STATE, *(self._up + [self._leant, self._celsius, self._at]))


def _product(first, second):
    return first[0] * second[0] + first[1] * second[1] + first[2] * second[2]
