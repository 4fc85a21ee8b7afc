"""Released values of simulated streets, newest last: what the history coder is trained on, and (other seeds)
measured on.

Simulated throughout: waste containers fill in ramps by day and drop when emptied, kerb parking follows the day with
stays of one to two hours, people pass in two peaks, daylight spans five decades.
The gate's own steps are applied: 5 %, quarters, Laplace
noise, suppression below 11, one window for the night.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable

from borne_node.report.schema import BAY, FILL, LIGHT, LUX_BOUNDS, SUPPRESSED, ZONE

Row = tuple[object, ...] | None
_NO_BAYS = (None,) * 7
_NO_LAMP = (None,) * 3


def laplace(rng: random.Random, scale: float) -> int:
    """Discrete Laplace noise: the difference of two geometric numbers."""
    stay = math.exp(-1 / scale)
    return int(math.log(1 - rng.random()) / math.log(stay)) - int(math.log(1 - rng.random()) / math.log(stay))


def clamp(number: float, low: int, high: int) -> int:
    return max(low, min(high, round(number)))


def daily(hour: float, peak: float, width: float) -> float:
    return math.exp(-(((hour - peak) / width) ** 2))


def fill(rng: random.Random, days: int) -> list[Row]:
    level, rate, season = rng.uniform(0, 50), rng.uniform(4, 20), rng.uniform(0, 20)
    warmth, rows, ago = season, [], None
    for _ in range(days):
        warmth += rng.gauss(0, 1.2) + (season - warmth) / 5
        swing = rng.uniform(2, 6)
        for hour in range(2, 24, 4):
            level += rate / 6 * max(0, rng.gauss(1, 0.5)) * (1.6 if 8 <= hour < 22 else 0.3)
            if hour == 6 and (level > 100 or (level > 70 and rng.random() < 0.5)):
                level, ago = rng.uniform(0, 6), 0
            elif ago is not None:
                ago += 1
            celsius = round(warmth + swing * math.sin((hour - 9) / 12 * math.pi) + rng.gauss(0, 0.5))
            rows.append((5 * round(clamp(level, 0, 100) / 5), celsius, None, None, ago))
    return rows


def occupancy(rng: random.Random, days: int, a_day: int, stay: float) -> list[bool]:
    """One bay, `a_day` samples a day, mean stay in samples; busiest at 14h."""
    busy, taken, samples = rng.uniform(0.5, 0.9), False, []
    for n in range(days * a_day):
        level = busy * (0.2 + 0.8 * daily(n % a_day * 24 / a_day, 14, 5))
        taken = rng.random() > 1 / stay if taken else rng.random() < level / (1 - level) / stay
        samples.append(taken)
    return samples


def zone(rng: random.Random, days: int) -> list[Row]:
    bays = [occupancy(rng, days, 96, 6) for _ in range(8)]
    read = [8 if rng.random() > 0.001 else 7 for _ in range(days * 96)]
    return [
        (clamp(sum(now) + laplace(rng, 1), 0, 8), ok)
        for now, ok in zip(zip(*bays, strict=True), read, strict=True)
    ]


def bay(rng: random.Random, days: int) -> list[Row]:
    samples = occupancy(rng, days, 24 * 12, 18)
    return [(round(sum(samples[n : n + 12]) / 3), *_NO_BAYS) for n in range(0, len(samples), 12)]


def light(rng: random.Random, days: int) -> list[Row]:
    mean, rows = rng.uniform(10, 80), []
    for _ in range(days):
        cloud = rng.uniform(0.1, 1)
        for hour in range(6, 22):
            passages = mean * (0.3 + daily(hour, 17, 3) + 0.7 * daily(hour, 8, 1.5))
            triggers = clamp(rng.gauss(passages, passages**0.5), 0, 1020) + laplace(rng, 2)
            sun = max(0.0, math.sin((hour - 6) / 14 * math.pi))
            lux = 60_000 * sun**1.5 * cloud * rng.uniform(0.5, 1.2) + 12
            rows.append(
                (triggers if triggers >= 11 else SUPPRESSED, bisect_right(LUX_BOUNDS, lux), *_NO_LAMP)
            )
        night = clamp(rng.expovariate(1 / mean), 0, 1020) + laplace(rng, 2)
        rows.append((night if night >= 11 else SUPPRESSED, 3, *_NO_LAMP))
        rows += [None] * 7
    return rows


# Series and days: about as many windows of each kind.
KINDS: dict[int, tuple[Callable[[random.Random, int], list[Row]], int]] = {
    FILL: (fill, 240),
    ZONE: (zone, 20),
    BAY: (bay, 60),
    LIGHT: (light, 60),
}


def series(port: int, seeds: range) -> list[list[Row]]:
    """One street a seed: released values by window, oldest first, None where no window was."""
    make, days = KINDS[port]
    return [make(random.Random(seed), days) for seed in seeds]
