"""Maxim MAX17048, fuel gauge (datasheet 19-6171): its version and the cell's voltage."""

from . import I2cChip, Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_STEP_V = 78.125e-6


class MAX17048(I2cChip):
    """`cell(t)` gives the cell's voltage in volts at t seconds; it takes none, for it feeds the chip."""

    address = 0x36

    def __init__(self, cell: "Callable[[float], float]") -> None:
        self.cell = cell
        self.version = 0x0012
        self._at = 0

    def written(self, data: bytes, now_us: int) -> None:
        if len(data) != 1:
            raise Misuse("MAX17048: nothing of it need be written")
        self._at = data[0]

    def answer(self, n: int, now_us: int) -> bytes:
        words = {0x02: int(self.cell(now_us / 1_000_000) / _STEP_V), 0x08: self.version}
        if n != 2 or self._at not in words:
            raise Misuse("MAX17048: register %#04x is a word, and not known of" % self._at)
        return words[self._at].to_bytes(2, "big")
