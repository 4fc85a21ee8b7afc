"""TI INA226, current and power over a shunt (datasheet SBOS547)."""

from . import I2cChip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CONFIGURATION, _SHUNT, _BUS, _MASK, _CALIBRATION, _LIMIT = 0, 1, 2, 6, 5, 7
_IDENTITIES = {0xFE: 0x5449, 0xFF: 0x2260}  # sections 7.6.10 and 7.6.11
_POWER_ON = 0x4127  # table 3: continuous, 1.1 ms, no average
_READY = 0x0008
_AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)  # table 6
_TIMES_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)  # table 7
_SHUNT_UV, _BUS_MV = 2.5, 1.25  # a count
_SHUNT_OHM = 0.01


class INA226(I2cChip):
    """`load(t)` gives (volts, amperes) at t seconds; the shunt is 10 milliohm."""

    address = 0x40

    def __init__(self, load: "Callable[[float], tuple[float, float]]", seed: int = 1) -> None:
        self.load = load
        self._noise = Noise(seed)
        self._words = [_POWER_ON, 0, 0, 0, 0, 0, 0, 0]
        self._register = 0
        self._started_us = -1

    def written(self, data: bytes, now_us: int) -> None:
        self._advance(now_us)
        self._register = data[0]
        if self._register > _LIMIT and self._register not in _IDENTITIES:
            raise Misuse("INA226 has no register %#04x" % self._register)
        if len(data) == 1:
            return
        if len(data) != 3:
            raise Misuse("INA226: a register is one word, high byte first; got %d bytes" % (len(data) - 1))
        self._store(data[1] << 8 | data[2], now_us)

    def answer(self, n: int, now_us: int) -> bytes:
        self._advance(now_us)
        if n != 2:
            raise Misuse("INA226: a register is one word; %d bytes were read" % n)
        word = _IDENTITIES.get(self._register)
        if word is None:
            word = self._words[self._register]
        if self._register == _MASK:
            self._words[_MASK] &= ~_READY  # section 7.6.7: reading it clears the flag
        return bytes([word >> 8, word & 0xFF])

    def _store(self, word: int, now_us: int) -> None:
        if self._register not in (_CONFIGURATION, _CALIBRATION, _MASK, _LIMIT):
            raise Misuse("INA226: register %#04x is read only" % self._register)
        if self._register == _CONFIGURATION:
            if word & 0x8000:
                word = _POWER_ON
            if word & 0x3000 or not word & 0x4000:
                raise Misuse("INA226: bits 14 to 12 of the configuration are 100, written %#06x" % word)
            self._started_us = now_us if word & 7 else -1
            self._words[_MASK] &= ~_READY
        self._words[self._register] = word

    def _takes_us(self) -> int:
        word = self._words[_CONFIGURATION]
        each = (_TIMES_US[word >> 3 & 7] if word & 1 else 0) + (_TIMES_US[word >> 6 & 7] if word & 2 else 0)
        return max(1, each * _AVERAGES[word >> 9 & 7])

    def _advance(self, now_us: int) -> None:
        takes_us = self._takes_us()
        if self._started_us < 0 or now_us - self._started_us < takes_us or self.mode == "stuck":
            return
        volts, amperes = self.load((self._started_us + takes_us / 2) / 1_000_000)
        # Section 6.5: offset and noise of a few counts.
        shunt = amperes * _SHUNT_OHM * 1e6 / _SHUNT_UV + self._noise.gauss()
        self._words[_SHUNT] = max(-32768, min(32767, int(round(shunt)))) & 0xFFFF
        self._words[_BUS] = max(0, min(32767, int(round(volts * 1000 / _BUS_MV))))
        self._words[_MASK] |= _READY
        # One measurement, or the next one in a row.
        self._started_us = now_us if self._words[_CONFIGURATION] & 4 else -1
