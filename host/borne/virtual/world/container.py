"""A waste container: it fills by what people throw in, and a truck empties it on some mornings."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import log

from borne.virtual.world.chance import DAY_S, HOUR_S, UTC_OFFSET_S, arrivals, by_hour, dice, weekday

# Bags an hour for each local hour. Assumed: before work, at noon, and mostly in the evening.
_BAGS = (
    *(0.1, 0.05, 0.05, 0.05, 0.05, 0.2, 0.8, 1.6, 1.4, 0.8, 0.7, 0.8),
    *(1.1, 1.0, 0.7, 0.7, 0.8, 1.2, 1.8, 2.0, 1.6, 1.0, 0.5, 0.2),
)
_MEDIAN_BAG_L = 11.0
_BAG_SPREAD = 0.6
_LARGEST_BAG_L = 80.0

# A truck fails to come one time in twenty.
_COMES = 0.95
_TRUCK_HOURS = (6.0, 8.0)
_LONGEST_MEMORY_DAYS = 14

# What is left in the bottom after emptying, as a share.
_DREGS = 0.02

# The heap is not flat under the sensor (one value between two deposits), and no ping finds quite the same
# spot.
_HEAP_MM = 20.0
_PING_MM = 4.0
# A node at work in a lid. It is also the air that the sound goes through, or levels would be corrected for warmth that
# is not there. A fire of some minutes.
AIR_C, _FIRE_C = 35.0, 82.0
_PING_S = 0.05

MONDAY_WEDNESDAY_FRIDAY = (0, 2, 4)
TUESDAY_THURSDAY_SATURDAY = (1, 3, 5)


@dataclass(frozen=True)
class Container:
    """Four wheels and 770 litres (EN 840-2); the sensor sits `offset_mm` above the full line."""

    seed: int
    name: str
    place: str
    litres: float = 770.0
    depth_mm: int = 1100
    offset_mm: int = 150
    emptied_on: tuple[int, ...] = MONDAY_WEDNESDAY_FRIDAY
    burns_at: float | None = None
    sensor: str = "a02yyuw"  # or another ranger by its name in the settings: hc_sr04, jsn_sr04t, mb7389

    kind = "fill"

    def level(self, t: float) -> float:
        """Fill in percent of the depth, 0..100, at the unix time `t`. What no longer fits stands beside."""
        since, dregs = self._last_emptied(t)
        days = range(int(since // DAY_S), int(t // DAY_S) + 1)
        litres = sum(_thrown(self.seed, self.name, day, since, t) for day in days)
        return 100 * min(1.0, dregs + litres / self.litres)

    def emptied(self, start: float, end: float) -> list[float]:
        """When the truck emptied it in [start, end), sorted."""
        days = range(int(start // DAY_S) - 1, int(end // DAY_S) + 2)
        times = (_truck(self.seed, self.name, day, self.emptied_on) for day in days)
        return [t for t in times if t is not None and start <= t < end]

    def celsius(self, t: float) -> float:
        """What a chip in its lid is warmed to."""
        return AIR_C if self.burns_at is None or t < self.burns_at else _FIRE_C

    def distance(self, t: float) -> float:
        """Millimetres from the sensor down to the waste, as a ping at `t` finds it; never less than 0."""
        flat = self.offset_mm + self.depth_mm * (1 - self.level(t) / 100)
        heap = dice(self.seed, self.name, "heap", self._deposits_until(t)).gauss(0, _HEAP_MM)
        ping = dice(self.seed, self.name, "ping", int(t / _PING_S)).gauss(0, _PING_MM)
        # The bottom is flat: there is no heap where there is nothing.
        surface = flat + heap * min(1.0, self.level(t) / 10)
        return max(0.0, min(surface, self.offset_mm + self.depth_mm) + ping)

    def _last_emptied(self, t: float) -> tuple[float, float]:
        """When, and the share that was left."""
        times = self.emptied(t - _LONGEST_MEMORY_DAYS * DAY_S, t)
        # Nobody came for a fortnight: it is full by any account; start there, so that a level stays cheap.
        return (times[-1], _DREGS) if times else (t - _LONGEST_MEMORY_DAYS * DAY_S, 0.0)

    def _deposits_until(self, t: float) -> str:
        day = int(t // DAY_S)
        times, _ = _deposits(self.seed, self.name, day)
        return f"{day}:{bisect_right(times, t)}"


@lru_cache(maxsize=1024)
def _deposits(seed: int, name: str, day: int) -> tuple[list[float], list[float]]:
    """Times of one day's deposits (days since 1970, UTC), and the litres thrown in up to each, first 0."""
    rng = dice(seed, name, "bags", day)
    times = arrivals(rng, by_hour(_BAGS), max(_BAGS), day * DAY_S, (day + 1) * DAY_S)
    bags = (min(_LARGEST_BAG_L, rng.lognormvariate(log(_MEDIAN_BAG_L), _BAG_SPREAD)) for _ in times)
    return times, list(accumulate(bags, initial=0.0))


def _thrown(seed: int, name: str, day: int, start: float, end: float) -> float:
    """Litres thrown in during (start, end] on one day."""
    times, sums = _deposits(seed, name, day)
    return sums[bisect_right(times, end)] - sums[bisect_right(times, start)]


@lru_cache(maxsize=1024)
def _truck(seed: int, name: str, day: int, weekdays: tuple[int, ...]) -> float | None:
    """When the truck comes on a local day (days since 1970), if it does."""
    midnight = day * DAY_S - UTC_OFFSET_S
    rng = dice(seed, name, "truck", day)
    time = midnight + rng.uniform(*_TRUCK_HOURS) * HOUR_S
    return time if weekday(midnight) in weekdays and rng.random() < _COMES else None
