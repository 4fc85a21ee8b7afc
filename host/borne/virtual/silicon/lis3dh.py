"""ST LIS3DH, three-axis accelerometer (datasheet DocID17530)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_WHO_AM_I, _CONTROL_1, _CONTROL_3, _CONTROL_4, _STATUS, _OUT, _LAST = 0x0F, 0x20, 0x22, 0x23, 0x27, 0x28, 0x3F
_INT1_CONFIG, _INT1_THRESHOLD, _INT1_DURATION = 0x30, 0x32, 0x33
_NEW, _OVERRUN = 0x08, 0x80
# Table 31, data rates by the code of ODR, in us; 9 needs normal or high resolution mode.
_EACH_US = {1: 1_000_000, 2: 100_000, 3: 40_000, 4: 20_000, 5: 10_000, 6: 5_000, 7: 2_500, 9: 744}
_RESERVED = (0x10, 0x12, 0x13, 0x14)  # "Reserved: do not modify", those about the others
_FULL_G = (2, 4, 8, 16)
# Section 2.1: 220 ug/rtHz over the 50 Hz of 100 Hz is 1.6 mg; offset up to 40 mg.
_NOISE_MG = 1.6
_OFFSET_MG = (15.0, -10.0, 25.0)
_ON_INT1 = 0x40  # section 8.10
_STEP_MG = (16, 32, 62, 186)  # of the threshold, section 8.21, by full scale
_AHEAD = 200_000  # samples that an edge is looked for: two days of one a second


class LIS3DH(I2cChip):
    """`gravity(t)` gives x, y, z in g at t seconds. As a pin source it is its INT1."""

    address = 0x18

    def __init__(self, gravity: "Callable[[float], tuple[float, float, float]]", seed: int = 1) -> None:
        self.gravity = gravity
        self._noise = Noise(seed)
        self._registers = bytearray(_LAST + 1)
        self._registers[_WHO_AM_I] = 0x33
        self._registers[_CONTROL_1] = 0x07  # section 8.8: power down, axes enabled
        self._pointer = 0
        self._goes_on = False
        self._started_us = 0
        self._samples = 0

    def written(self, data: bytes, now_us: int) -> None:
        self._advance(now_us)
        self._goes_on = bool(data[0] & 0x80)
        self._pointer = data[0] & 0x7F
        if self._pointer > _LAST:
            raise Misuse("LIS3DH has no register %#04x" % self._pointer)
        if len(data) > 2 and not self._goes_on:
            raise Misuse("LIS3DH: several bytes for one register; bit 7 of its number makes it go on (6.1.1)")
        for value in data[1:]:
            self._store(self._pointer, value, now_us)
            self._pointer += 1

    def answer(self, n: int, now_us: int) -> bytes:
        self._advance(now_us)
        if n > 1 and not self._goes_on:
            raise Misuse(
                "LIS3DH: %d bytes read of one register; bit 7 of its number makes it go on (6.1.1)" % n
            )
        touches = self._pointer <= _OUT + 5 and self._pointer + n > _OUT
        if touches and (self._pointer, n) != (_OUT, 6):
            raise Misuse("LIS3DH: the axes of one sample are 28h to 2Dh, read in one go")
        found = bytes(self._registers[self._pointer : self._pointer + n])
        if self._pointer == _OUT:
            self._registers[_STATUS] = 0
        self._pointer += n
        return found

    def level(self, now_us: int) -> int:
        """Of INT1: enabled events, or-ed, at every sample of the last so many (sections 8.19 to 8.22)."""
        each_us = _EACH_US.get(self._registers[_CONTROL_1] >> 4)
        if not each_us or not self._registers[_CONTROL_3] & _ON_INT1:
            return 0
        samples = (now_us - self._started_us) // each_us
        lasts = self._registers[_INT1_DURATION] + 1
        return 1 if samples >= lasts and all(self._leans(samples - n, each_us) for n in range(lasts)) else 0

    def next_edge(self, now_us: int) -> "int | None":
        each_us = _EACH_US.get(self._registers[_CONTROL_1] >> 4)
        if not each_us or not self._registers[_CONTROL_3] & _ON_INT1:
            return None
        before, run = self.level(now_us), 0
        first = (now_us - self._started_us) // each_us + 1
        lasts = self._registers[_INT1_DURATION] + 1
        for sample in range(max(1, first - lasts), first + _AHEAD):
            run = run + 1 if self._leans(sample, each_us) else 0
            if sample >= first and (run >= lasts) != bool(before):
                return self._started_us + sample * each_us
        return None

    def _leans(self, sample: int, each_us: int) -> bool:
        enabled = self._registers[_INT1_CONFIG]
        if enabled & 0xC0 or enabled & 0x2A:
            raise Misuse("LIS3DH: only low events are simulated, not INT1_CFG %#04x" % enabled)
        least = self._registers[_INT1_THRESHOLD] * _STEP_MG[self._registers[_CONTROL_4] >> 4 & 3]
        axes = self.gravity((self._started_us + sample * each_us) / 1_000_000)
        return any(
            enabled >> 2 * axis & 1 and abs(g * 1000 + _OFFSET_MG[axis]) < least
            for axis, g in enumerate(axes)
        )

    def _store(self, register: int, value: int, now_us: int) -> None:
        if register in _RESERVED or not 0x1E <= register <= 0x26 and not register >= 0x2E:
            raise Misuse("LIS3DH: register %#04x is not to be written" % register)
        if register == _CONTROL_1:
            if value >> 4 and value >> 4 not in _EACH_US and value >> 4 != 8:
                raise Misuse("LIS3DH: reserved data rate in %#04x (table 31)" % value)
            if value & 0x08 and self._registers[_CONTROL_4] & 0x08:
                raise Misuse("LIS3DH: low power and high resolution at once (table 9)")
            self._started_us, self._samples = now_us, 0
            self._registers[_STATUS] = 0
        self._registers[register] = value

    def _advance(self, now_us: int) -> None:
        each_us = _EACH_US.get(self._registers[_CONTROL_1] >> 4)
        if not each_us:
            return
        samples = (now_us - self._started_us) // each_us
        if samples == self._samples or self.mode == "stuck":
            return
        self._samples = samples
        self._registers[_STATUS] |= _NEW | (_OVERRUN if self._registers[_STATUS] & _NEW else 0)
        self._measure((self._started_us + samples * each_us) / 1_000_000, samples)

    def _measure(self, t: float, samples: int) -> None:
        full = _FULL_G[self._registers[_CONTROL_4] >> 4 & 3]
        for axis, g in enumerate(self.gravity(t)):
            mg = g * 1000 + _OFFSET_MG[axis] + self._noise.gauss() * _NOISE_MG
            if samples == 1:
                mg *= 0.6  # the filter settles: section 3.2.1, turn-on time
            counts = max(-2048, min(2047, int(round(mg * 2 / full)))) << 4
            self._registers[_OUT + 2 * axis] = counts & 0xFF
            self._registers[_OUT + 2 * axis + 1] = counts >> 8 & 0xFF
