"""The law of the band, as an outsider measures it: no hour holds more airtime than its sub-band allows.

On purpose not the firmware's table: this is what the firmware is checked against.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

_HOUR_US = 3_600_000_000


class Band(NamedTuple):
    """From and to in Hz, share of the time in per mille, dBm e.r.p."""

    low: int
    high: int
    per_mille: float
    power: int


# ETSI EN 300 220-2 V3.2.1 (2018-06), annex B, bands K to Q, for equipment without listen-before-talk.
ETSI_863_870 = (
    Band(863_000_000, 865_000_000, 1, 14),
    Band(865_000_000, 868_000_000, 10, 14),
    Band(868_000_000, 868_600_000, 10, 14),
    Band(868_700_000, 869_200_000, 1, 14),
    Band(869_400_000, 869_650_000, 100, 27),
    Band(869_700_000, 870_000_000, 10, 14),
)
_ERP_TO_EIRP_DB = 2.15


@dataclass
class _Hour:
    spans: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, start: int, end: int) -> int:
        """Microseconds of airtime in the hour that ends with this frame."""
        self.spans.append((start, end))
        opened = end - _HOUR_US
        while self.spans[0][1] <= opened:
            self.spans.popleft()
        return sum(last - max(first, opened) for first, last in self.spans)


class Law:
    """Watches every transmitter. `broken`: what was against the law, in words; `fullest`: highest share of its limit
    that each transmitter has used in any hour, 1.0 for all of it.
    """

    def __init__(self, bands: tuple[Band, ...] = ETSI_863_870) -> None:
        self._bands = bands
        self._hours: dict[tuple[str, Band], _Hour] = {}
        self.broken: list[str] = []
        self.fullest: dict[str, float] = {}

    def watch(self, name: str, start_us: int, end_us: int, frequency: int, eirp: float) -> None:
        """One frame of the transmitter `name`."""
        band = next((one for one in self._bands if one.low <= frequency <= one.high), None)
        if band is None:
            self.broken.append(f"{name}: {frequency} Hz is no frequency of this band")
            return
        if eirp > band.power + _ERP_TO_EIRP_DB:
            self.broken.append(f"{name}: {eirp:.1f} dBm on {frequency} Hz")
        spent = self._hours.setdefault((name, band), _Hour()).add(start_us, end_us)
        share = spent / (_HOUR_US * band.per_mille / 1000)
        self.fullest[name] = max(self.fullest.get(name, 0.0), share)
        if share > 1:
            self.broken.append(f"{name}: {spent / 1e6:.2f} s of an hour on {frequency} Hz")
