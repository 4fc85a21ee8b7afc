"""Inference: what frames tell of one vehicle or passage more, measured on neighbouring streets, through real bytes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from math import sqrt, tanh
from typing import Any, NamedTuple

from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne.privacy.attacks.statistics import log_ratio_bound
from borne_node.privacy import policy

# One chance in a thousand that a build which keeps its promise is accused.
_ERROR = 0.001
# What the release threshold hides, in the histogram; below every number.
_HIDDEN = -1
_SEED = 20_170_208
# The firmware carries no annotations: this is the type of what is called.
_row: Callable[[str, str], Any] = policy.row


class Pair(NamedTuple):
    """Counts of two streets that differ by one unit of the policy: a vehicle, or a passage with its two triggers."""

    kind: str
    profile: str
    fewer: int
    more: int

    @property
    def epsilon(self) -> float:
        over, under = _row(self.kind, self.profile).epsilon
        return float(over / under)

    def __str__(self) -> str:
        return f"{self.profile} {self.fewer}/{self.more}"


# A node watches at most eight bays, so fifty is for the light's count; ten and twelve lie about its threshold.
PAIRS = (
    Pair("parking", "zone", 0, 1),
    Pair("parking", "zone", 1, 2),
    Pair("parking", "zone", 5, 6),
    Pair("light", "light", 10, 12),
    Pair("light", "light", 50, 52),
)

DOUBLE_SENSITIVITY = Patch(
    "privacy/gate.py",
    "taken = sum(2 * ones > slots for ones in self._counts[:8])",
    "taken = 2 * sum(2 * ones > slots for ones in self._counts[:8])",
)
NO_NOISE = Patch("privacy/gate.py", "min(count, top) + self._noise[n]", "min(count, top)")

Histogram = dict[int, int]


def epsilon(lab: Laboratory, draws: int) -> Finding:
    """The largest epsilon that the frames prove, by Clopper-Pearson bounds on every threshold event.

    `draws`: frames for each count. Bonferroni over the events of a pair and over the pairs.
    """
    found = streets(lab, draws)
    proven = {pair: _proven(found, pair) for pair in PAIRS}
    worst = max(PAIRS, key=lambda pair: proven[pair] - pair.epsilon)
    bars = tuple((float(n), proven[pair]) for n, pair in enumerate(PAIRS))
    names = ", ".join(f"{n}: {pair}" for n, pair in enumerate(PAIRS))
    return Finding(
        "sampler, black box",
        "inference",
        draws * len(found),
        "frames",
        f"99.9 % lower bound on epsilon <= {worst.epsilon:g}",
        worst.epsilon,
        f"epsilon >= {proven[worst]:.3f} at {worst}",
        proven[worst],
        all(proven[pair] <= pair.epsilon for pair in PAIRS),
        Plot(f"neighbouring counts ({names})", "epsilon proven", (Series("measured", bars),), worst.epsilon),
    )


def membership(lab: Laboratory, draws: int) -> Finding:
    """Advantage of the best likelihood-ratio test for one unit more: learnt on half the frames, tried on the rest."""
    found = streets(lab, draws)
    tried = {pair: _advantage(found, pair) for pair in PAIRS}
    worst = max(PAIRS, key=lambda pair: tried[pair] - tanh(pair.epsilon / 2))
    limit = tanh(worst.epsilon / 2) + 0.01
    # Two proportions of half the draws: what is beyond three standard errors is no chance.
    slack = 3 * sqrt(0.5 / (draws / 2))
    bars = tuple((float(n), tried[pair]) for n, pair in enumerate(PAIRS))
    return Finding(
        "membership",
        "inference",
        draws * len(found),
        "frames",
        f"advantage <= tanh(epsilon/2) + 0.01 = {limit:.3f}",
        limit,
        f"advantage {tried[worst]:.3f} (+-{slack:.3f}) at {worst}",
        tried[worst],
        all(tried[pair] - slack <= tanh(pair.epsilon / 2) + 0.01 for pair in PAIRS),
        Plot("neighbouring counts, as above", "advantage", (Series("measured", bars),), limit),
        (f"three standard errors of {slack:.3f} are allowed for",),
    )


@lru_cache(maxsize=8)
def streets(lab: Laboratory, draws: int) -> dict[tuple[str, str, int], tuple[Histogram, Histogram]]:
    """For each count two independent halves of what was released, {value: how often}."""
    counts = sorted({(p.kind, p.profile, count) for p in PAIRS for count in (p.fewer, p.more)})
    tasks = [(*each, half) for each in counts for half in (0, 1)]

    def draw(task: tuple[str, str, int, int]) -> Histogram:
        kind, profile, count, half = task
        seed = _SEED + 1000 * half + count
        given: dict[str, Any] = {
            "kind": kind,
            "profile": profile,
            "count": count,
            "windows": draws // 2,
            "seed": seed,
        }
        (told,) = lab.run("windows", **given).told
        return {_HIDDEN if name == "hidden" else int(name): times for name, times in told.items()}

    with ThreadPoolExecutor(2) as pool:
        drawn = dict(zip(tasks, pool.map(draw, tasks), strict=True))
    return {each: (drawn[(*each, 0)], drawn[(*each, 1)]) for each in counts}


def _both(
    found: dict[tuple[str, str, int], tuple[Histogram, Histogram]], pair: Pair, count: int
) -> Histogram:
    first, second = found[(pair.kind, pair.profile, count)]
    return {value: first.get(value, 0) + second.get(value, 0) for value in {*first, *second}}


def _proven(found: dict[tuple[str, str, int], tuple[Histogram, Histogram]], pair: Pair) -> float:
    one, other = _both(found, pair, pair.fewer), _both(found, pair, pair.more)
    events = _events(sorted({*one, *other}))
    error = _ERROR / (2 * len(events) * len(PAIRS))
    bounds = []
    for low, high in events:
        here, there = _hits(one, low, high), _hits(other, low, high)
        bounds.append(log_ratio_bound(here, sum(one.values()), there, sum(other.values()), error))
        bounds.append(log_ratio_bound(there, sum(other.values()), here, sum(one.values()), error))
    return max(0.0, *bounds)


def _events(values: list[int]) -> list[tuple[int, int]]:
    """Every event "at most" and "at least" a value."""
    return [(values[0], value) for value in values] + [(value, values[-1]) for value in values]


def _hits(histogram: Histogram, low: int, high: int) -> int:
    return sum(times for value, times in histogram.items() if low <= value <= high)


def _advantage(found: dict[tuple[str, str, int], tuple[Histogram, Histogram]], pair: Pair) -> float:
    (learn_one, try_one), (learn_other, try_other) = (
        found[(pair.kind, pair.profile, count)] for count in (pair.fewer, pair.more)
    )
    values = {*learn_one, *learn_other, *try_one, *try_other}
    says_more = {value for value in values if learn_other.get(value, 0) > learn_one.get(value, 0)}
    right = sum(try_other.get(value, 0) for value in says_more) / sum(try_other.values())
    wrong = sum(try_one.get(value, 0) for value in says_more) / sum(try_one.values())
    return right - wrong
