"""What the ways of watching bays share: the reading, and the bus of each bay."""

from collections import namedtuple

# Per bay: occupied 1, 0 or None (could not be read); confidence 0 to 100.
ParkingReading = namedtuple("ParkingReading", ("occupied", "confidence"))


class Switched:
    """Opens the chip of a bay: on its bus itself when it is the only one, else behind an I2C switch.

    `open_chip(bus)` is sense.opener's. Raises SensorFault.
    """

    def __init__(self, open_chip, board, bays):
        self._open_chip = open_chip
        self._board = board
        self._several = bays > 1
        self._switch = None

    def __call__(self, bay):
        if not self._several:
            return self._open_chip()
        if self._switch is None:
            from borne_node.chips.tca9548a import TCA9548A

            self._switch = TCA9548A(self._board.i2c())
        return self._open_chip(self._switch.channel(bay))
