"""The tree of a sampler, walked with exact fractions.

Three levels, each over the one below as an exact primitive: bits -> below, below -> bernoulli_exp, and both -> laplace.
In the last, r stands for exp(-1/t): what holds for several rational r, as an equation in r, holds for that one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

HALF = Fraction(1, 2)
NEGLIGIBLE = Fraction(1, 2**60)
BOUND = Fraction(1, 2**40)
_TERMS = 31  # of the series of exp: the last is below 2**-110


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
        if sum(chances) != 1:
            raise ArithmeticError(f"chances {chances} do not add up to one")
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
    """Probability of each outcome, and of the paths that were given up; they add up to one."""
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
    return outcomes, given_up


class Levels(NamedTuple):
    """A sampler's class with the level below each of its draws replaced by exact chances."""

    bits: Any
    bernoulli: Any
    exp: Any


def levels(sampler: Any) -> Levels:
    """`sampler`: borne_node.privacy.noise.Sampler of any tree."""

    class OverBits(sampler):  # type: ignore[misc]
        def __init__(self, walk: Walk, count: int) -> None:
            self._bits = self._flip(walk, count)

        @staticmethod
        def _flip(walk: Walk, count: int) -> Iterator[int]:
            for _ in range(count):
                yield walk.choose([HALF, HALF])
            raise Again

    class OverBernoulli(sampler):  # type: ignore[misc]
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
            if power.denominator != 1:
                raise ArithmeticError(f"exp(-{top}/{bottom}) is no power of exp(-1/{self.t})")
            chance = self.r ** int(power)
            return self.walk.choose([1 - chance, chance]) == 1

    return Levels(OverBits, OverBernoulli, OverExp)


def exp_bounds(gamma: Fraction) -> tuple[Fraction, Fraction]:
    """exp(-gamma), 0 <= gamma <= 1, between two partial sums of its alternating series."""
    total, term = Fraction(0), Fraction(1)
    sums = []
    for n in range(1, _TERMS):
        total += term
        term *= -gamma / n
        sums.append(total)
    return min(sums[-2:]), max(sums[-2:])


def attempt(over_exp: Any, t: int, s: int, r: Fraction) -> dict[Any, Fraction]:
    """One attempt of laplace(t, (s, 1)): the chance of each outcome, and of Again."""
    outcomes, _ = distribution(lambda walk: over_exp(walk, t, r).laplace(t, (s, 1)))
    return outcomes


def mass(t: int, s: int, r: Fraction, y: int) -> Fraction:
    """Chance that one attempt gives y: half of that of its size, which is (1-r^t)/t * sum of r^x over x // s = |y|."""
    return HALF * (1 - r**t) / t * sum(r**x for x in range(s * abs(y), s * abs(y) + s))
