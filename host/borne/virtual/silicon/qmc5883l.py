"""QST QMC5883L, three-axis magnetometer (datasheet revision 1.0)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STATUS, _TEMPERATURE, _CONTROL_1, _CONTROL_2, _PERIOD, _ID = 0x06, 0x07, 0x09, 0x0A, 0x0B, 0x0D
_DRDY, _OVL, _DOR = 1, 2, 4

# Table 18: data rates 10, 50, 100, 200 Hz; over-sampling 512, 256, 128, 64: sqrt(2) of noise a halving.
_SAMPLE_US = (100_000, 20_000, 10_000, 5_000)
_OVERSAMPLING_NOISE = (1.0, 1.414, 2.0, 2.828)
# Table 2: 12000 LSB/G at 2 G, 3000 LSB/G at 8 G; 1 G is 100 microtesla.
_LSB_PER_UT = (120, 30)
# Table 2: field resolution 2 mG, the standard deviation of 100 readings.
_NOISE_UT = 0.2


class QMC5883L(I2cChip):
    """`field(t)` gives x, y, z in microtesla at t seconds; `celsius` is the die's temperature."""

    address = 0x0D  # section 7.1

    def __init__(
        self, field: "Callable[[float], tuple[float, float, float]]", seed: int = 1, celsius: float = 25.0
    ) -> None:
        self.field = field
        self.celsius = celsius
        self._noise = Noise(seed)
        self._reset()

    def _reset(self) -> None:
        self._registers = bytearray(14)
        self._registers[_ID] = 0xFF  # section 9.2.6
        self._pointer = 0
        self._started_us = 0
        self._samples = 0

    def written(self, data: bytes, now_us: int) -> None:
        self._advance(now_us)
        self._point(data[0])
        for value in data[1:]:
            self._store(self._pointer, value, now_us)
            self._point(self._pointer + 1)

    def answer(self, n: int, now_us: int) -> bytes:
        self._advance(now_us)
        if self._pointer < _STATUS:
            self._check_data_read(n)
        found = bytearray()
        for _ in range(n):
            if self._pointer > _ID:
                raise Misuse("QMC5883L: read past the last register, 0DH")
            found.append(self._registers[self._pointer])
            if self._pointer < _STATUS:
                self._registers[_STATUS] &= ~(
                    _DRDY | _DOR
                )  # section 9.2.2: reading any data register clears them
            self._next()
        return bytes(found)

    def _point(self, register: int) -> None:
        if register > _ID + 1:  # one past the end is where the pointer rests after the last register
            raise Misuse("QMC5883L has no register %#04x" % register)
        self._pointer = register

    def _next(self) -> None:
        rolls = self._registers[_CONTROL_2] & 0x40  # section 9.2.4, ROL_PNT: between 00H and 06H
        self._point(0 if rolls and self._pointer == _STATUS else self._pointer + 1)

    def _check_data_read(self, n: int) -> None:
        if self._pointer or n < 6:
            raise Misuse("QMC5883L: the axes of one sample are registers 00H to 05H, read in one go (9.2.1)")
        if not self._registers[_STATUS] & _DRDY:
            raise Misuse("QMC5883L: data read with no new sample there, DRDY is 0 (9.2.2)")

    def _store(self, register: int, value: int, now_us: int) -> None:
        if register == _CONTROL_1:
            self._control(value, now_us)
        elif register == _CONTROL_2:
            if value & 0x3E:
                raise Misuse("QMC5883L: bits 5 to 1 of 0AH are read only, written %#04x (table 13)" % value)
            if value & 0x80:  # SOFT_RST: all registers to their defaults, standby (9.2.4)
                self._reset()
                return
        elif register != _PERIOD:
            raise Misuse("QMC5883L: register %#04x is read only (table 13)" % register)
        self._registers[register] = value

    def _control(self, value: int, now_us: int) -> None:
        if value & 0x03 > 1 or (value >> 4) & 0x03 > 1:
            raise Misuse("QMC5883L: reserved MODE or RNG in 09H: %#04x (table 18)" % value)
        if value & 0x01 and self._registers[_PERIOD] != 0x01:
            raise Misuse("QMC5883L: measuring started before 0BH was set to 01H (9.2.5)")
        self._started_us = now_us
        self._samples = 0
        self._registers[_STATUS] = 0

    def _advance(self, now_us: int) -> None:
        control = self._registers[_CONTROL_1]
        if not control & 0x01:
            return
        every_us = _SAMPLE_US[(control >> 2) & 0x03]
        samples = (now_us - self._started_us) // every_us
        if samples == self._samples:
            return
        if samples > self._samples + 1 or self._registers[_STATUS] & _DRDY:
            self._registers[_STATUS] |= _DOR
        self._samples = samples
        self._registers[_STATUS] |= _DRDY
        if self.mode != "stuck":
            self._measure(control, self._started_us + samples * every_us)

    def _measure(self, control: int, at_us: int) -> None:
        per_ut = _LSB_PER_UT[(control >> 4) & 0x01]
        noise_ut = _NOISE_UT * _OVERSAMPLING_NOISE[control >> 6]
        self._registers[_STATUS] &= ~_OVL
        for axis, value in enumerate(self.field(at_us / 1_000_000)):
            counts = int(round((value + self._noise.gauss() * noise_ut) * per_ut))
            if not -32768 <= counts <= 32767:
                self._registers[_STATUS] |= _OVL
                counts = max(-32768, min(32767, counts))
            self._put(2 * axis, counts)
        # Section 9.2.3: about 100 LSB per degree, the offset is not compensated.
        self._put(_TEMPERATURE, int(round(self.celsius * 100)))

    def _put(self, register: int, value: int) -> None:
        self._registers[register] = value & 0xFF
        self._registers[register + 1] = (value >> 8) & 0xFF
