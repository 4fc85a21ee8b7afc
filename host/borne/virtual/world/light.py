"""A lamp post: daylight, the lamp's own light, and the people who pass under it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from math import exp

from borne.virtual.world.chance import DAY_S, HOUR_S, arrivals, by_hour, dice, weekday
from borne.virtual.world.sun import altitude, clear_lux, cloud_factor

# People an hour for each local hour. Assumed: a street with shops that goes to work, to lunch and home.
_WALKERS = (4, 2, 1, 1, 1, 3, 12, 30, 50, 35, 30, 35, 50, 45, 35, 35, 45, 65, 70, 50, 30, 20, 14, 8)
_WEEKEND = 0.7

# How long a passive infrared sensor holds its output after the last motion it saw: HC-SR501, about 2.5 s at
# the shortest setting.
HOLD_S = 2.5
# One in eight lingers and is seen twice; never more, which is what the bound of two triggers a passage rests
# on.
_LINGERS = 0.125
_LINGER_S = (8.0, 20.0)

# The lamp comes on below this much daylight. Assumed; photocells of street lights are sold for 10 to 70 lux.
LAMP_ON_LUX = 30.0
# What the sensor on the post sees of its own lamp, shielded. Assumed.
LAMP_STRAY_LUX = 4.0

_KNOT_S = 3 * HOUR_S


@dataclass(frozen=True)
class LampPost:
    seed: int
    name: str
    place: str

    kind = "light"

    def cloud_cover(self, t: float) -> float:
        """0 clear ... 1 overcast; a new sky every three hours, the same for the whole street."""
        knot, share = divmod(t, _KNOT_S)
        before, after = _sky(self.seed, int(knot)), _sky(self.seed, int(knot) + 1)
        return before + (after - before) * share / _KNOT_S

    def daylight(self, t: float) -> float:
        """Lux from the sky alone."""
        return clear_lux(altitude(t)) * cloud_factor(self.cloud_cover(t))

    def lamp_on(self, t: float) -> bool:
        """By the clear sky, so that a cloud does not make the lamp flicker."""
        return clear_lux(altitude(t)) < LAMP_ON_LUX

    def lux(self, t: float) -> float:
        """What the sensor on the post sees."""
        return self.daylight(t) + (LAMP_STRAY_LUX if self.lamp_on(t) else 0.0)

    def passages(self, start: float, end: float) -> int:
        """How many people passed in [start, end)."""
        return len(self._between(0, start, end))

    def triggers(self, start: float, end: float) -> list[float]:
        """When the presence sensor's output rose in [start, end), sorted (unix seconds).

        Motion while the output is still held renews the hold and makes no edge.
        """
        edges: list[float] = []
        held = start - 1
        for t in self._between(1, start - 60, end):
            if t > held and t >= start:
                edges.append(t)
            held = max(held, t + HOLD_S)
        return edges

    def motions(self, start: float) -> Iterator[float]:
        """When somebody moved before the presence sensor, from `start` on, without end (unix seconds)."""
        for day in count(int(start // DAY_S)):
            # Who lingers past midnight belongs to the day before.
            yield from (t for t in self._between(1, day * DAY_S, (day + 1) * DAY_S) if t >= start)

    def presences(self, start: float, end: float, refractory_s: float) -> int:
        """What an ideal node counts in [start, end): none within `refractory_s` of one that counted."""
        seen, blind = 0, start - 1
        for t in self.triggers(start, end):
            if t >= blind:
                seen, blind = seen + 1, t + refractory_s
        return seen

    def _between(self, which: int, start: float, end: float) -> list[float]:
        """People (0) or motions (1) in [start, end)."""
        days = range(int(start // DAY_S) - 1, int(end // DAY_S) + 1)
        # Sorted again: who lingers past midnight stands in the day before.
        every = sorted(t for day in days for t in _day(self.seed, self.name, day)[which])
        return every[bisect_left(every, start) : bisect_left(every, end)]


@lru_cache(maxsize=1024)
def _day(seed: int, name: str, day: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The times of people and of motions on one day (days since 1970, UTC)."""
    rng = dice(seed, name, "people", day)
    weekdays = by_hour(_WALKERS)
    start = day * DAY_S
    people = arrivals(rng, lambda t: weekdays(t) * _quiet(t), max(_WALKERS), start, start + DAY_S)
    again = [t + rng.uniform(*_LINGER_S) for t in people if rng.random() < _LINGERS]
    return tuple(people), tuple(people + again)


def _quiet(t: float) -> float:
    return _WEEKEND if weekday(t) > 4 else 1.0


@lru_cache(maxsize=4096)
def _sky(seed: int, knot: int) -> float:
    # Skies are mostly clear or mostly overcast and seldom in between: a U-shaped law.
    return 1 / (1 + exp(-dice(seed, "sky", knot).gauss(0.3, 2.0)))
