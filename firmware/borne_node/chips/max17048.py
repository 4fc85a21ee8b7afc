"""Maxim MAX17048, fuel gauge of one cell (datasheet 19-6171, register numbers as there). The cell itself feeds it."""

from borne_node.chips.registers import Registers
from borne_node.compat import const
from borne_node.errors import SensorFault

NAME = "MAX17048"

_ADDRESS = const(0x36)
_VCELL = const(0x02)  # 78.125 uV a step, that is 625/8
_VERSION = const(0x08)  # 0x001n; its last digit is the production's


class MAX17048:
    """Raises SensorFault: "no answer", "wrong chip"."""

    def __init__(self, i2c):
        self._chip = Registers(i2c, _ADDRESS, NAME)
        self._word = bytearray(2)
        if self._read(_VERSION) >> 4 != 1:
            raise SensorFault(NAME, "wrong chip")

    def battery_uv(self):
        """Voltage of the cell in uV."""
        return self._read(_VCELL) * 625 // 8

    def _read(self, register):
        self._chip.read(register, self._word)
        return self._word[0] << 8 | self._word[1]
