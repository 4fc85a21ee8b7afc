"""A row of parking bays: cars that come and go, and the magnetic field that a sensor in each bay feels.

Cars arrive as a Poisson process whose rate follows the day; one that finds the bay taken drives on. The rates
and lengths of stay are assumed, so as to make a plausible street: they are nobody's measurements.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import cos, log, pi, radians, sin, sqrt
from random import Random

from borne.virtual.world.chance import (
    DAY_S,
    HOUR_S,
    UTC_OFFSET_S,
    WEEK_S,
    arrivals,
    by_hour,
    dice,
    local_hour,
    week_start,
    weekday,
)

Vector = tuple[float, float, float]

# Cars an hour that would take a free bay, for each local hour.
_DEMAND = (
    *(0.05, 0.05, 0.05, 0.05, 0.05, 0.1, 0.3, 0.8, 1.5, 1.4, 1.3, 1.4),
    *(1.6, 1.3, 1.2, 1.3, 1.5, 1.8, 2.0, 1.6, 0.9, 0.5, 0.3, 0.1),
)
_SUNDAY = 0.5
# The sweeper: every bay is empty on Mondays from four to five, so that a week depends on no earlier one.
_SWEEP_HOUR = 4
_GAP_S = 45  # one car leaves before the next can stand
_SHORTEST_S = 120
_LONGEST_S = 14 * HOUR_S

# Bays side by side, square to the kerb.
PITCH_M = 2.5

# Paris by IGRF-13, rounded: horizontal to magnetic north and down, in microtesla; 47.4 in all.
EARTH_NORTH_UT = 21.0
EARTH_DOWN_UT = 42.5

# mu0 / 4 pi = 1e-7 T m / A (SI brochure, 9th edition: exact until 2019, and to ten digits since), as
# microtesla.
_MU0_4PI_UT = 0.1

# Peak to peak over a day, coldest at three in the morning.
DAILY_SWING_K = 20.0
_MEAN_C = 12.0
_WARMEST_HOUR = 15
# Offset of a magnetometer with temperature, per axis, at most. Assumed: its data sheet gives none.
_DRIFT_UT_PER_K = 0.06


@dataclass(frozen=True)
class Car:
    """A point dipole: `moment` in A m2, `place` over the sensor in m (x along the row, y into the bay, z up).

    A point is crude for something four metres long and half a metre away; the size is right (10 to 130
    microtesla under the car), the shape is not, and nothing here reads the shape.
    """

    moment: Vector
    place: Vector


@dataclass(frozen=True)
class Stay:
    """One car in one bay, from `arrive` to `leave` (unix seconds)."""

    arrive: float
    leave: float
    car: Car


def temperature(t: float) -> float:
    """Of the air in degrees C at the unix time `t`: the same every day."""
    return _MEAN_C + DAILY_SWING_K / 2 * cos(2 * pi * (local_hour(t) - _WARMEST_HOUR) / 24)


def dipole(moment: Vector, place: Vector) -> Vector:
    """Field in microtesla at the origin of a dipole of `moment` (A m2) at `place` (m).

    J. D. Jackson, Classical Electrodynamics, 3rd edition, equation 5.56.
    """
    square = sum(axis * axis for axis in place)
    along = 3 * sum(m * r for m, r in zip(moment, place, strict=True)) / square
    scale = _MU0_4PI_UT / (square * sqrt(square))
    x, y, z = (scale * (along * r - m) for m, r in zip(moment, place, strict=True))
    return x, y, z


@dataclass(frozen=True)
class ParkingRow:
    """`bays` bays with a magnetometer in the ground of each, all on one node. Bays count from 0."""

    seed: int
    name: str
    place: str
    bays: int = 8
    demand: float = 1.0  # of the usual one: 0.1 is a quiet street

    kind = "parking"

    def occupied(self, bay: int, t: float) -> bool:
        return self._stay(bay, t) is not None

    def occupied_count(self, t: float) -> int:
        return sum(self.occupied(bay, t) for bay in range(self.bays))

    def occupied_share(self, bay: int, start: float, end: float) -> float:
        """The share, 0..1, of [start, end) for which a car stood in the bay."""
        stays = self.stays(bay, start, end)
        return sum(min(stay.leave, end) - max(stay.arrive, start) for stay in stays) / (end - start)

    def mean_count(self, start: float, end: float) -> float:
        """Occupied bays in [start, end), averaged over time."""
        return sum(self.occupied_share(bay, start, end) for bay in range(self.bays))

    def stays(self, bay: int, start: float, end: float) -> list[Stay]:
        """Every stay that touches [start, end), in order."""
        weeks = range(week_start(start, _SWEEP_HOUR), int(end) + 1, WEEK_S)
        every = (stay for week in weeks for stay in _week(self.seed, self.name, bay, week, self.demand))
        return [stay for stay in every if stay.leave > start and stay.arrive < end]

    def field(self, bay: int, t: float) -> Vector:
        """What the bay's sensor feels, in microtesla: the earth, the cars on all bays, and its own warmth."""
        x, y, z = _rest(self.seed, self.name, bay)
        warmth = temperature(t) - _MEAN_C
        kx, ky, kz = _drift(self.seed, self.name, bay)
        x, y, z = x + kx * warmth, y + ky * warmth, z + kz * warmth
        for other in range(self.bays):
            stay = self._stay(other, t)
            if stay:
                cx, cy, cz = stay.car.place
                dx, dy, dz = dipole(stay.car.moment, (cx + (other - bay) * PITCH_M, cy, cz))
                x, y, z = x + dx, y + dy, z + dz
        return x, y, z

    def _stay(self, bay: int, t: float) -> Stay | None:
        week = _week(self.seed, self.name, bay, week_start(t, _SWEEP_HOUR), self.demand)
        at = bisect_right(week, t, key=lambda stay: stay.arrive) - 1
        return week[at] if at >= 0 and t < week[at].leave else None


