"""QST QMC5883L, three-axis magnetometer (datasheet revision 1.0)."""

from borne_node.chips.registers import Registers
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "QMC5883L"

_ADDRESS = const(0x0D)  # section 7.1
_DATA = const(0x00)
_STATUS = const(0x06)
_CONTROL_1 = const(0x09)
_CONTROL_2 = const(0x0A)
_PERIOD = const(0x0B)
_ID = const(0x0D)

_DRDY = const(0x01)
_OVL = const(0x02)
_SOFT_RESET = const(0x80)  # table 19
_CHIP_ID = const(0xFF)  # section 9.2.6
_SET_RESET = const(0x01)  # section 9.2.5: the recommended period
# Table 18: over-sampling 512, 8 G, 200 Hz, continuous. No car saturates 8 G (2 G is 200 microtesla), and its
# noise of 0.2 microtesla is a fraction of what a car moves.
_MEASURE = const(0x1D)
_STANDBY = const(0x00)
# Table 2: 3000 LSB/G at 8 G, so 100000 nT / 3000 a count.
_NT_TIMES_3 = const(100)

_RESET_MS = const(1)  # section 5.4: ready 0.35 ms after power-on
# Two samples at 200 Hz take 10 ms; the rest is the controller's own delay.
_LIMIT_MS = const(60)
_POLL_MS = const(2)


class QMC5883L:
    """`start`, then `poll` for each measurement, then `standby`. `next` is a `poll` that waits.

    The constructor resets and identifies the chip. Raises SensorFault "no answer" or "wrong chip".
    """

    name = NAME

    def __init__(self, i2c, clock):
        self._registers = Registers(i2c, _ADDRESS, NAME)
        self._clock = clock
        self._byte = bytearray(1)
        self._raw = bytearray(6)
        self._write(_CONTROL_2, _SOFT_RESET)
        clock.sleep_ms(_RESET_MS)
        identity = self._read(_ID)
        self._write(_PERIOD, _SET_RESET)
        # An open bus reads FF as well, like the identity: so a register must also keep what it is told.
        if identity != _CHIP_ID or self._read(_PERIOD) != _SET_RESET:
            raise SensorFault(NAME, "wrong chip")

    def start(self):
        """Measure 200 times a second. Raises SensorFault."""
        self._write(_CONTROL_1, _MEASURE)

    def poll(self, sample):
        """True when a new measurement was put into `sample` (three places): x, y, z in nanotesla.

        Raises SensorFault "out of range" on overflow (beyond 8 G), "no answer".
        """
        status = self._read(_STATUS)
        if not status & _DRDY:
            return False
        self._registers.read(_DATA, self._raw)
        for axis in range(3):
            counts = self._raw[2 * axis] | self._raw[2 * axis + 1] << 8
            if counts > 32767:
                counts -= 65536
            sample[axis] = counts * _NT_TIMES_3 // 3
        self._wipe()
        if status & _OVL:
            raise SensorFault(NAME, "out of range")
        return True

    def next(self, sample):
        """Wait for the next measurement and put it into `sample`. Raises SensorFault."""
        began = self._clock.ticks_ms()
        while not self.poll(sample):
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                raise SensorFault(NAME, "no answer")
            self._clock.sleep_ms(_POLL_MS)

    def standby(self):
        """Stop measuring, a few microamperes. Raises SensorFault."""
        self._write(_CONTROL_1, _STANDBY)

    def _wipe(self):
        # A magnetic signature is a vehicle's fingerprint: the raw bytes do not outlive the call.
        for at in range(6):
            self._raw[at] = 0

    def _read(self, register):
        self._registers.read(register, self._byte)
        return self._byte[0]

    def _write(self, register, value):
        self._byte[0] = value
        self._registers.write(register, self._byte)
