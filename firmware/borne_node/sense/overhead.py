"""Which bays are taken, from how far it is to what stands in them: a ranger over each bay, or at its end."""

from borne_node.compat import const
from borne_node.errors import SensorFault
from borne_node.sense import echo, opener
from borne_node.sense.bays import ParkingReading, Switched

# The lowest cars are 1.1 m high and the lowest bonnets stand 0.6 m over the ground: what is nearer than the empty
# bay by so much is a car, and no kerb, bag or drift of snow.
_CAR_MM = const(400)
# How far too long a way to the ground may come out, as in fill.py.
_MARGIN_SHIFT = const(4)
_MARGIN_MM = const(50)


class Overhead:
    """`open_bay(n)` gives the identified ranger of bay n, or raises SensorFault.

    `settings["floor_mm"]` is the distance to the ground of the empty bay (or to its far end). Nothing is learned, so
    it does not matter what stood there at the start. `faults` as in parking.Parking.
    """

    def __init__(self, open_bay, settings, thermometer=None):
        self._open_bay = open_bay
        self._bays = settings["bays"]
        self._floor = settings["floor_mm"]
        self._thermometer = thermometer
        self.faults = (None,) * self._bays

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
        self.faults = tuple(faults)
        if None not in faults:
            raise faults[0]
        return ParkingReading(tuple(occupied), tuple(confidence))

    def state(self):
        return b""

    def _read_bay(self, bay):
        ranger = self._open_bay(bay)
        distance = echo.distance(ranger, self._floor + _MARGIN_MM + (self._floor >> _MARGIN_SHIFT))
        celsius = self._thermometer() if self._thermometer else None
        nearer = self._floor - echo.in_air(distance, ranger.celsius, celsius)
        # The threshold lies half way, so that neither noise nor warmth decides.
        half = _CAR_MM // 2
        return (1 if nearer >= half else 0), min(100, abs(nearer - half) * 100 // half)


def build(settings, board, state=None):
    bays = Switched(opener(settings, board), board, settings["bays"])
    return Overhead(bays, settings, board.temperature)
