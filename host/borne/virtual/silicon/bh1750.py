"""ROHM BH1750FVI, ambient light (datasheet 11046EDT01)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SHORTEST, _LONGEST = 31, 254  # MTreg, "Adjust measurement result for influence of optical window"
_DEFAULT = 69
# Typical 120 ms in high resolution, 16 ms in low; the longest are 180 and 24. This one is a slow one.
_HIGH_US, _LOW_US = 175_000, 23_000


class BH1750(I2cChip):
    """`lux(t)` gives the illuminance at t seconds."""

    address = 0x23

    def __init__(self, lux: "Callable[[float], float]", seed: int = 1) -> None:
        self.lux = lux
        self._noise = Noise(seed)
        self._powered = False
        self._time = _DEFAULT
        self._counts = 0
        self._mode = 0
        self._due_us = -1

    def written(self, data: bytes, now_us: int) -> None:
        if len(data) != 1:
            raise Misuse("BH1750: an instruction is one byte, got %d" % len(data))
        self._finish(now_us)
        code = data[0]
        if code in (0x00, 0x01):
            self._powered = code == 0x01
            self._due_us = -1
        elif code == 0x07:
            if not self._powered:
                raise Misuse("BH1750: reset is not accepted in power down")
            self._counts = 0
        elif code >> 3 == 0b01000:
            self._set_time((code & 0x07) << 5 | self._time & 0x1F)
        elif code >> 5 == 0b011:
            self._set_time(self._time & 0xE0 | code & 0x1F)
            if not _SHORTEST <= self._time <= _LONGEST:
                raise Misuse("BH1750: measurement time %d lies outside 31 to 254" % self._time)
        elif code in (0x10, 0x11, 0x13, 0x20, 0x21, 0x23):
            self._begin(code, now_us)
        else:
            raise Misuse("BH1750 has no instruction %#04x" % code)

    def answer(self, n: int, now_us: int) -> bytes:
        if n != 2:
            raise Misuse("BH1750: a result is two bytes; %d were read" % n)
        if self._due_us > now_us:
            raise Misuse("BH1750: read %d us before the measurement was done" % (self._due_us - now_us))
        self._finish(now_us)
        return bytes([self._counts >> 8, self._counts & 0xFF])

    def _set_time(self, time: int) -> None:
        self._time = time

    def _begin(self, code: int, now_us: int) -> None:
        if not self._powered:
            raise Misuse("BH1750: told to measure in power down")
        self._mode = code
        self._due_us = now_us + (_LOW_US if code & 0x03 == 0x03 else _HIGH_US) * self._time // _DEFAULT

    def _finish(self, now_us: int) -> None:
        if self._due_us < 0 or now_us < self._due_us:
            return
        if self.mode != "stuck":
            per_lux = 1.2 * self._time / _DEFAULT * (2 if self._mode & 0x03 == 0x01 else 1)
            counts = max(0.0, self.lux(self._due_us / 1_000_000)) * per_lux
            # The datasheet states no noise: one count at least, half a percent in the light.
            counts += self._noise.gauss() * (0.5 + counts / 200) if counts >= 1 else 0
            self._counts = max(0, min(65535, int(round(counts))))
        self._due_us = -1
        if self._mode & 0x20:
            self._powered = False  # one-time modes power down
