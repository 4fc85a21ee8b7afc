"""MEMSIC MMC5603NJ, three-axis magnetometer (datasheet revision B; register names are those of its register map)."""

from borne_node.chips.registers import Registers
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "MMC5603"

_ADDRESS = const(0x30)
_DATA = const(0x00)  # Xout0 ... Zout2, nine bytes
_STATUS = const(0x18)
_CONTROL_0 = const(0x1B)
_CONTROL_1 = const(0x1C)
_PRODUCT_ID = const(0x39)

_PRODUCT = const(0x10)
_MEASURED = const(0x40)  # Meas_M_done
_READY = const(0x10)  # OTP_rd_done: the trimming was read, the chip is up
_TAKE = const(0x01)  # Take_meas_M
_SET = const(0x08)
_RESET = const(0x10)
_SOFT_RESET = const(0x80)
_BANDWIDTH = const(0x00)  # 6.6 ms a measurement, the quietest: 2 mG of noise

_RESTART_MS = const(20)  # "Sw_reset": 20 ms to power on again
# SET and RESET take 375 ns, their capacitor 1 ms to load again.
_PULSE_MS = const(1)
_MEASURE_MS = const(7)
_LIMIT_MS = const(40)
_POLL_MS = const(1)

# 20 bits, 16384 a gauss around 524288; SET minus RESET is twice the field: 100000 nT / 32768 = 3125 / 1024.
_NT_TIMES_1024 = const(3125)
_FULL = const(0xFFFFF)


class MMC5603:
    """`start`, then `next` for each measurement, then `standby`.

    Each measurement is one after SET less one after RESET. What a strong field has left in the sensor is wiped out
    by the pulses, and its offset, which moves with the warmth, falls out of the difference ("SET/RESET" in the
    datasheet's description of operation). The constructor resets and identifies the chip. Raises SensorFault
    "no answer" or "wrong chip".
    """

    name = NAME

    def __init__(self, i2c, clock):
        self._registers = Registers(i2c, _ADDRESS, NAME)
        self._clock = clock
        self._byte = bytearray(1)
        self._raw = bytearray(9)
        # One after SET, one after RESET.
        self._pair = ([0, 0, 0], [0, 0, 0])
        self._write(_CONTROL_1, _SOFT_RESET)
        clock.sleep_ms(_RESTART_MS)
        if self._read(_PRODUCT_ID) != _PRODUCT or not self._read(_STATUS) & _READY:
            raise SensorFault(NAME, "wrong chip")
        self._write(_CONTROL_1, _BANDWIDTH)

    def start(self):
        """It measures when it is told to; nothing has to run before."""

    def poll(self, sample):
        """As `next`: a measurement is begun and waited for, 17 ms. True."""
        self.next(sample)
        return True

    def next(self, sample):
        """Measure, and put x, y, z in nanotesla into `sample` (three places).

        Raises SensorFault "no answer", or "out of range" beyond 30 G.
        """
        try:
            self._take(_SET, self._pair[0])
            self._take(_RESET, self._pair[1])
            for axis in range(3):
                difference = self._pair[0][axis] - self._pair[1][axis]
                # Split, so that the product stays below 2**30 in MicroPython's small integers.
                sample[axis] = difference * 3 + ((difference * (_NT_TIMES_1024 - 3072)) >> 10)
        finally:
            self._wipe()

    def standby(self):
        """It has rested since the last measurement."""

    def _take(self, pulse, counts):
        self._write(_CONTROL_0, pulse)
        self._clock.sleep_ms(_PULSE_MS)
        self._write(_CONTROL_0, _TAKE)
        self._clock.sleep_ms(_MEASURE_MS)
        began = self._clock.ticks_ms()
        while not self._read(_STATUS) & _MEASURED:
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                raise SensorFault(NAME, "no answer")
            self._clock.sleep_ms(_POLL_MS)
        self._registers.read(_DATA, self._raw)
        raw = self._raw
        for axis in range(3):
            counts[axis] = raw[2 * axis] << 12 | raw[2 * axis + 1] << 4 | raw[6 + axis] >> 4
            if counts[axis] in (0, _FULL):
                raise SensorFault(NAME, "out of range")

    def _wipe(self):
        # A magnetic signature is a vehicle's fingerprint: neither bytes nor counts outlive the call.
        for at in range(9):
            self._raw[at] = 0
        for counts in self._pair:
            counts[0] = counts[1] = counts[2] = 0

    def _read(self, register):
        self._registers.read(register, self._byte)
        return self._byte[0]

    def _write(self, register, value):
        self._byte[0] = value
        self._registers.write(register, self._byte)
