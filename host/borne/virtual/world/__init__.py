"""A street that lives, with ground truth: every value is a pure function of (seed, asset, time).

Times are unix seconds (UTC). What happened on the street is computed, never stored, so that any window of any
day can be asked for in any order, and two runs with one seed see the same street.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from borne.virtual.world.container import MONDAY_WEDNESDAY_FRIDAY, TUESDAY_THURSDAY_SATURDAY, Container
from borne.virtual.world.light import LampPost
from borne.virtual.world.parking import ParkingRow

__all__ = ["MOST_ASSETS", "START", "Asset", "Container", "LampPost", "ParkingRow", "assets"]

Asset = ParkingRow | LampPost | Container

# 2027-03-15 03:00 UTC, a Monday at four in the morning near the equinox: the sweeper has just emptied the
# bays, as the instruction for installing a parking node asks, and dusk falls at a waking hour. Later than any
# build of the firmware that this release can have, which a node takes as the earliest time it believes.
START = 1_805_079_600

MOST_ASSETS = 50

# The first row is of eight bays, where counting people in a crowd works best; then every size a node can
# have.
_BAYS = (8, 4, 6, 1, 5, 2, 7, 3)


def assets(seed: int, count: int) -> tuple[Asset, ...]:
    """The first `count` assets along the street: parking, light, fill, and again."""
    numbered = zip(range(1, count + 1), _bays(), strict=False)
    return tuple(_asset(seed, number, bays) for number, bays in numbered)


def _bays() -> Iterator[int]:
    for bays in cycle(_BAYS):
        yield from (bays, bays, bays)


def _asset(seed: int, number: int, bays: int) -> Asset:
    place = f"{number} rue des Lilas"
    if number % 3 == 1:
        return ParkingRow(seed, f"parking-{number:02d}", place, bays)
    if number % 3 == 2:
        return LampPost(seed, f"light-{number:02d}", place)
    side = MONDAY_WEDNESDAY_FRIDAY if number % 2 else TUESDAY_THURSDAY_SATURDAY
    return Container(seed, f"fill-{number:02d}", place, emptied_on=side)
