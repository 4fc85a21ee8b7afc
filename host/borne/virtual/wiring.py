"""What is soldered to a virtual board: simulated chips on buses and pins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from borne.virtual.silicon import I2cChip


class PinSource(Protocol):
    """Something that drives a pin. Times in microseconds of simulated time."""

    def level(self, now_us: int) -> int: ...
    def next_edge(self, now_us: int) -> int | None: ...


class SerialChip(Protocol):
    baudrate: int

    def feed(self, data: bytes, now_us: int) -> None: ...
    def output(self, now_us: int) -> bytes: ...


class SpiChip(Protocol):
    def transfer(self, data: bytes, now_us: int) -> bytes: ...


@dataclass(frozen=True)
class Wiring:
    """Keys of `i2c` are a bus number or (scl, sda); of `uart` and `spi` the number of the peripheral.

    `spi`: chips with their chip-select pin, {number: {pin: chip}}; the one whose pin is low answers.
    `adc`: volts at a pin as a function of seconds since 1970.
    `celsius`: how warm the board's chip is, in the same way.
    `outputs`: what follows a pin that the board drives, called with the level and the time in microseconds; `pwm` with
    the frequency in Hz, the duty from 0 to 1, and the time.
    """

    i2c: Mapping[int | tuple[int, int], Sequence[I2cChip]] = field(default_factory=dict)
    uart: Mapping[int, SerialChip] = field(default_factory=dict)
    pins: Mapping[int, PinSource] = field(default_factory=dict)
    adc: Mapping[int, Callable[[float], float]] = field(default_factory=dict)
    spi: Mapping[int, Mapping[int, SpiChip]] = field(default_factory=dict)
    celsius: Callable[[float], float] = lambda t: 35.0
    outputs: Mapping[int, Callable[[int, int], None]] = field(default_factory=dict)
    pwm: Mapping[int, Callable[[int, float, int], None]] = field(default_factory=dict)
