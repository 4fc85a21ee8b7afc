"""How full a container is, from the distance to what lies in it and from its shape."""

from collections import namedtuple

from borne_node import sensors
from borne_node.compat import const
from borne_node.errors import SettingsError
from borne_node.sense import chosen, echo, geometry, opener

# level: whole percent of the volume, 0 to 100; temperature: whole degrees Celsius or None.
FillReading = namedtuple("FillReading", ("level", "temperature"))

# What the distance to the empty floor may be too long by: 10 mm of accuracy, 40 mm of dents and mounting, and the
# speed of sound where the chip's thermometer, which corrects it, is off by 35 K and more (0.18 %/K).
_MARGIN_MM = const(50)
_MARGIN_SHIFT = const(4)


class Fill:
    """`open_ranger()` gives the identified ranger or raises SensorFault; `reach` is how far it sees, in mm.

    Settings `depth_mm` (empty to full), `offset_mm` (full to sensor) and `container` (its shape) are the geometry.
    `thermometer` is a callable that gives whole degrees Celsius, or None. Raises SettingsError when the floor of
    the empty container lies out of the sensor's reach.
    """

    def __init__(self, open_ranger, settings, reach, thermometer=None):
        self._open_ranger = open_ranger
        self._thermometer = thermometer
        self._depth = settings["depth_mm"]
        self._offset = settings["offset_mm"]
        self._shape = settings.get("container", "column")
        self.faults = (None,)
        if self._depth + self._offset > reach:
            raise SettingsError(
                "depth_mm", "with offset_mm makes more than the %d mm the sensor sees" % reach
            )

    def read(self, now):
        """A FillReading. Raises SensorFault when too few pings agree, or the floor is farther than can be."""
        celsius = self._thermometer() if self._thermometer else None
        ranger = self._open_ranger()
        empty = self._offset + self._depth
        # A heap above the rim is full, a dent in the floor is empty: geometry.volume holds both to the scale.
        surface = echo.distance(ranger, empty + _MARGIN_MM + (empty >> _MARGIN_SHIFT))
        height = empty - echo.in_air(surface, ranger.celsius, celsius)
        return FillReading(geometry.volume(self._shape, height, self._depth), celsius)

    def state(self):
        return b""


def build(settings, board, state=None):
    reach = sensors.row(chosen(settings))[5]
    return Fill(opener(settings, board), settings, reach, board.temperature)
