"""X-Powers AXP192, power manager (datasheet V1.1): the outputs of a T-Beam, and the cell's voltage."""

from . import I2cChip, Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# After power-on, as X-Powers delivers it: DC-DC1 and EXTEN on, the radio's LDO2 off.
_DEFAULTS = {0x01: 0x00, 0x03: 0x03, 0x12: 0x41, 0x28: 0x00, 0x82: 0x03, 0x78: 0, 0x79: 0}
_READ_ONLY = (0x01, 0x03, 0x78, 0x79)
_DCDC1 = 0x01


class AXP192(I2cChip):
    """`cell(t)` gives the cell's voltage in volts at t seconds, None without a cell."""

    address = 0x34

    def __init__(self, cell: "Callable[[float], float | None]") -> None:
        self.cell = cell
        self.registers = dict(_DEFAULTS)
        self._at = 0

    @property
    def ldo2_volts(self) -> float:
        """What the radio is fed with, 0 while it is off."""
        on = self.registers[0x12] & 0x04
        return 1.8 + (self.registers[0x28] >> 4) / 10 if on else 0.0

    @property
    def ldo3_is_on(self) -> bool:
        return bool(self.registers[0x12] & 0x08)

    def written(self, data: bytes, now_us: int) -> None:
        self._at = data[0]
        for value in data[1:]:
            if self._at not in self.registers or self._at in _READ_ONLY:
                raise Misuse("AXP192: %#04x cannot be written" % self._at)
            if self._at == 0x12 and not value & _DCDC1:
                raise Misuse("AXP192: DC-DC1 off takes the supply from whoever asked for it")
            self.registers[self._at] = value
            self._at += 1

    def answer(self, n: int, now_us: int) -> bytes:
        volts = self.cell(now_us / 1_000_000)
        self.registers[0x01] = 0x20 if volts is not None else 0x00
        if volts is not None and self.registers[0x82] & 0x80 and self.mode != "stuck":
            steps = int(volts / 0.0011)
            self.registers[0x78], self.registers[0x79] = steps >> 4, steps & 0x0F
        found = bytearray()
        for _ in range(n):
            if self._at not in self.registers:
                raise Misuse("AXP192: nothing is known of register %#04x" % self._at)
            found.append(self.registers[self._at])
            self._at += 1
        return bytes(found)
