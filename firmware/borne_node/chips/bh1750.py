"""ROHM BH1750FVI, ambient light (datasheet 11046EDT01)."""

from borne_node.compat import const
from borne_node.errors import SensorFault

NAME = "BH1750"

_ADDRESS = const(0x23)  # ADDR pin low
# Instruction set architecture.
_POWER_DOWN = b"\x00"
_POWER_ON = b"\x01"
_ONCE_HIGH = b"\x20"  # one measurement, 1 lx, powers down by itself
_TIME_HIGH = const(0x40)  # Changing measurement time: bits 7 to 5 of MTreg
_TIME_LOW = const(0x60)  # bits 4 to 0

# From the least to the most sensitive: MTreg 31, 69 (default), 254. At 31 the range ends at 121 klx.
_TIMES = (31, 69, 254)
_FIRST = const(1)
# "Max. 180 ms" in high resolution at MTreg 69, in proportion to it.
_LONGEST_MS = const(180)
_DEFAULT_TIME = const(69)
_FEW = const(100)
_MANY = const(50000)
_SATURATED = const(0xFFFF)


class BH1750:
    """`read` is one measurement, waiting for up to 1.2 s.

    The chip has no identity to ask for. The constructor powers it up and down. Raises SensorFault "no answer".
    """

    name = NAME

    def __init__(self, i2c, clock):
        self._i2c = i2c
        self._clock = clock
        self._word = bytearray(2)
        self._write(_POWER_ON)
        self._write(_POWER_DOWN)

    def read(self):
        """Lux as a float. Raises SensorFault "no answer" or "out of range"."""
        which = _FIRST
        counts = self._measure(which)
        # From the middle, one step is enough to the right of three ranges.
        if counts > _MANY:
            which = 0
        elif counts < _FEW:
            which = 2
        if which != _FIRST:
            counts = self._measure(which)
        if counts == _SATURATED:
            raise SensorFault(NAME, "out of range")
        # "counts / 1.2 * 69 / MTreg" lux.
        return counts / 1.2 * _DEFAULT_TIME / _TIMES[which]

    def _measure(self, which):
        time = _TIMES[which]
        self._write(_POWER_ON)
        self._write(bytes((_TIME_HIGH | time >> 5,)))
        self._write(bytes((_TIME_LOW | time & 0x1F,)))
        self._write(_ONCE_HIGH)
        self._clock.sleep_ms(_LONGEST_MS * time // _DEFAULT_TIME + 1)
        try:
            self._i2c.readfrom_into(_ADDRESS, self._word)
        except OSError:
            raise SensorFault(NAME, "no answer")
        return self._word[0] << 8 | self._word[1]

    def _write(self, instruction):
        try:
            self._i2c.writeto(_ADDRESS, instruction)
        except OSError:
            raise SensorFault(NAME, "no answer")
