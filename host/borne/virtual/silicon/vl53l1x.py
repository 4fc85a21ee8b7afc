"""ST VL53L1X, distance by the time of flight of light (datasheet DS12385; UM2510; ST's VL53L1X_api.h)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST, _LAST = 0x2D, 0x87  # the configuration that the chip needs before it measures
_POLARITY, _READY, _NEW_SAMPLE, _CLEAR, _MODE = 0x30, 0x31, 0x46, 0x86, 0x87
_STATUS, _DISTANCE, _BOOTED, _IDENTITY = 0x89, 0x96, 0xE5, 0x10F
_SIZE = 0x112

_BOOT_US = 1_200  # DS12385, section 3.2
_RANGE_US = 100_000  # UM2510: the default timing budget and pause
_VALID, _SIGNAL_FAILED = 9, 4  # UM2510, range status; the chip's own codes
_FARTHEST_MM = 3600  # DS12385, table 6: long distance, white target, dark
_NOISE_MM = 5.0  # DS12385, table 8: repeatability in the dark at 100 ms, 0.15 % of full range


class VL53L1X(I2cChip):
    """`distance(t)` gives millimetres at t seconds, or None where nothing sends light back.

    `powered_us`: when its supply came.
    """

    address = 0x29

    def __init__(
        self, distance: "Callable[[float], float | None]", seed: int = 1, powered_us: "int | None" = None
    ) -> None:
        self.distance = distance
        self._noise = Noise(seed)
        self._memory = bytearray(_SIZE)
        self._memory[_IDENTITY : _IDENTITY + 3] = b"\xea\xcc\x10"  # DS12385, table 4
        self._configured = set()  # type: set[int]
        self._pointer = 0
        self._powered_us = powered_us
        self._started_us = 0
        self._ranges = 0

    def written(self, data: bytes, now_us: int) -> None:
        self._boot(now_us)
        if len(data) < 2:
            raise Misuse("VL53L1X: a register's number has two bytes (DS12385, section 4)")
        self._pointer = data[0] << 8 | data[1]
        for value in data[2:]:
            if not self._memory[_BOOTED]:
                raise Misuse("VL53L1X: written before it had booted (DS12385, section 3.2)")
            self._store(self._pointer, value, now_us)
            self._pointer += 1

    def answer(self, n: int, now_us: int) -> bytes:
        self._boot(now_us)
        self._advance(now_us)
        if self._pointer + n > _SIZE:
            raise Misuse("VL53L1X: read past register %#x" % _SIZE)
        if self._pointer in (_STATUS, _DISTANCE) and not self._is_ready():
            raise Misuse("VL53L1X: a range read with no new one there")
        return bytes(self._memory[self._pointer : self._pointer + n])

    def _boot(self, now_us: int) -> None:
        if self._powered_us is None:
            self._powered_us = now_us - _BOOT_US
        self._memory[_BOOTED] = 1 if now_us - self._powered_us >= _BOOT_US else 0

    def _store(self, register: int, value: int, now_us: int) -> None:
        if register >= _IDENTITY or _STATUS <= register <= _BOOTED:
            raise Misuse("VL53L1X: register %#06x is read only" % register)
        if _FIRST <= register <= _LAST:
            self._configured.add(register)
        if register == _MODE:
            self._start(value, now_us)
        if register == _CLEAR and value & 1:
            self._set_ready(False)
            return
        if register != _READY:
            self._memory[register] = value

    def _start(self, value: int, now_us: int) -> None:
        if value not in (0x00, 0x40):
            raise Misuse("VL53L1X: mode %#04x of 87h; the ultra lite driver knows 00h and 40h" % value)
        if value and len(self._configured) <= _LAST - _FIRST:
            raise Misuse("VL53L1X: started with %d of 91 registers set" % len(self._configured))
        if value and self._memory[_NEW_SAMPLE] != 0x20:
            raise Misuse("VL53L1X: register 46h asks for no signal at a new range")
        self._started_us, self._ranges = now_us, 0
        self._set_ready(False)

    def _is_ready(self) -> bool:
        # UM2510, polarity: bit 4 of 30h set means that ready is low.
        return self._memory[_READY] & 1 == (0 if self._memory[_POLARITY] & 0x10 else 1)

    def _set_ready(self, ready: bool) -> None:
        level = 1 if ready else 0
        self._memory[_READY] = 1 - level if self._memory[_POLARITY] & 0x10 else level

    def _advance(self, now_us: int) -> None:
        if self._memory[_MODE] != 0x40:
            return
        ranges = (now_us - self._started_us) // _RANGE_US
        # The next range waits until the last one was acknowledged.
        if ranges == self._ranges or self._is_ready():
            return
        self._ranges = ranges
        self._set_ready(True)
        if self.mode != "stuck":
            self._measure((self._started_us + ranges * _RANGE_US) / 1_000_000)

    def _measure(self, t: float) -> None:
        distance = self.distance(t)
        seen = distance is not None and distance <= _FARTHEST_MM
        heard = (
            max(0, int(round(distance + self._noise.gauss() * _NOISE_MM)))
            if seen and distance is not None
            else 0
        )
        self._memory[_STATUS] = _VALID if seen else _SIGNAL_FAILED
        self._memory[_DISTANCE], self._memory[_DISTANCE + 1] = heard >> 8, heard & 0xFF
