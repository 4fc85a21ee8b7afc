"""How full a container is, from the distance to what lies in it."""

from collections import namedtuple

from borne_node.chips import a02yyuw
from borne_node.compat import const
from borne_node.errors import SensorFault, SettingsError

# level: whole percent, 0 to 100; temperature: whole degrees Celsius or None.
FillReading = namedtuple("FillReading", ("level", "temperature"))

_PINGS = const(5)
# More than half must be right: then one wild echo cannot be the median.
_NEEDED = const(3)
# What the distance to the empty floor may be too long by: 10 mm of accuracy, 40 mm of dents and mounting,
# and the speed of sound, 6 % slower at -15 than at 20 degrees (331.3 + 0.606 T m/s), not corrected yet.
_MARGIN_MM = const(50)
_MARGIN_SHIFT = const(4)


class Fill:
    """`ranger` pings; settings `depth_mm` (empty to full) and `offset_mm` (full to sensor) are the geometry.

    `thermometer` is a callable that gives whole degrees Celsius, or None. Raises SettingsError when the
    floor of the empty container lies out of the sensor's reach.
    """

    def __init__(self, ranger, settings, thermometer=None):
        self._ranger = ranger
        self._thermometer = thermometer
        self._depth = settings["depth_mm"]
        self._offset = settings["offset_mm"]
        self._pings = [0] * _PINGS
        self.faults = (None,)
        reach = a02yyuw.FARTHEST_MM
        if self._depth + self._offset > reach:
            raise SettingsError(
                "depth_mm", "with offset_mm makes more than the %d mm the sensor sees" % reach
            )

    def read(self, now):
        """A FillReading. Raises SensorFault when fewer than three of five pings are good, or too far."""
        distance = self._distance()
        empty = self._offset + self._depth
        if distance > empty + _MARGIN_MM + (empty >> _MARGIN_SHIFT):
            raise SensorFault(a02yyuw.NAME, "out of range")
        # Rounded to the nearest percent; a heap above the rim is full, a dent in the floor is empty.
        level = ((empty - distance) * 200 + self._depth) // (2 * self._depth)
        temperature = self._thermometer() if self._thermometer else None
        return FillReading(max(0, min(100, level)), temperature)

    def state(self):
        return b""

    def _distance(self):
        """The median of the good pings in mm."""
        good = failed = 0
        worst = None
        self._ranger.start()
        for _ in range(_PINGS):
            try:
                self._pings[good] = self._ranger.ping()
                good += 1
            except SensorFault as fault:
                failed += 1
                # A silent sensor is silent for good; no need to wait out the other pings.
                worst = _worse(worst, fault)
                if failed > _PINGS - _NEEDED:
                    raise worst
        return sorted(self._pings[:good])[good // 2]


def _worse(first, second):
    # Of mixed failures the one that comes first among the reasons says most about the sensor.
    if first is None:
        return second
    reasons = SensorFault.REASONS
    return first if reasons.index(first.reason) < reasons.index(second.reason) else second


def build(settings, board, state=None):
    ranger = a02yyuw.A02YYUW(board.uart(a02yyuw.BAUDRATE), board.clock)
    return Fill(ranger, settings, board.temperature)
