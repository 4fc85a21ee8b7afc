"""TI TCA9548A, eight-channel I2C switch (datasheet SCPS207)."""

from . import I2cChip, Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class TCA9548A(I2cChip):
    """`channels` holds the chips of each channel, eight at most. Failing by `stuck`, it switches no more."""

    def __init__(self, channels: "Sequence[Sequence[I2cChip]]", address: int = 0x70) -> None:
        if not 0x70 <= address <= 0x77:
            raise ValueError("a TCA9548A sits at 70h to 77h (table 1), not %#x" % address)
        if len(channels) > 8:
            raise ValueError("a TCA9548A has eight channels")
        self.address = address
        self.channels = channels
        self.control = 0  # table 2: power-up default, no channel selected

    def written(self, data: bytes, now_us: int) -> None:
        # Section 8.5.4: of several bytes the last counts, and it acts after the stop condition.
        if self.mode == "stuck":
            return
        if data[-1] >> len(self.channels):
            raise Misuse("TCA9548A: nothing is wired to a channel of %#04x" % data[-1])
        self.control = data[-1]

    def answer(self, n: int, now_us: int) -> bytes:
        return bytes([self.control]) * n

    def downstream(self) -> "Iterable[I2cChip]":
        if self.mode == "silent":
            return
        for number, chips in enumerate(self.channels):
            if self.control >> number & 1:
                yield from chips
