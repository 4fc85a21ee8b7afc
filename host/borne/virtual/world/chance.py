"""Chance that can be repeated: every number on the street comes from the seed and from what it is about.

Python's `random` is right here and banned on the node: the street must be predictable, the node's noise must
not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from hashlib import sha256

DAY_S = 86_400
HOUR_S = 3_600
WEEK_S = 7 * DAY_S

# The street keeps Central European Time all year: a day of 23 hours would only blur what the summary
# compares.
UTC_OFFSET_S = 3_600

# 1970-01-01 was a Thursday, three days after a Monday.
_MONDAY_S = 3 * DAY_S


def dice(*labels: object) -> random.Random:
    """A generator of its own for these labels: the same labels give the same numbers on every machine.

    Hashed, so that neighbouring seeds and neighbouring days share nothing.
    """
    return random.Random(int.from_bytes(sha256("\x1f".join(map(str, labels)).encode()).digest(), "big"))


def local_hour(t: float) -> float:
    """Hours since local midnight, 0 <= h < 24, at the unix time `t`."""
    return ((t + UTC_OFFSET_S) % DAY_S) / HOUR_S


def weekday(t: float) -> int:
    """0 for a Monday ... 6 for a Sunday, local time, at the unix time `t`."""
    return int((t + UTC_OFFSET_S + _MONDAY_S) // DAY_S) % 7


def week_start(t: float, hour: int) -> int:
    """Unix time of the last Monday at `hour` o'clock local time that is not after `t`."""
    shift = UTC_OFFSET_S + _MONDAY_S - hour * HOUR_S
    return int((t + shift) // WEEK_S) * WEEK_S - shift


def by_hour(per_hour: Sequence[float]) -> Callable[[float], float]:
    """A rate in events an hour as a function of unix time, from 24 figures, one for each local hour."""
    return lambda t: per_hour[int(local_hour(t))]


def arrivals(
    rng: random.Random, rate: Callable[[float], float], highest: float, start: float, end: float
) -> list[float]:
    """Sorted times in [start, end) of a Poisson process of `rate(t)` events an hour, at most `highest`.

    By thinning: Lewis and Shedler, Simulation of nonhomogeneous Poisson processes by thinning, Naval Research
    Logistics Quarterly 26 (1979), 403-413, algorithm 1.
    """
    times = []
    t = start
    while (t := t + rng.expovariate(highest) * HOUR_S) < end:
        if rng.random() * highest < rate(t):
            times.append(t)
    return times
