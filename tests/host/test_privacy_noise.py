"""Proof that the sampler's distribution is the discrete Laplace: its tree, walked with exact fractions."""

from __future__ import annotations

from collections import Counter as Counted
from fractions import Fraction
from hashlib import sha256
from math import exp
from typing import Any

import opendp.prelude as dp
import pytest

from borne.privacy.attacks.enumeration import BOUND, Again, attempt, distribution, exp_bounds, levels, mass
from borne_node.privacy import policy
from borne_node.privacy.noise import Sampler

SCALES = [(1, 1), (2, 1), (1, 2), (3, 2), (5, 3), (2, 4)]  # t, s: sensitivity over epsilon
OverBits, OverBernoulli, OverExp = levels(Sampler)


@pytest.mark.parametrize("limit", [*range(1, 34), 240])
def test_below_is_exactly_uniform(limit: int) -> None:
    bits = (limit - 1).bit_length()
    outcomes, given_up = distribution(lambda walk: OverBits(walk, bits).below(limit))
    assert given_up == 0
    assert {outcomes[value] for value in range(limit)} == {Fraction(1, 2**bits)}
    assert set(outcomes) - {Again} == set(range(limit))


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 24, 120])
def test_bernoulli_is_exactly_its_fraction(limit: int) -> None:
    bits = (limit - 1).bit_length()
    for top in range(limit + 1):
        outcomes, _ = distribution(lambda walk, top=top: OverBits(walk, bits).bernoulli(top, limit))
        assert outcomes[True] / (outcomes[True] + outcomes[False]) == Fraction(top, limit)


@pytest.mark.parametrize(("top", "bottom"), [(0, 1), (1, 1), (1, 2), (2, 3), (4, 5)])
def test_bernoulli_exp_is_exp_to_two_to_the_minus_forty(top: int, bottom: int) -> None:
    outcomes, given_up = distribution(lambda walk: OverBernoulli(walk).bernoulli_exp(top, bottom))
    low, high = exp_bounds(Fraction(top, bottom))
    assert given_up < BOUND
    assert low - given_up <= outcomes[True] <= high


@pytest.mark.parametrize("r", [Fraction(1, 3), Fraction(2, 5), Fraction(3, 8)])
@pytest.mark.parametrize(("t", "s"), SCALES)
def test_laplace_is_exactly_the_mass_function(t: int, s: int, r: Fraction) -> None:
    outcomes = attempt(OverExp, t, s, r)
    for y in range(-6, 7):
        assert outcomes[y] == mass(t, s, r, y)
        # And so neighbours differ by exactly r**s, which is exp(-epsilon / sensitivity).
        assert outcomes[abs(y) + 1] == outcomes[abs(y)] * r**s


@pytest.mark.parametrize("row", [row for row in policy.TABLE if row.epsilon], ids=lambda row: row.profile)
def test_the_policy_s_noise_to_two_to_the_minus_forty(row: policy.Row) -> None:
    t, s = row.sensitivity * row.epsilon[1], row.epsilon[0]
    for r in exp_bounds(Fraction(1, t)):
        outcomes = attempt(OverExp, t, s, r)
        accepted = 1 - outcomes[Again]
        q = r**s
        for y in range(-30, 31):
            assert abs(outcomes[y] / accepted - (1 - q) / (1 + q) * q ** abs(y)) < BOUND
    low, high = exp_bounds(Fraction(1, t))
    assert high - low < BOUND


class ZeroTwice(OverExp):
    """The classic slip: -0 is not refused."""

    def laplace(self, sensitivity: int, epsilon: tuple[int, int]) -> int:
        self.restart = super().laplace
        try:
            return self.restart(sensitivity, epsilon)
        except Again:
            return 0


class OneTooMany(OverExp):
    def bernoulli_exp(self, top: int, bottom: int) -> bool:
        return super().bernoulli_exp(min(top + 1, bottom), bottom)


@pytest.mark.parametrize("fault", [ZeroTwice, OneTooMany])
def test_a_planted_fault_is_seen(fault: Any) -> None:
    r = Fraction(2, 5)
    outcomes = attempt(fault, 2, 1, r)
    assert any(outcomes[y] != mass(2, 1, r, y) for y in range(-6, 7))


DRAWS = 40_000


class Counter:
    """Bytes that repeat from run to run: SHA-256 in counter mode."""

    def __init__(self) -> None:
        self.count = 0

    def generate(self, size: int) -> bytes:
        self.count += 1
        return sha256(str(self.count).encode()).digest()[:size]


def chi_square(draws: list[int], chances: dict[int, float]) -> float:
    counts = Counted(draws)
    cells = [(counts[value], chance * len(draws)) for value, chance in chances.items()]
    rest = len(draws) - sum(found for found, _ in cells)
    cells.append((rest, (1 - sum(chances.values())) * len(draws)))
    return sum((found - expected) ** 2 / expected for found, expected in cells)


@pytest.mark.parametrize("row", [row for row in policy.TABLE if row.epsilon], ids=lambda row: row.profile)
def test_opendp_draws_the_same(row: policy.Row) -> None:
    """Ours and OpenDP's discrete Laplace, each against the mass function."""
    scale = row.sensitivity * row.epsilon[1] / row.epsilon[0]
    dp.enable_features("contrib")
    peer = dp.m.make_laplace(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=scale)
    source = Counter()
    # A sampler lives for one window: it takes what its generator gives for a few draws, never for thousands.
    ours = [Sampler(source.generate).laplace(row.sensitivity, row.epsilon) for _ in range(DRAWS)]
    theirs = [peer(0) for _ in range(DRAWS)]
    q = exp(-1 / scale)
    chances = {y: (1 - q) / (1 + q) * q ** abs(y) for y in range(-8, 9)}
    # 17 cells and the rest: chi-square of 17 degrees of freedom is beyond 58 less than once in a million.
    assert chi_square(ours, chances) < 58
    assert chi_square(theirs, chances) < 58
    wrong = {y: (1 - q * q) / (1 + q * q) * q ** (2 * abs(y)) for y in range(-8, 9)}
    assert chi_square(ours, wrong) > 58 and chi_square(theirs, wrong) > 58
