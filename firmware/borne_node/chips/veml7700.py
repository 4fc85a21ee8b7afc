"""Vishay VEML7700, ambient light (datasheet 84286; application note 84323, revision 06-Mar-2025)."""

from borne_node.chips.registers import Registers
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "VEML7700"

_ADDRESS = const(0x10)
_CONFIG = const(0x00)
_POWER_SAVING = const(0x03)
_ALS = const(0x04)
_ID = const(0x07)

_DEVICE = const(0x81)  # register 07h, low byte; the high byte is the option of the address
_SHUT_DOWN = const(0x0001)
# Table 1, ALS_SD: 2.5 ms after power-on the first measurement begins.
_START_MS = const(3)
_POLL_MS = const(5)

# From the least to the most sensitive range, table 1 of the datasheet: gain 1/8, 25 ms (to 140 klx);
# 1/8, 100 ms (35 klx); 1, 100 ms (4.4 klx); 2, 400 ms (550 lx).
_CONFIGS = (0x1300, 0x1000, 0x0000, 0x0880)
_INTEGRATION_MS = (25, 100, 100, 400)
# Application note, table of resolutions: 0.0672 lx a count at gain 1 and 100 ms (old editions: 0.0576).
_LUX_PER_COUNT = (2.1504, 0.5376, 0.0672, 0.0084)
_FIRST = const(1)
# Application note, flow chart of the automatic range: 100 counts are too few, 10000 too many.
_FEW = const(100)
_MANY = const(10000)
_SATURATED = const(0xFFFF)
_LINEAR_LUX = const(1000)
# To the most sensitive range and back up once more; light at rest needs two at most.
_CHANGES_MOST = const(5)
# Two measurements of 500 ms and four of 130, each with its quarter for a slow oscillator, make 1.6 s at worst.
_LIMIT_MS = const(2500)


class VEML7700:
    """`start`, then `poll` until it gives lux, then `shut_down`; `read` is the three in one, waiting.

    The constructor identifies the chip and shuts it down. Raises SensorFault "no answer" or "wrong chip".
    """

    name = NAME

    def __init__(self, i2c, clock):
        self._registers = Registers(i2c, _ADDRESS, NAME)
        self._clock = clock
        self._word = bytearray(2)
        self._range = _FIRST
        self._changes = 0
        self._began = 0
        if self._get(_ID) & 0xFF != _DEVICE:
            raise SensorFault(NAME, "wrong chip")
        self._set(_POWER_SAVING, 0)
        self.shut_down()

    def start(self):
        """Begin in the middle range. Raises SensorFault."""
        self._changes = 0
        self._measure(_FIRST)

    def poll(self):
        """Lux, or None while it measures or changes the range. Raises SensorFault."""
        # A quarter more than the integration: the datasheet gives no tolerance for the oscillator.
        due = _START_MS + _INTEGRATION_MS[self._range] * 5 // 4
        if ticks_diff(self._clock.ticks_ms(), self._began) < due:
            return None
        counts = self._get(_ALS)
        better = self._better(counts)
        if better is not None:
            self._changes += 1
            self._measure(better)
            return None
        if counts == _SATURATED:
            raise SensorFault(NAME, "out of range")
        return _corrected(counts * _LUX_PER_COUNT[self._range])

    def read(self):
        """Lux as a float. Raises SensorFault; the chip is shut down in any case but silence."""
        began = self._clock.ticks_ms()
        self.start()
        lux = None
        try:
            while lux is None:
                if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                    raise SensorFault(NAME, "no answer")
                self._clock.sleep_ms(_POLL_MS)
                lux = self.poll()
        finally:
            self.shut_down()
        return lux

    def shut_down(self):
        """0.5 microampere. Raises SensorFault."""
        self._set(_CONFIG, _SHUT_DOWN)

    def _better(self, counts):
        # Light that leaps (headlights) would have the ranges take turns for ever.
        if self._changes >= _CHANGES_MOST:
            return None
        if counts > _MANY:
            other = self._range - 1
        elif counts < _FEW:
            other = self._range + 1
        else:
            return None
        return other if 0 <= other < len(_CONFIGS) else None

    def _measure(self, which):
        # Shut down while gain and integration change: else the next value mixes both settings.
        self.shut_down()
        self._range = which
        self._set(_CONFIG, _CONFIGS[which])
        self._began = self._clock.ticks_ms()

    def _get(self, command):
        self._registers.read(command, self._word)
        return self._word[0] | self._word[1] << 8

    def _set(self, command, word):
        self._word[0] = word & 0xFF
        self._word[1] = word >> 8
        self._registers.write(command, self._word)


def _corrected(lux):
    # Application note, "high illuminations": the response bends above 1000 lx.
    if lux <= _LINEAR_LUX:
        return lux
    return (((6.0135e-13 * lux - 9.3924e-9) * lux + 8.1488e-5) * lux + 1.0023) * lux
