"""The sampler, white box: its tree enumerated with exact fractions, against the mass function it claims."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from math import log2
from typing import Any

from borne.privacy.attacks.enumeration import (
    BOUND,
    Again,
    Walk,
    attempt,
    distribution,
    exp_bounds,
    levels,
    mass,
)
from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne_node.privacy import policy

# Rational stand-ins for exp(-1/t); an equation in r that holds for three holds for the three real ones as well as can
# be told, and the real one is bracketed on its own.
_BASES = (Fraction(1, 3), Fraction(2, 5), Fraction(3, 8))
_UNIFORM = (2, 3, 6, 24, 240)
_SHOWN = 6

FLOAT_LAPLACE = Patch(
    "privacy/noise.py",
    "        t, s = sensitivity * epsilon[1], epsilon[0]\n",
    "        import math\n\n"
    "        t, s = sensitivity * epsilon[1], epsilon[0]\n"
    "        u = (self.below(64) + 0.5) / 64 - 0.5\n"
    "        return int(round(math.copysign(t / s * math.log(1 - 2 * abs(u)), u)))\n",
)


def enumerate_tree(lab: Laboratory, widest: int) -> Finding:
    """`widest`: outcomes -widest..widest are compared, and each with its neighbour for the ratio."""
    over = levels(lab.load("privacy/noise.py").Sampler)
    gaps = [
        *_uniform_gaps(over.bits),
        *_exp_gaps(over.bernoulli),
        *(gap for row in _noisy() for gap in _laplace_gaps(over.exp, row, widest)),
    ]
    worst = float(max(gaps))
    row = next(_noisy())
    return Finding(
        "sampler, white box",
        "inference",
        len(gaps),
        "exact comparisons",
        "equal to the mass function to 2^-40; neighbours' ratio exactly e^epsilon",
        float(BOUND),
        "equal" if worst == 0 else f"largest deviation 2^{log2(worst):.1f}",
        worst,
        worst < BOUND,
        Plot("noise", "probability", tuple(_curves(over.exp, row)), None),
        (f"profiles {', '.join(row.profile for row in _noisy())}",),
    )


def _noisy() -> Iterator[Any]:
    table: Any = policy.TABLE
    return (row for row in table if row.epsilon)


def _scale(row: Any) -> tuple[int, int]:
    return row.sensitivity * row.epsilon[1], row.epsilon[0]


def _uniform_gaps(over_bits: Any) -> Iterator[Fraction]:
    for limit in _UNIFORM:
        bits = (limit - 1).bit_length()
        outcomes, _ = distribution(partial(_below, over_bits, bits, limit))
        for value in range(limit):
            yield abs(outcomes.get(value, Fraction(0)) - Fraction(1, 2**bits))


def _exp_gaps(over_bernoulli: Any) -> Iterator[Fraction]:
    for top, bottom in ((0, 1), (1, 1), (1, 2)):
        tree = partial(_bernoulli_exp, over_bernoulli, top, bottom)
        outcomes, given_up = distribution(tree)
        low, high = exp_bounds(Fraction(top, bottom))
        yield max(low - given_up - outcomes.get(True, 0), outcomes.get(True, 0) - high, Fraction(0))


def _below(over_bits: Any, bits: int, limit: int, walk: Walk) -> Any:
    return over_bits(walk, bits).below(limit)


def _bernoulli_exp(over_bernoulli: Any, top: int, bottom: int, walk: Walk) -> Any:
    return over_bernoulli(walk).bernoulli_exp(top, bottom)


def _laplace_gaps(over_exp: Any, row: Any, widest: int) -> Iterator[Fraction]:
    t, s = _scale(row)
    for r in _BASES:
        outcomes = attempt(over_exp, t, s, r)
        for y in range(-widest, widest + 1):
            here = outcomes.get(y, Fraction(0))
            yield abs(here - mass(t, s, r, y))
            yield abs(outcomes.get(abs(y) + 1, Fraction(0)) - outcomes.get(abs(y), Fraction(0)) * r**s)
    for r in exp_bounds(Fraction(1, t)):
        outcomes = attempt(over_exp, t, s, r)
        accepted = 1 - outcomes.get(Again, Fraction(0))
        q = r**s
        for y in range(-widest, widest + 1):
            yield abs(outcomes.get(y, Fraction(0)) / accepted - (1 - q) / (1 + q) * q ** abs(y))


def _curves(over_exp: Any, row: Any) -> Iterator[Series]:
    t, s = _scale(row)
    r, _ = exp_bounds(Fraction(1, t))
    outcomes = attempt(over_exp, t, s, r)
    accepted = 1 - outcomes.get(Again, Fraction(0))
    q = r**s
    across = range(-_SHOWN, _SHOWN + 1)
    yield Series("enumerated", tuple((float(y), float(outcomes.get(y, 0) / accepted)) for y in across))
    yield Series("claimed", tuple((float(y), float((1 - q) / (1 + q) * q ** abs(y))) for y in across))
