"""X-Powers AXP192, power manager of the LILYGO T-Beam V1.1 (datasheet V1.1, register numbers as there).

There LDO2 feeds the LoRa chip and LDO3 the GPS receiver; what is set stays until the cell is taken out.
"""

from borne_node.chips.registers import Registers
from borne_node.compat import const
from borne_node.errors import SensorFault

NAME = "AXP192"

_ADDRESS = const(0x34)
_IDENTITY = const(0x03)
_AXP192 = const(0x03)
_STATUS = const(0x01)  # REG 01H, power operating mode and charge state
_HAS_CELL = const(0x20)
_OUTPUTS = const(0x12)  # REG 12H, power output control
_LDO2 = const(0x04)
_LDO3 = const(0x08)
_LDO_VOLTAGES = const(0x28)  # REG 28H, LDO2 in the high nibble: 1.8 V + 0.1 V a step
_LDO2_3V3 = const(0xF0)
_ADCS = const(0x82)  # REG 82H, ADC enable 1
_CELL_ADC = const(0x80)
_CELL = const(0x78)  # REG 78H and 79H: 8 high and 4 low bits of 1.1 mV
_CELL_UV = const(1100)


class AXP192:
    """Raises SensorFault: "no answer", "wrong chip"."""

    def __init__(self, i2c):
        self._chip = Registers(i2c, _ADDRESS, NAME)
        self._byte = bytearray(1)
        if self._read(_IDENTITY) != _AXP192:
            raise SensorFault(NAME, "wrong chip")

    def power_radio(self):
        """LDO2 on at 3.3 V, LDO3 off: a street node stands where it was put and needs no GPS."""
        self._write(_LDO_VOLTAGES, self._read(_LDO_VOLTAGES) | _LDO2_3V3)
        self._write(_OUTPUTS, self._read(_OUTPUTS) & ~_LDO3 | _LDO2)

    def battery_uv(self):
        """Voltage of the cell in uV, None without one."""
        if not self._read(_STATUS) & _HAS_CELL:
            return None
        self._write(_ADCS, self._read(_ADCS) | _CELL_ADC)
        return (self._read(_CELL) << 4 | self._read(_CELL + 1) & 0x0F) * _CELL_UV

    def _read(self, register):
        self._chip.read(register, self._byte)
        return self._byte[0]

    def _write(self, register, value):
        self._byte[0] = value
        self._chip.write(register, self._byte)
