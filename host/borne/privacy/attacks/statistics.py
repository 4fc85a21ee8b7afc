"""The few statistics that attacks need; checked in tests against tabulated values."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import exp, inf, lgamma, log, log1p

# Bisection of [0, 1] this often reaches the last bit of a float.
_HALVINGS = 60
# The fraction needs about the square root of a + b of them.
_TERMS = 20_000


def clopper_pearson(hits: int, trials: int, error: float) -> tuple[float, float]:
    """Bounds on a probability after `hits` of `trials`, each wrong with at most the chance `error`.

    Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934), 404-413.
    """
    low = 0.0 if hits == 0 else _solve(lambda p: beta(hits, trials - hits + 1, p), error)
    high = 1.0 if hits == trials else _solve(lambda p: beta(hits + 1, trials - hits, p), 1 - error)
    return low, high


def _solve(rising: Callable[[float], float], target: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
    # Lentz's method, modified: Thompson and Barnett, Journal of Computational Physics 64 (1986), 490-509.
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = fraction
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(fraction - before) < 1e-14 * fraction:
            break
    return front * fraction


def log_ratio_bound(hits: int, trials: int, other_hits: int, other_trials: int, error: float) -> float:
    """A lower bound on ln(p / q), wrong with at most `error`; -inf where nothing can be said."""
    low, _ = clopper_pearson(hits, trials, error / 2)
    _, high = clopper_pearson(other_hits, other_trials, error / 2)
    return log(low / high) if low > 0 else -inf


def auc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a positive scores above a negative, ties half: the area under the ROC curve."""
    ordered = sorted(negative)
    wins = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in positive)
    return wins / (2 * len(positive) * len(negative))
