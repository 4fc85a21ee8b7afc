"""MEMSIC MMC5603NJ, three-axis magnetometer (datasheet revision B)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TEMPERATURE, _STATUS, _RATE, _CONTROL_0, _CONTROL_1, _CONTROL_2, _ID = (
    0x09,
    0x18,
    0x1A,
    0x1B,
    0x1C,
    0x1D,
    0x39,
)
_MEASURED_T, _MEASURED, _READY = 0x80, 0x40, 0x10
_TAKE, _TAKE_T, _SET, _RESET = 0x01, 0x02, 0x08, 0x10

# Control 1, BW: a measurement's length in us, and its noise: 2 mG at the longest, more by the root of the length.
_MEASURE_US = (6_600, 3_500, 2_000, 1_200)
_NOISE_UT = 0.2
_RESTART_US = 20_000
_RECHARGE_US = 1_000  # SET and RESET share a capacitor
_COUNTS_PER_UT = 163.84  # 20 bits: 16384 a gauss
_ZERO, _FULL = 524_288, 0xFFFFF
_RANGE_UT = 3_000  # 30 G
# Offset without SET and RESET: some 50 mG at 25 degrees; and what moves with the warmth. Assumed: the datasheet has
# no figure for the second.
_OFFSET_UT = (4.0, -3.0, 2.0)
_OFFSET_UT_PER_K = 0.05
# A field beyond this leaves something behind in the film ("maximum exposed field", 100 G, is what it survives).
_MAGNETISES_UT = 1_000
_LEFT_BEHIND = 0.02


class MMC5603(I2cChip):
    """`field(t)` gives x, y, z in microtesla at t seconds; `celsius` is the die's temperature.

    The film is magnetised one way by SET and the other by RESET, which turns the sign of what it measures but not
    that of its offset. `expose(field)` is a strong magnet that passes: what it leaves stays until SET or RESET.
    """

    address = 0x30

    def __init__(
        self, field: "Callable[[float], tuple[float, float, float]]", seed: int = 1, celsius: float = 25.0
    ) -> None:
        self.field = field
        self.celsius = celsius
        self._noise = Noise(seed)
        self._sign = 1
        self._remanence = [0.0, 0.0, 0.0]
        self._ready_us = 0
        self._reset(0)

    def expose(self, field: "tuple[float, float, float]") -> None:
        for axis, value in enumerate(field):
            if abs(value) > _MAGNETISES_UT:
                self._remanence[axis] = value * _LEFT_BEHIND

    def _reset(self, now_us: int) -> None:
        self._registers = bytearray(_ID + 1)
        self._registers[_ID] = 0x10
        self._pointer = 0
        self._done_us = -1
        self._pulsed_us = -_RECHARGE_US
        self._ready_us = now_us

    def written(self, data: bytes, now_us: int) -> None:
        self._advance(now_us)
        self._point(data[0])
        for value in data[1:]:
            self._store(self._pointer, value, now_us)
            self._pointer += 1

    def answer(self, n: int, now_us: int) -> bytes:
        self._advance(now_us)
        if now_us < self._ready_us:
            raise Misuse("MMC5603: read %d us before it was up again" % (self._ready_us - now_us))
        if self._pointer < _TEMPERATURE and not self._registers[_STATUS] & _MEASURED:
            raise Misuse("MMC5603: data read with no measurement there")
        if self._pointer + n > _ID + 1:
            raise Misuse("MMC5603: read past the last register, 39H")
        found = bytes(self._registers[self._pointer : self._pointer + n])
        if self._pointer < _TEMPERATURE:
            self._registers[_STATUS] &= ~_MEASURED & 0xFF
        self._pointer += n
        return found

    def _point(self, register: int) -> None:
        if register > _ID:
            raise Misuse("MMC5603 has no register %#04x" % register)
        self._pointer = register

    def _store(self, register: int, value: int, now_us: int) -> None:
        if now_us < self._ready_us:
            raise Misuse("MMC5603: written %d us before it was up again" % (self._ready_us - now_us))
        if register == _CONTROL_1 and value & 0x80:
            self._reset(now_us + _RESTART_US)
            return
        if register == _CONTROL_0:
            self._control(value, now_us)
            return
        if register not in (_CONTROL_1, _CONTROL_2, _RATE, 0x1E, 0x1F, 0x20):
            raise Misuse("MMC5603: register %#04x is read only" % register)
        self._registers[register] = value

    def _control(self, value: int, now_us: int) -> None:
        if now_us < self._done_us:
            raise Misuse("MMC5603: told %#04x in the middle of a measurement" % value)
        if value & (_SET | _RESET):
            self._pulse(value, now_us)
        if value & _TAKE:
            if now_us - self._pulsed_us < _RECHARGE_US:
                raise Misuse("MMC5603: measured %d us after a pulse" % (now_us - self._pulsed_us))
            self._done_us = now_us + _MEASURE_US[self._registers[_CONTROL_1] & 3]
            self._registers[_STATUS] &= ~_MEASURED & 0xFF

    def _pulse(self, value: int, now_us: int) -> None:
        if value & _SET and value & _RESET or value & (_TAKE | _TAKE_T):
            raise Misuse("MMC5603: SET, RESET and measuring at once: %#04x" % value)
        if now_us - self._pulsed_us < _RECHARGE_US:
            raise Misuse("MMC5603: pulses %d us apart, the capacitor needs 1 ms" % (now_us - self._pulsed_us))
        self._sign = 1 if value & _SET else -1
        self._remanence = [0.0, 0.0, 0.0]
        self._pulsed_us = now_us

    def _advance(self, now_us: int) -> None:
        if now_us >= self._ready_us:
            self._registers[_STATUS] |= _READY
        if self._done_us < 0 or now_us < self._done_us:
            return
        if self.mode != "stuck":
            self._measure(self._done_us / 1_000_000)
        self._registers[_STATUS] |= _MEASURED
        self._done_us = -1

    def _measure(self, t: float) -> None:
        which = self._registers[_CONTROL_1] & 3
        noise_ut = _NOISE_UT * (_MEASURE_US[0] / _MEASURE_US[which]) ** 0.5
        for axis, value in enumerate(self.field(t)):
            offset = _OFFSET_UT[axis] + _OFFSET_UT_PER_K * (self.celsius - 25) + self._remanence[axis]
            felt = (
                self._sign * max(-_RANGE_UT, min(_RANGE_UT, value)) + offset + self._noise.gauss() * noise_ut
            )
            counts = max(0, min(_FULL, int(round(felt * _COUNTS_PER_UT)) + _ZERO))
            if abs(value) >= _RANGE_UT:
                counts = _FULL if self._sign * value > 0 else 0
            self._registers[2 * axis] = counts >> 12
            self._registers[2 * axis + 1] = counts >> 4 & 0xFF
            self._registers[6 + axis] = counts << 4 & 0xF0
