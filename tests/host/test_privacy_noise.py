"""Proof that the sampler's distribution is the discrete Laplace: its tree, walked with exact fractions.

Three levels, each over the one below as an exact primitive: bits -> below, below -> bernoulli_exp, and both -> laplace.
In the last, r stands for exp(-1/t): what holds for several rational r, as an equation in r, holds for that one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import pytest

from borne_node.privacy import policy
from borne_node.privacy.noise import Sampler

HALF = Fraction(1, 2)
NEGLIGIBLE = Fraction(1, 2**60)
BOUND = Fraction(1, 2**40)
SCALES = [(1, 1), (2, 1), (1, 2), (3, 2), (5, 3), (2, 4)]  # t, s: sensitivity over epsilon


class Again(Exception):
    """The sampler began a new attempt: the rest of the tree is the tree."""


class Open(Exception):
    """This path is less likely than NEGLIGIBLE."""


class Walk:
    """Replays one path through the tree and notes the forks that were not taken."""

    def __init__(self, path: list[int]) -> None:
        self.path = path
        self.depth = 0
        self.mass = Fraction(1)
        self.forks: list[list[int]] = []

    def choose(self, chances: list[Fraction]) -> int:
        assert sum(chances) == 1
        if self.depth == len(self.path):
            taken = next(i for i, chance in enumerate(chances) if chance)
            self.forks += [[*self.path, i] for i in range(taken + 1, len(chances)) if chances[i]]
            self.path.append(taken)
        taken = self.path[self.depth]
        self.depth += 1
        self.mass *= chances[taken]
        if self.mass < NEGLIGIBLE:
            raise Open
        return taken


def distribution(program: Callable[[Walk], Any]) -> tuple[dict[Any, Fraction], Fraction]:
    """Probability of each outcome, and of the paths that were given up."""
    outcomes: dict[Any, Fraction] = defaultdict(Fraction)
    given_up = Fraction(0)
    todo: list[list[int]] = [[]]
    while todo:
        walk = Walk(todo.pop())
        try:
            outcome = program(walk)
        except Open:
            given_up += walk.mass
        except Again:
            outcomes[Again] += walk.mass
        else:
            outcomes[outcome] += walk.mass
        todo += walk.forks
    assert sum(outcomes.values()) + given_up == 1
    return outcomes, given_up


class OverBits(Sampler):
    def __init__(self, walk: Walk, count: int) -> None:
        self._bits = self._flip(walk, count)

    @staticmethod
    def _flip(walk: Walk, count: int) -> Iterator[int]:
        for _ in range(count):
            yield walk.choose([HALF, HALF])
        raise Again


class OverBernoulli(Sampler):
    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def bernoulli(self, top: int, bottom: int) -> bool:
        return self.walk.choose([1 - Fraction(top, bottom), Fraction(top, bottom)]) == 1


class OverExp(OverBernoulli):
    def __init__(self, walk: Walk, t: int, r: Fraction) -> None:
        super().__init__(walk)
        self.t, self.r = t, r
        self.begun = False

    def below(self, limit: int) -> int:
        if self.begun:
            raise Again
        self.begun = True
        return self.walk.choose([Fraction(1, limit)] * limit)

    def bernoulli_exp(self, top: int, bottom: int) -> bool:
        power = Fraction(top * self.t, bottom)
        assert power.denominator == 1
        chance = self.r ** int(power)
        return self.walk.choose([1 - chance, chance]) == 1


def exp_bounds(gamma: Fraction) -> tuple[Fraction, Fraction]:
    """exp(-gamma), 0 <= gamma <= 1, between two partial sums of its alternating series."""
    total, term = Fraction(0), Fraction(1)
    sums = []
    for n in range(1, 31):
        total += term
        term *= -gamma / n
        sums.append(total)
    return min(sums[-2:]), max(sums[-2:])


def attempt(t: int, s: int, r: Fraction, kind: type[OverExp] = OverExp) -> dict[Any, Fraction]:
    outcomes, _ = distribution(lambda walk: kind(walk, t, r).laplace(t, (s, 1)))
    return outcomes


def expected(t: int, s: int, r: Fraction, y: int) -> Fraction:
    """Chance that one attempt gives y: half of that of its size, which is (1-r^t)/t * sum of r^x over x // s = |y|."""
    return HALF * (1 - r**t) / t * sum(r**x for x in range(s * abs(y), s * abs(y) + s))


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
    outcomes = attempt(t, s, r)
    for y in range(-6, 7):
        assert outcomes[y] == expected(t, s, r, y)
        # And so neighbours differ by exactly r**s, which is exp(-epsilon / sensitivity).
        assert outcomes[abs(y) + 1] == outcomes[abs(y)] * r**s


@pytest.mark.parametrize("row", [row for row in policy.TABLE if row.epsilon], ids=lambda row: row.profile)
def test_the_policy_s_noise_to_two_to_the_minus_forty(row: policy.Row) -> None:
    t, s = row.sensitivity * row.epsilon[1], row.epsilon[0]
    for r in exp_bounds(Fraction(1, t)):
        outcomes = attempt(t, s, r)
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
def test_a_planted_fault_is_seen(fault: type[OverExp]) -> None:
    r = Fraction(2, 5)
    outcomes = attempt(2, 1, r, fault)
    assert any(outcomes[y] != expected(2, 1, r, y) for y in range(-6, 7))
