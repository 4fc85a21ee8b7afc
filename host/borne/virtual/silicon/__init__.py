"""Simulated chips: registers, timing and noise of the datasheet; they check their caller and can fail.

Plain Python for CPython (`borne.virtual.silicon`) and MicroPython (`silicon`), so no typing at run time and
no `random`. Every call gets `now_us`, simulated time in whole microseconds; it must not run backwards.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Misuse(Exception):
    """The caller did what the datasheet forbids: a defect of the driver, never of the simulated world."""


class Nack(Exception):
    """Nobody acknowledged the address."""


class Noise:
    """Repeatable noise: the high bits of a linear congruential generator (Numerical Recipes, 7.1)."""

    def __init__(self, seed: int) -> None:
        self._state = seed & 0xFFFFFFFF
        for _ in range(4):  # neighbouring seeds give neighbouring first values
            self.below(2)

    def below(self, limit: int) -> int:
        """A whole number 0 <= n < limit, for limits up to 65536."""
        self._state = (self._state * 1664525 + 1013904223) & 0xFFFFFFFF
        return ((self._state >> 16) * limit) >> 16

    def gauss(self) -> float:
        """About normal, mean 0, deviation 1, within +-3.5: a sum of four uniform numbers has variance 1/3."""
        total = sum(self.below(65536) for _ in range(4))
        return (total / 65536 - 2) * 1.7320508


def sound_mm(distance: float, celsius: float) -> float:
    """The millimetres that somebody measures by sound who takes the air of `celsius` for 20 degrees warm.

    331.3 + 0.606 T m/s: the linear form about 0 degrees of sqrt(1.4 R T / M) (ISO 9613-1 has the exact one).
    """
    return distance * (331.3 + 0.606 * 20) / (331.3 + 0.606 * celsius)


class Chip:
    """What every simulated chip can do: fail in one of its MODES until told otherwise."""

    MODES: "tuple[str, ...]" = ("silent", "stuck")
    mode: "str | None" = None
    _last_us = 0

    def fail(self, mode: "str | None") -> None:
        """`silent`: no answer; `stuck`: measures no more; `checksum`: damaged frames; None: well again."""
        if mode is not None and mode not in self.MODES:
            raise ValueError("a %s cannot fail by %r" % (type(self).__name__, mode))
        self.mode = mode

    def at(self, now_us: int) -> None:
        """Note the time of a call; raises Misuse when it runs backwards."""
        if now_us < self._last_us:
            raise Misuse("time runs backwards: %d us after %d us" % (now_us, self._last_us))
        self._last_us = now_us


class I2cChip(Chip):
    """A chip at one 7-bit address. A register read is `write([register])` and then `read(n)`."""

    address = 0

    def write(self, data: bytes, now_us: int) -> None:
        """Bytes from the controller; none at all is the probe of a bus scan. Raises Nack."""
        self.at(now_us)
        if self.mode == "silent":
            raise Nack(hex(self.address))
        if data:
            self.written(data, now_us)

    def read(self, n: int, now_us: int) -> bytes:
        """`n` bytes to the controller. Raises Nack."""
        self.at(now_us)
        if self.mode == "silent":
            raise Nack(hex(self.address))
        return self.answer(n, now_us)

    def written(self, data: bytes, now_us: int) -> None:
        raise NotImplementedError

    def answer(self, n: int, now_us: int) -> bytes:
        raise NotImplementedError

    def downstream(self) -> "Iterable[I2cChip]":
        """The chips that this one connects to the bus at the moment; only a switch has any."""
        return ()


class Bus:
    """One I2C bus with its chips, those behind switches included."""

    def __init__(self, chips: "Iterable[I2cChip]") -> None:
        self.chips = list(chips)

    def write(self, address: int, data: bytes, now_us: int) -> None:
        self._at(address).write(data, now_us)

    def read(self, address: int, n: int, now_us: int) -> bytes:
        return self._at(address).read(n, now_us)

    def scan(self, now_us: int) -> "list[int]":
        found = []
        for address in range(0x08, 0x78):  # the I2C specification reserves the rest (UM10204, table 3)
            try:
                self.write(address, b"", now_us)
                found.append(address)
            except Nack:
                pass
        return found

    def _at(self, address: int) -> I2cChip:
        here = [chip for chip in self._connected(self.chips) if chip.address == address]
        if not here:
            raise Nack(hex(address))
        if len(here) > 1:
            raise Misuse("%d chips drive the bus at address %#x" % (len(here), address))
        return here[0]

    def _connected(self, chips: "Iterable[I2cChip]") -> "Iterator[I2cChip]":
        for chip in chips:
            yield chip
            yield from self._connected(chip.downstream())
