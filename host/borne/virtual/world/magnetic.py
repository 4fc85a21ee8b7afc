"""What disturbs the magnetic field in a row of bays beside cars: trams, and iron that has been magnetised.

Physics as stated at each constant; when it happens comes from the seed, as everything on the street.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from borne.virtual.world.chance import DAY_S, WEEK_S, by_hour, dice
from borne.virtual.world.chance import arrivals as times_of
from borne.virtual.world.parking import ParkingRow, Vector, dipole

# Trams an hour, both ways, for each local hour.
_TRAMS = (*(2,) * 2, *(0,) * 3, *(8,) * 2, *(16,) * 3, *(12,) * 6, *(16,) * 4, *(8,) * 4)
# One passes and gets up speed for so long, at so many metres a second.
_PASSES_S = 25.0
_SPEED = 8.0
# Direct current of one that accelerates: 600 V, up to 360 kW. The wire hangs 5.5 m over the rails.
_MOST_A = 600.0
_WIRE_M = 5.5
# mu0 / 2 pi = 2e-7 T m / A, as microtesla.
_MU0_2PI_UT = 0.2
# 40 tonnes of steel, the moment of thirty cars lengthwise.
_TRAM_MOMENT = (3000.0, 0.0, -2000.0)

# Iron in or at the road (a cover, a beam) that a lifting magnet or a strong current has magnetised: a step that stays.
_STEPS_A_WEEK = 1.0
_STEP_UT = 3.0


@dataclass(frozen=True)
class Disturbed:
    """A ParkingRow with a tram line at `tram_m` metres (0: none), and steps of the field where `steps`."""

    row: ParkingRow
    tram_m: float = 8.0
    steps: bool = True

    def field(self, bay: int, t: float) -> Vector:
        """As ParkingRow.field, in microtesla."""
        x, y, z = self.row.field(bay, t)
        for dx, dy, dz in (self._tram(bay, t), self._step(bay, t)):
            x, y, z = x + dx, y + dy, z + dz
        return x, y, z

    def _tram(self, bay: int, t: float) -> Vector:
        if not self.tram_m:
            return 0.0, 0.0, 0.0
        times, currents = _trams(self.row.seed, int(t // DAY_S))
        at = bisect_right(times, t) - 1
        if at < 0 or t - times[at] > _PASSES_S:
            return 0.0, 0.0, 0.0
        along = (t - times[at] - _PASSES_S / 2) * _SPEED - bay * 2.5
        x, y, z = dipole(_TRAM_MOMENT, (along, self.tram_m, 1.0))
        dy, dz = _loop(currents[at], self.tram_m)
        return x, y + dy, z + dz

    def _step(self, bay: int, t: float) -> Vector:
        if not self.steps:
            return 0.0, 0.0, 0.0
        week = int(t // WEEK_S)
        x = y = z = 0.0
        for when, (dx, dy, dz) in _steps(self.row.seed, self.row.name, bay, week):
            if when <= t:
                x, y, z = x + dx, y + dy, z + dz
        return x, y, z


def _loop(current: float, far: float) -> tuple[float, float]:
    """Field of the wire and, going back, of the rails: each mu0 I / 2 pi r round itself (Biot and Savart)."""
    square = far * far + _WIRE_M * _WIRE_M
    scale = _MU0_2PI_UT * current
    return scale * _WIRE_M / square, scale * (1 / far - far / square)


@lru_cache(maxsize=64)
def _trams(seed: int, day: int) -> tuple[list[float], list[float]]:
    """When trams begin to pass on a day, and the current that each draws there, in ampere; negative: it brakes."""
    rng = dice(seed, "trams", day)
    times = times_of(rng, by_hour(_TRAMS), max(_TRAMS), day * DAY_S, (day + 1) * DAY_S)
    return times, [rng.uniform(-_MOST_A / 2, _MOST_A) for _ in times]


@lru_cache(maxsize=1024)
def _steps(seed: int, name: str, bay: int, week: int) -> tuple[tuple[float, Vector], ...]:
    rng = dice(seed, name, "steps", bay, week)
    rate = _STEPS_A_WEEK / (WEEK_S / 3600)
    times = times_of(rng, lambda t: rate, rate, week * WEEK_S, (week + 1) * WEEK_S)
    return tuple((t, (rng.gauss(0, _STEP_UT), rng.gauss(0, _STEP_UT), rng.gauss(0, _STEP_UT))) for t in times)
