"""TI INA226, current and power over a shunt (datasheet SBOS547)."""

from borne_node.chips.registers import Registers
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "INA226"

_ADDRESS = const(0x40)  # table 2: A1 and A0 to ground
_CONFIGURATION = const(0x00)
_SHUNT = const(0x01)
_BUS = const(0x02)
_MASK = const(0x06)
_MANUFACTURER = const(0xFE)
_DIE = const(0xFF)

_TI = const(0x5449)  # section 7.6.10
_DIE_ID = const(0x2260)
# Table 6: average of 4, 1.1 ms each for bus and shunt, once: 8.8 ms. Long enough for the ripple of a lamp's driver,
# short enough to see it flicker. Bit 14 reads as one.
_ONCE = const(0x4323)
_DOWN = const(0x4000)
_READY = const(0x0008)  # CVRF, section 7.6.7
_OVERFLOW = const(32767)

_LIMIT_MS = const(60)
_POLL_MS = const(2)
# Table 1 ff.: 2.5 uV of shunt voltage a count, 1.25 mV of bus voltage a count.
_SHUNT_MICROOHM = const(10_000)


class INA226:
    """`read` gives (millivolts, milliamperes, milliwatts), with a shunt of 10 milliohm: up to 8 A and 36 V.

    The constructor identifies the chip. Raises SensorFault "no answer" or "wrong chip".
    """

    name = NAME
    counts_energy = False

    def __init__(self, i2c, clock):
        self._registers = Registers(i2c, _ADDRESS, NAME)
        self._clock = clock
        self._word = bytearray(2)
        if self._get(_MANUFACTURER) != _TI or self._get(_DIE) & 0xFFF0 != _DIE_ID:
            raise SensorFault(NAME, "wrong chip")

    def read(self):
        """One measurement, 10 ms. Raises SensorFault "no answer", "out of range", or "stuck" if it never ends."""
        self._set(_CONFIGURATION, _ONCE)
        began = self._clock.ticks_ms()
        while not self._get(_MASK) & _READY:
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                raise SensorFault(NAME, "stuck")
            self._clock.sleep_ms(_POLL_MS)
        shunt = self._get(_SHUNT)
        if shunt > 32767:
            shunt -= 65536
        if abs(shunt) >= _OVERFLOW:
            raise SensorFault(NAME, "out of range")
        millivolts = self._get(_BUS) * 5 // 4
        self._set(_CONFIGURATION, _DOWN)
        # 2.5 uV / 10 mohm: a quarter of a milliampere a count. A lamp draws; what comes back is noise about zero.
        milliamperes = max(0, shunt * (2_500_000 // _SHUNT_MICROOHM) // 1000)
        return millivolts, milliamperes, millivolts * milliamperes // 1000

    def _get(self, register):
        self._registers.read(register, self._word)
        return self._word[0] << 8 | self._word[1]

    def _set(self, register, word):
        self._word[0] = word >> 8
        self._word[1] = word & 0xFF
        self._registers.write(register, self._word)
