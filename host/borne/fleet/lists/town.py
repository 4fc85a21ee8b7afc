"""Whether assets stand in their town: a box that the user gives, or the middle of all that are known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Final

from borne.errors import ListError

# The widest municipality of mainland France (Arles) measures 50 km across.
REACH_KM: Final = 50.0
# Below that, nobody knows which of them is the stray one.
_FEWEST: Final = 3
# Of a town about its assets, in degrees: some 10 km.
_ROOM: Final = 0.1
_KM_A_DEGREE: Final = 111.195  # of a great circle on a sphere of 6371 km

Place = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """Degrees; the box does not cross the 180th meridian."""

    south: float
    west: float
    north: float
    east: float

    def complaint(self, place: Place) -> str | None:
        """Why a place is refused, None when it is not."""
        if self.holds(place):
            return None
        hint = "; latitude and longitude are swapped" if self.holds((place[1], place[0])) else ""
        return f"{_written(place)} lies outside the town's box {self}{hint}"

    def holds(self, place: Place) -> bool:
        return self.south <= place[0] <= self.north and self.west <= place[1] <= self.east

    def __str__(self) -> str:
        return f"{self.south:g},{self.west:g},{self.north:g},{self.east:g}"


@dataclass(frozen=True)
class Around:
    """All within REACH_KM of the middle, which is the median of the places."""

    middle: Place

    def complaint(self, place: Place) -> str | None:
        distance = km(self.middle, place)
        if distance <= REACH_KM:
            return None
        if km(self.middle, (place[1], place[0])) <= REACH_KM:
            return f"{_written(place)}: latitude and longitude are swapped"
        return (
            f"{_written(place)} lies {distance:.0f} km from the middle of all assets ({_written(self.middle)}); "
            "where that is right, give the town's box with --box"
        )


# From Lisbon to Kyiv, from Crete to the North Cape.
_EUROPE: Final = Box(34.5, -11.0, 71.5, 32.0)


def box(text: str) -> Box:
    """A Box out of "SOUTH,WEST,NORTH,EAST" in degrees. Raises ListError."""
    try:
        south, west, north, east = (float(part) for part in text.split(","))
    except ValueError:
        raise ListError(
            "box: is not SOUTH,WEST,NORTH,EAST in degrees, such as 48.81,2.22,48.91,2.47"
        ) from None
    if not (-90 <= south < north <= 90 and -180 <= west < east <= 180):
        raise ListError(f"box: {text} is empty: it must be SOUTH,WEST,NORTH,EAST in degrees")
    return Box(south, west, north, east)


def around(places: Iterable[Place]) -> Around | None:
    """None where there are too few places to tell."""
    known = list(places)
    if len(known) < _FEWEST:
        return None
    return Around((median(place[0] for place in known), median(place[1] for place in known)))


def turned(places: Iterable[Place]) -> str | None:
    """A complaint where all places lie outside of Europe and would lie in it with latitude and longitude exchanged.

    A list whose columns are the wrong way round agrees with itself, so that no row of it is astray.
    """
    known = list(places)
    if not known or any(_EUROPE.holds(place) for place in known):
        return None
    if not all(_EUROPE.holds((place[1], place[0])) for place in known):
        return None
    south, north = (edge(place[0] for place in known) for edge in (min, max))
    west, east = (edge(place[1] for place in known) for edge in (min, max))
    right = Box(south - _ROOM, west - _ROOM, north + _ROOM, east + _ROOM)
    return (
        f"{_written(known[0])} ...: latitude and longitude of the whole list are swapped: exchange the two headers, "
        f"or say with --map which is which; where the town does lie there, say so with --box={right}"
    )


def km(one: Place, other: Place) -> float:
    """Distance on the ground, good to a percent within a few hundred km, and no less than large beyond."""
    north = one[0] - other[0]
    east = (one[1] - other[1] + 180) % 360 - 180
    return _KM_A_DEGREE * math.hypot(north, east * math.cos(math.radians((one[0] + other[0]) / 2)))


def _written(place: Place) -> str:
    return f"{place[0]:g}, {place[1]:g}"