@lru_cache(maxsize=4096)
def _week(seed: int, name: str, bay: int, monday: int, demand: float) -> tuple[Stay, ...]:
    """The stays in one bay from one sweeping to the next."""
    rng = dice(seed, name, "bay", bay, monday)
    end = monday + WEEK_S - HOUR_S
    weekdays = by_hour(_DEMAND)
    stays: list[Stay] = []
    free = monday + HOUR_S
    for t in arrivals(rng, lambda t: weekdays(t) * _quiet(t) * demand, max(_DEMAND) * demand, free, end):
        leave = min(t + _length(rng, t), end)
        car = _car(rng)
        if t >= free and leave - t >= _SHORTEST_S:
            stays.append(Stay(t, leave, car))
            free = int(leave) + _GAP_S
    return tuple(stays)


def _quiet(t: float) -> float:
    return _SUNDAY if weekday(t) == 6 else 1.0


def _length(rng: Random, t: float) -> float:
    """Seconds that a car arriving at `t` stays: an errand, a working day, or a resident's night."""
    hour, luck = local_hour(t), rng.random()
    if hour >= 17 and luck < 0.6:
        morning = t - (t + UTC_OFFSET_S) % DAY_S + DAY_S + rng.uniform(6.5, 9.5) * HOUR_S
        return min(morning - t, _LONGEST_S + 2 * HOUR_S)
    median, spread = (4.5 * HOUR_S, 0.5) if 7 <= hour < 11 and luck < 0.35 else (25 * 60, 0.7)
    return min(max(rng.lognormvariate(log(median), spread), _SHORTEST_S), _LONGEST_S)


def _unit(rng: Random) -> Vector:
    z, turn = rng.uniform(-1, 1), rng.uniform(0, 2 * pi)
    flat = sqrt(1 - z * z)
    return flat * cos(turn), flat * sin(turn), z


def _car(rng: Random) -> Car:
    """Some car: most of its moment is drawn in by the earth's field (down), the rest is its own remanence.

    Moments of 90 to 160 A m2 at 0.62 to 0.75 m are assumed: they give the tens of microtesla that parking
    sensors report under a car, and stay within the 200 microtesla of a 2 gauss range.
    """
    size, own = rng.uniform(90, 160), _unit(rng)
    x, y, z = (0.3 * axis for axis in own)
    length = sqrt(x * x + y * y + (z - 0.7) ** 2)
    moment = (size * x / length, size * y / length, size * (z - 0.7) / length)
    across = max(-0.3, min(0.3, rng.gauss(0, 0.15)))
    along = max(-0.5, min(0.5, rng.gauss(0, 0.25)))
    return Car(moment, (across, along, rng.uniform(0.62, 0.75)))


@lru_cache(maxsize=1024)
def _rest(seed: int, name: str, bay: int) -> Vector:
    """The earth's field in the bay's own axes: the row lies at some angle, each sensor a little askew."""
    turn = dice(seed, name, "row").uniform(0, 2 * pi) + radians(dice(seed, name, "sensor", bay).gauss(0, 3))
    return EARTH_NORTH_UT * cos(turn), EARTH_NORTH_UT * sin(turn), -EARTH_DOWN_UT


@lru_cache(maxsize=1024)
def _drift(seed: int, name: str, bay: int) -> Vector:
    rng = dice(seed, name, "drift", bay)
    x, y, z = (rng.uniform(-_DRIFT_UT_PER_K, _DRIFT_UT_PER_K) for _ in range(3))
    return x, y, z
