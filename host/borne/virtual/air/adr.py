"""Adaptive data rate as the network sees it.

Semtech, "LoRaWAN - simple rate adaptation recommended algorithm" (2016): the best SNR of the last frames, less what the
demodulator needs and a margin, in steps of 3 dB: first the data rate up, then the power down.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

_HISTORY = 20
# Before the history is full the best of few frames is a poor guess, but the data rate may rise already: it falls again
# by itself where it was too high, and a node that sends six times a day would else stay slow for half a week.
_FEW = 4
_MARGIN_DB = 10
_STEP_DB = 3
_NEEDED_DB = {7: -7.5, 8: -10.0, 9: -12.5, 10: -15.0, 11: -17.5, 12: -20.0}


@dataclass
class Adaption:
    """Of one device. `rate` is a data rate of 125 kHz uplinks, where one step is one SF; `power` the TXPower index."""

    top: int
    powers: int
    rate: int = 0
    power: int = 0
    snrs: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    def heard(self, rate: int, sf: int, snr: float) -> None:
        """One uplink. A rate other than expected is the device's own choice: it has fallen back."""
        if rate != self.rate:
            if rate < self.rate:
                self.power = 0
                self.snrs.clear()
            self.rate = rate
        self.snrs.append(snr - _NEEDED_DB[sf])

    def wanted(self) -> tuple[int, int] | None:
        """(data rate, power) that the device should go to, None where it is right."""
        if len(self.snrs) < _FEW:
            return None
        steps = int((max(self.snrs) - _MARGIN_DB) // _STEP_DB)
        rate = min(self.top, self.rate + max(0, steps))
        steps -= rate - self.rate
        power = self.power
        if len(self.snrs) == _HISTORY:
            power = min(self.powers - 1, max(0, power + steps))
        return (rate, power) if (rate, power) != (self.rate, self.power) else None

    def answered(self, asked: tuple[int, int]) -> None:
        """The device took what it was asked for; margins of before say nothing about now."""
        self.rate, self.power = asked
        self.snrs.clear()
