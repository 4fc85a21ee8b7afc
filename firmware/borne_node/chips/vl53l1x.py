"""ST VL53L1X, distance by the time of flight of light (datasheet DS12385; UM2510, the "ultra lite" driver's manual)."""

from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "VL53L1X"

_ADDRESS = const(0x29)  # DS12385, section 3: 0x52 with the bit for writing
# UM2510 and the register map in ST's driver (VL53L1X_api.h).
_VHV_LOOP = const(0x0008)
_VHV_START = const(0x000B)
_CONFIGURATION = const(0x002D)
_READY = const(0x0031)
_CLEAR = const(0x0086)
_MODE = const(0x0087)
_STATUS = const(0x0089)
_DISTANCE = const(0x0096)
_BOOTED = const(0x00E5)
_IDENTITY = const(0x010F)

_MODEL = b"\xea\xcc"  # DS12385, table 4: model and module type
_VALID = const(9)  # UM2510, status of a range without complaint; the chip's code for the driver's 0
_RANGE = b"\x40"
_STOP = b"\x00"

# Registers 2Dh to 87h for long distance, 100 ms a range, "new sample ready" on a high pin. The chip does not measure
# without them, and most are named by no document: they are those of ST's driver (VL51L1X_DEFAULT_CONFIGURATION).
_DEFAULTS = (
    b"\x00\x00\x00\x01\x02\x00\x02\x08\x00\x08\x10\x01\x01\x00\x00\x00\x00\xff\x00\x0f\x00\x00\x00\x00\x00\x20\x0b"
    b"\x00\x00\x02\x0a\x21\x00\x00\x05\x00\x00\x00\x00\xc8\x00\x00\x38\xff\x01\x00\x08\x00\x00\x01\xcc\x0f\x01\xf1"
    b"\x0d\x01\x68\x00\x80\x08\xb8\x00\x00\x00\x00\x0f\x89\x00\x00\x00\x00\x00\x00\x00\x01\x0f\x0d\x0e\x0e\x00\x00"
    b"\x02\xc7\xff\x9b\x00\x00\x00\x01\x00\x00"
)

_BOOT_MS = const(10)  # DS12385, section 3.2: 1.2 ms at most
# Three ranges of 100 ms with the pause that the defaults leave between two.
_LIMIT_MS = const(500)
_POLL_MS = const(5)


class VL53L1X:
    """`start`, then `ping` for each range, then `stop`.

    The constructor waits for the chip to boot and identifies it. Raises SensorFault "no answer" or "wrong chip".
    """

    name = NAME
    nearest_mm = 40  # DS12385, section 1.1
    farthest_mm = 3600  # table 6: in the dark, on white; less on what is black
    celsius = None  # light asks for no warmth

    def __init__(self, i2c, clock):
        self._i2c = i2c
        self._clock = clock
        self._register = bytearray(2)
        self._byte = bytearray(1)
        self._word = bytearray(2)
        self._wait(_BOOTED, _BOOT_MS)
        self._read(_IDENTITY, self._word)
        if self._word != _MODEL:
            raise SensorFault(NAME, "wrong chip")
        self._configured = False

    def start(self):
        """Range over and over. Raises SensorFault."""
        if not self._configured:
            self._configure()
        self._write(_MODE, _RANGE)

    def ping(self):
        """Millimetres. Raises SensorFault "no answer" or "out of range"."""
        self._wait(_READY, _LIMIT_MS)
        self._read(_STATUS, self._byte)
        status = self._byte[0] & 0x1F
        self._read(_DISTANCE, self._word)
        self._write(_CLEAR, b"\x01")
        distance = self._word[0] << 8 | self._word[1]
        # Signal or sigma failed, a target beyond the range that came round again: no value, all of them.
        if status != _VALID or not self.nearest_mm <= distance <= self.farthest_mm:
            raise SensorFault(NAME, "out of range")
        return distance

    def stop(self):
        """Standby, a few microamperes. Raises SensorFault."""
        self._write(_MODE, _STOP)

    def _configure(self):
        self._write(_CONFIGURATION, _DEFAULTS)
        # UM2510, sensor initialisation: the first range calibrates the supply of the receiver, later ones only
        # follow it.
        self._write(_MODE, _RANGE)
        self._wait(_READY, _LIMIT_MS)
        self._write(_CLEAR, b"\x01")
        self._write(_MODE, _STOP)
        self._write(_VHV_LOOP, b"\x09")
        self._write(_VHV_START, b"\x00")
        self._configured = True

    def _wait(self, register, limit_ms):
        """Until bit 0 of a register is set. Raises SensorFault "no answer"."""
        began = self._clock.ticks_ms()
        while True:
            self._read(register, self._byte)
            if self._byte[0] & 1:
                return
            if ticks_diff(self._clock.ticks_ms(), began) > limit_ms:
                raise SensorFault(NAME, "no answer")
            self._clock.sleep_ms(_POLL_MS)

    def _read(self, register, buf):
        self._register[0], self._register[1] = register >> 8, register & 0xFF
        try:
            self._i2c.writeto(_ADDRESS, self._register)
            self._i2c.readfrom_into(_ADDRESS, buf)
        except OSError:
            raise SensorFault(NAME, "no answer")

    def _write(self, register, data):
        try:
            self._i2c.writeto(_ADDRESS, bytes((register >> 8, register & 0xFF)) + data)
        except OSError:
            raise SensorFault(NAME, "no answer")
