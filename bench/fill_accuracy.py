"""How far off a fill level is where echoes go astray, against a single ping and against the median of five.

Each scene gives, ping by ping, what an ultrasonic ranger hears in a container 1200 mm deep: the shares are assumed,
harsh ones. drop: condensation on the sensor answers from 40 to 90 mm; wall: a rib half way; heap: the beam finds a
slope, 60 mm (deviation) around; again: twice there and back; nothing: no echo.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

DEPTH, OFFSET = 1200, 100
READINGS = 4000

# Share of pings by what they find; the rest is the surface.
SCENES: dict[str, dict[str, float]] = {
    "clean": {},
    "condensation": {"drop": 0.3, "nothing": 0.1},
    "wall echo": {"wall": 0.3, "again": 0.05},
    "slanted heap": {"heap": 0.7, "nothing": 0.1},
    "all of it": {"drop": 0.12, "wall": 0.12, "heap": 0.2, "again": 0.05, "nothing": 0.1},
}


class Ranger:
    name, celsius = "scene", None

    def __init__(self, rng: random.Random, shares: dict[str, float], surface: float) -> None:
        self._rng, self._surface = rng, surface
        self._what, self._weights = list(shares), list(shares.values())
        self._rib = OFFSET + DEPTH * rng.uniform(0.1, 0.9)

    def start(self) -> None:
        pass

    stop = start

    def ping(self) -> int:
        from borne_node.errors import SensorFault

        rest = 1 - sum(self._weights)
        what = self._rng.choices([*self._what, "surface"], [*self._weights, rest])[0]
        heard = {
            "drop": self._rng.uniform(40, 90),
            "wall": min(self._rib, self._surface),
            "heap": self._surface + self._rng.gauss(0, 60),
            "again": 2 * self._surface,
            "nothing": 5000.0,
            "surface": self._surface,
        }[what]
        found = round(heard + self._rng.gauss(0, 4))
        if not 30 <= found <= 4500:
            raise SensorFault(self.name, "out of range")
        return found


def _filtered(ranger: Ranger) -> int:
    from borne_node.sense import echo

    return int(echo.distance(ranger, OFFSET + DEPTH + 131, OFFSET))


def _median(ranger: Ranger) -> int:
    """Of five pings, two of which may fail."""
    from borne_node.errors import SensorFault

    good: list[int] = []
    for _ in range(5):
        try:
            good.append(ranger.ping())
        except SensorFault:
            continue
    if len(good) < 3:
        raise SensorFault(ranger.name, "out of range")
    return sorted(good)[len(good) // 2]


def right(scene: str, way: Callable[[Ranger], int], readings: int = READINGS) -> tuple[float, float]:
    """Of readings that are right to 5 points of level, and of those that are faults: percent each."""
    from borne_node.errors import SensorFault

    rng = random.Random(scene)
    good = faults = 0
    for _ in range(readings):
        surface = OFFSET + DEPTH * rng.uniform(0.0, 1.0)
        try:
            found = way(Ranger(rng, SCENES[scene], surface))
        except SensorFault:
            faults += 1
            continue
        good += abs(found - surface) <= 0.05 * DEPTH
    return 100 * good / readings, 100 * faults / readings


def rows() -> list[dict[str, Any]]:
    found = []
    for scene in SCENES:
        ours, faults = right(scene, _filtered)
        median, _ = right(scene, _median)
        found.append(
            {
                "name": f"fill, {scene}: readings right to 5 points",
                "value": ours,
                "unit": "%",
                "peer": "median of five",
                "peer_value": median,
                "ratio": ours / median,
            }
        )
        found.append(
            {
                "name": f"fill, {scene}: readings that are a fault",
                "value": faults,
                "unit": "%",
                "peer": None,
                "peer_value": None,
                "ratio": None,
            }
        )
    return found
