"""ST LIS3DH, three-axis accelerometer (datasheet DocID17530)."""

from borne_node.chips.registers import Registers
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "LIS3DH"

_ADDRESS = const(0x18)  # section 6.1.1: SA0 low
_WHO_AM_I = const(0x0F)
_CONTROL_1 = const(0x20)
_CONTROL_3 = const(0x22)
_CONTROL_4 = const(0x23)
_STATUS = const(0x27)
_OUT = const(0x28)
_INT1_CONFIG = const(0x30)
_INT1_THRESHOLD = const(0x32)
_INT1_DURATION = const(0x33)
_AND_ON = const(0x80)  # section 6.1.1: the register's number goes on by itself

_IDENTITY = const(0x33)  # section 8.6
_MEASURE = const(0x57)  # table 31: 100 Hz, all axes
_DOWN = const(0x00)
# Table 35: block data update, 2 g, high resolution: 12 bits at the left, 1 mg a count (table 4).
_RANGE = const(0x88)
# Table 31: once a second in low power (2 uA, table 10), which excludes high resolution (table 9).
_WATCH = const(0x1F)
_PLAIN = const(0x80)
_INT1 = const(0x40)  # table 35 of section 8.10: interrupt 1 on the pin INT1, which is high while it lasts
_STEP_MG = const(16)  # section 8.21, at 2 g
_NEW = const(0x08)  # ZYXDA, section 8.18

_LIMIT_MS = const(60)
_POLL_MS = const(3)


class LIS3DH:
    """`read(sample)` puts x, y, z in thousandths of g into `sample` (three places); the chip rests otherwise.

    The constructor identifies the chip. Raises SensorFault "no answer" or "wrong chip".
    """

    name = NAME

    def __init__(self, i2c, clock):
        self._registers = Registers(i2c, _ADDRESS, NAME)
        self._clock = clock
        self._byte = bytearray(1)
        self._raw = bytearray(6)
        self._registers.read(_WHO_AM_I, self._byte)
        if self._byte[0] != _IDENTITY:
            raise SensorFault(NAME, "wrong chip")

    def read(self, sample):
        """One measurement, 20 ms. Raises SensorFault "no answer", or "stuck" if none comes."""
        self._write(_CONTROL_3, 0)
        self._write(_CONTROL_1, _DOWN)  # it may watch, in low power
        self._write(_CONTROL_4, _RANGE)
        self._write(_CONTROL_1, _MEASURE)
        try:
            # Table 33: the first after power down is not yet right; the second is.
            self._wait()
            self._wait()
        finally:
            self._write(_CONTROL_1, _DOWN)
        for axis in range(3):
            counts = self._raw[2 * axis] | self._raw[2 * axis + 1] << 8
            sample[axis] = (counts - 65536 if counts > 32767 else counts) >> 4

    def watch(self, axis, least_mg, seconds):
        """From now on INT1 is high while an axis (0 to 2) shows less than so much, whatever its sign, for so long.

        Sections 8.19 to 8.22; at one measurement a second the duration is in seconds, at most 127.
        """
        self._write(_CONTROL_4, _PLAIN)
        self._write(_INT1_THRESHOLD, least_mg // _STEP_MG)
        self._write(_INT1_DURATION, seconds)
        self._write(_INT1_CONFIG, 1 << 2 * axis)  # XLIE, YLIE or ZLIE
        self._write(_CONTROL_3, _INT1)
        self._write(_CONTROL_1, _WATCH)

    def _wait(self):
        began = self._clock.ticks_ms()
        while True:
            self._registers.read(_STATUS, self._byte)
            if self._byte[0] & _NEW:
                self._registers.read(_OUT | _AND_ON, self._raw)
                return
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                raise SensorFault(NAME, "stuck")
            self._clock.sleep_ms(_POLL_MS)

    def _write(self, register, value):
        self._byte[0] = value
        self._registers.write(register, self._byte)
