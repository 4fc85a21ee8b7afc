"""Vishay VEML7700, ambient light (datasheet 84286; application note 84323, revision 06-Mar-2025)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CONFIG, _POWER_SAVING, _ALS, _WHITE, _ID = 0, 3, 4, 5, 7
_RESERVED = {_CONFIG: 0xE40C, _POWER_SAVING: 0xFFF8}  # tables 1 and 4

# Table 1: integration time in us by the code of ALS_IT, gain in eighths by the code of ALS_GAIN.
_INTEGRATION_US = {12: 25_000, 8: 50_000, 0: 100_000, 1: 200_000, 2: 400_000, 3: 800_000}
_GAIN_EIGHTHS = (8, 16, 1, 2)
_START_US = 2_500  # table 1, ALS_SD: wait 2.5 ms after power-on for the first measurement
_LUX_PER_COUNT = 0.0672  # application note, table of resolutions: gain 1, 100 ms


def _uncorrected(lux: float) -> float:
    """What the chip makes of `lux`: the application note's correction above 1000 lx, inverted."""
    if lux <= 1000:
        return lux
    low, high = 1000.0, lux
    for _ in range(40):
        u = (low + high) / 2
        if (((6.0135e-13 * u - 9.3924e-9) * u + 8.1488e-5) * u + 1.0023) * u < lux:
            low = u
        else:
            high = u
    return low


class VEML7700(I2cChip):
    """`lux(t)` gives the illuminance at t seconds."""

    address = 0x10

    def __init__(self, lux: "Callable[[float], float]", seed: int = 1) -> None:
        self.lux = lux
        self._noise = Noise(seed)
        # ALS_SD is set after power-on; the ID is C4h for address 10h and 81h for the device (register 07h).
        self._words = [0x0001, 0, 0, 0, 0, 0, 0, 0xC481]
        self._command = 0
        self._started_us = 0
        self._samples = 0

    def written(self, data: bytes, now_us: int) -> None:
        self._advance(now_us)
        self._command = data[0]
        if self._command > _ID:
            raise Misuse("VEML7700 has no command code %#04x" % self._command)
        if len(data) == 1:
            return
        if len(data) != 3:
            raise Misuse("VEML7700: a register is one word, low byte first; got %d bytes" % (len(data) - 1))
        self._store(data[1] | data[2] << 8, now_us)

    def answer(self, n: int, now_us: int) -> bytes:
        self._advance(now_us)
        if n != 2:
            raise Misuse("VEML7700: a register is one word; %d bytes were read" % n)
        if self._command in (_ALS, _WHITE):
            if self._words[_CONFIG] & 1:
                raise Misuse("VEML7700: light read while shut down")
            if not self._samples:
                raise Misuse("VEML7700: light read %d us after power-on" % (now_us - self._started_us))
        word = self._words[self._command]
        return bytes([word & 0xFF, word >> 8])

    def _store(self, word: int, now_us: int) -> None:
        if self._command > _POWER_SAVING:
            raise Misuse("VEML7700: command code %d is read only" % self._command)
        if word & _RESERVED.get(self._command, 0):
            raise Misuse("VEML7700: reserved bits set in code %d: %#06x" % (self._command, word))
        if self._command == _CONFIG:
            if word >> 6 & 0x0F not in _INTEGRATION_US:
                raise Misuse("VEML7700: reserved integration time in %#06x (table 1)" % word)
            self._started_us = now_us
            self._samples = 0
        self._words[self._command] = word

    def _advance(self, now_us: int) -> None:
        config = self._words[_CONFIG]
        if config & 1:
            return
        integration_us = _INTEGRATION_US[config >> 6 & 0x0F]
        # Table 4: each power-saving mode lengthens the refresh by 500, 1000, 2000 or 4000 ms.
        saving = self._words[_POWER_SAVING]
        every_us = integration_us + ((500_000 << (saving >> 1)) if saving & 1 else 0)
        since_us = now_us - self._started_us - _START_US - integration_us
        samples = since_us // every_us + 1 if since_us >= 0 else 0
        if samples == self._samples:
            return
        self._samples = samples
        if self.mode == "stuck":
            return
        middle_us = self._started_us + _START_US + (samples - 1) * every_us + integration_us // 2
        self._words[_ALS] = self._counts(config, integration_us, middle_us)
        self._words[_WHITE] = min(65535, 2 * self._words[_ALS])

    def _counts(self, config: int, integration_us: int, at_us: int) -> int:
        per_count = _LUX_PER_COUNT * 8 / _GAIN_EIGHTHS[config >> 11 & 3] * 100_000 / integration_us
        counts = _uncorrected(max(0.0, self.lux(at_us / 1_000_000))) / per_count
        # The datasheet states no noise: one count at least, half a percent in the light.
        counts += self._noise.gauss() * (0.5 + counts / 200) if counts >= 1 else 0
        return max(0, min(65535, int(round(counts))))
