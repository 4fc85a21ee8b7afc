"""The ten attacks in one table: how big each is, and the faults that must turn it red.

The short form is what every push can afford; the long form is `make privacy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from borne.privacy.attacks import (
    chances,
    cuts,
    departures,
    drift,
    inference,
    leak,
    linkage,
    sampler,
    traffic,
)
from borne.privacy.attacks.finding import Finding
from borne.privacy.attacks.laboratory import Laboratory, Patch


@dataclass(frozen=True)
class Fault:
    """A planted fault, and the smallest size of the attack that is known to see it."""

    name: str
    patches: tuple[Patch, ...]
    size: int


@dataclass(frozen=True)
class Attack:
    """`short`, `long`: the size handed to `run`, in the unit that the attack's own docstring names."""

    name: str
    run: Callable[[Laboratory, int], Finding]
    short: int
    long: int
    faults: tuple[Fault, ...]


# 10^5 frames in all nine streets on each push, and 10^6 in each of them in the long form.
_DRAWS, _MANY_DRAWS = 11_200, 1_000_000

ATTACKS = (
    Attack(
        "leak",
        leak.leak,
        6,
        1_000,
        (
            Fault("a build that prints a sample", leak.PRINTS_A_SAMPLE, 4),
            Fault("a build that prints exceptions", leak.PRINTS_AN_EXCEPTION, 4),
        ),
    ),
    Attack(
        "white box", sampler.enumerate_tree, 12, 30, (Fault("float Laplace", (sampler.FLOAT_LAPLACE,), 6),)
    ),
    Attack(
        "black box",
        inference.epsilon,
        _DRAWS,
        _MANY_DRAWS,
        (Fault("sensitivity 2 instead of 1", (inference.DOUBLE_SENSITIVITY,), 950),),
    ),
    Attack("linkage", linkage.link, 2_000, 10_000, (Fault("a fixed daily salt", linkage.FIXED_SALT, 200),)),
    Attack(
        "membership",
        inference.membership,
        _DRAWS,
        _MANY_DRAWS,
        (Fault("no noise", (inference.NO_NOISE,), 950),),
    ),
    Attack(
        "departures",
        departures.every_profile,
        28,
        140,
        (Fault("a stream of every minute, bay by bay", departures.ONE_MINUTE_STREAM, 14),),
    ),
    Attack(
        "traffic", traffic.schedule, 26, 24 * 7, (Fault("event-driven sending", (traffic.EVENT_DRIVEN,), 6),)
    ),
    Attack(
        "randomness",
        chances.randomness,
        20,
        26,
        (
            Fault("the 32-bit generator", chances.SMALL_GENERATOR, 18),
            Fault("a source that nobody tests", chances.UNTESTED_SOURCE, 18),
        ),
    ),
    Attack("power cuts", cuts.power, 40, 10_000, (Fault("send, then debit", cuts.SEND_THEN_DEBIT, 10),)),
    Attack(
        "drift", drift.drift, 26, 24 * 7, (Fault("a field without an entry", drift.UNDESCRIBED_FIELD, 3),)
    ),
)


def run(folder: Path, long: bool, tell: Callable[[str], None]) -> Iterator[Finding]:
    """Every attack on the firmware as it stands, in the order of the table."""
    lab = Laboratory(folder / "firmware")
    for attack in ATTACKS:
        tell(attack.name)
        yield attack.run(lab, attack.long if long else attack.short)


def run_faults(folder: Path, tell: Callable[[str], None]) -> Iterator[tuple[str, str, Finding]]:
    """(attack, fault, what the attack finds in a build that has it): all of them must be broken."""
    for attack in ATTACKS:
        for n, fault in enumerate(attack.faults):
            tell(f"{attack.name}, {fault.name}")
            lab = Laboratory(folder / f"{attack.name}-{n}".replace(" ", "-"), fault.patches)
            yield attack.name, fault.name, attack.run(lab, fault.size)
