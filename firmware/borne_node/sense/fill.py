"""How full a container is, from the distance to what lies in it and from its shape; when it was emptied; whether it
lies or burns.
"""

from collections import namedtuple

from borne_node import sensors
from borne_node.compat import const
from borne_node.errors import SensorFault, SettingsError
from borne_node.sense import chosen, echo, geometry, opener
from borne_node.sense.emptied import SIZE, Emptied
from borne_node.sense.safety import Safety

# level: whole percent of the volume, 0 to 100, or None when only an alarm is to be told; temperature: whole degrees
# Celsius or None; tilt and fire: 1, 0 or None (not known); emptied: unix second, or None (not known).
FillReading = namedtuple("FillReading", ("level", "temperature", "tilt", "fire", "emptied"))

# What the distance to the empty floor may be too long by: 10 mm of accuracy, 40 mm of dents and mounting, and the
# speed of sound where the chip's thermometer, which corrects it, is off by 35 K and more (0.18 %/K).
_MARGIN_MM = const(50)
_MARGIN_SHIFT = const(4)


class Fill:
    """`open_ranger()` gives the identified ranger or raises SensorFault; `reach` is how far it sees, in mm.

    Settings `depth_mm` (empty to full), `offset_mm` (full to sensor) and `container` (its shape) are the geometry.
    `thermometer` is a callable that gives whole degrees Celsius, or None; `safety` a safety.Safety and `emptied` an
    emptied.Emptied, or None. `faults` after each reading: those of the ranger and of the accelerometer, or None.
    Raises SettingsError when the floor of the empty container lies out of the sensor's reach.
    """

    def __init__(self, open_ranger, settings, reach, thermometer=None, safety=None, emptied=None):
        self._safety, self._emptied = safety, emptied
        self._open_ranger = open_ranger
        self._thermometer = thermometer
        self._depth = settings["depth_mm"]
        self._offset = settings["offset_mm"]
        self._shape = settings.get("container", "column")
        self.faults = (None, None)
        if self._depth + self._offset > reach:
            raise SettingsError(
                "depth_mm", "with offset_mm makes more than the %d mm the sensor sees" % reach
            )

    def read(self, now):
        """A FillReading. Raises SensorFault when too few pings agree, or the floor is farther than can be.

        A container that lies or burns says so although its ranger finds no surface.
        """
        celsius = self._thermometer() if self._thermometer else None
        self.faults = (None, None)
        tilt = self._tilt()
        fire = self._safety.fire(celsius, now) if self._safety else None
        try:
            level = self._level(celsius, now)
            if self._emptied and not tilt:  # one that lies shows its ranger anything
                self._emptied.see(level, now)
        except SensorFault as fault:
            self.faults = (fault, self.faults[1])
            if not (tilt or fire):
                raise
            level = None
        return FillReading(level, celsius, tilt, fire, self._emptied and self._emptied.at)

    @property
    def wake_pin(self):
        """The pin by which the accelerometer wakes the node when it leans, or None."""
        return self._safety.armed if self._safety else None

    def state(self):
        parts = [part.state() for part in (self._emptied, self._safety) if part]
        return b"".join(parts)

    def _level(self, celsius, now):
        ranger = self._open_ranger()
        empty = self._offset + self._depth
        # A heap above the rim is full, a dent in the floor is empty: geometry.volume holds both to the scale.
        surface = echo.distance(ranger, empty + _MARGIN_MM + (empty >> _MARGIN_SHIFT), self._offset)
        if self._emptied and self._emptied.stuck(surface, now):
            raise SensorFault(ranger.name, "stuck")
        height = empty - echo.in_air(surface, ranger.celsius, celsius)
        return geometry.volume(self._shape, height, self._depth)

    def _tilt(self):
        try:
            return self._safety.tilt() if self._safety else None
        except SensorFault as fault:
            self.faults = (None, fault)


def build(settings, board, state=None):
    reach = sensors.row(chosen(settings))[5]
    accelerometer = None if chosen(settings, "tilt") == "none" else opener(settings, board, "tilt")
    state = state or b""
    emptied = Emptied(settings, state[:SIZE], board.nvs)
    safety = Safety(accelerometer, settings, state[SIZE:], board.nvs)
    if accelerometer and "pir" in board.names:
        safety.watch_by(board.presence_pin(), board.woken_by_pin)
    return Fill(opener(settings, board), settings, reach, board.temperature, safety, emptied)
