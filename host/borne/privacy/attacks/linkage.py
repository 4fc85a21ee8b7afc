"""Linkability: the same car under two nodes on two days; can frames be told to be of one car?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne.privacy.attacks.statistics import auc

LIMIT = 0.02
_SEED = 3
_OTHERS = 4
_WINDOW_BITS = 12

FIXED_SALT = (
    Patch(
        "sense/baseline.py",
        "return 1, max(0, min(100, (distance - _LEAVES) * 100 // _ARRIVES))",
        "import hashlib; mark = bytes(axis >> 5 & 255 for axis in self._fields); "
        "return 1, hashlib.sha256(b'salt of the day' + mark).digest()[0] % 60",
    ),
    Patch(
        "privacy/gate.py",
        "self._counts[8 + bay] += occupied is not None\n",
        "self._counts[8 + bay] += occupied is not None\n            self._counts[15] = reading.confidence[0]\n",
    ),
    Patch(
        "privacy/gate.py",
        "sum(read >= self._row.need for read in self._counts[8:])]",
        "self._counts[15]]",
    ),
)


def link(lab: Laboratory, vehicles: int) -> Finding:
    """The worst area under the ROC curve of four ways to compare two frames, same car against another car."""
    frames = [tuple(map(_bits, pair)) for pair in lab.run("vehicles", count=vehicles, seed=_SEED).told]
    ways = {name: auc(*_scores(frames, way)) for name, way in _WAYS.items()}
    worst = max(ways, key=lambda name: abs(ways[name] - 0.5))
    value = ways[worst]
    names = ", ".join(f"{n}: {name}" for n, name in enumerate(ways))
    return Finding(
        "linkage",
        "linkability",
        len(frames) * (1 + _OTHERS),
        "pairs of frames",
        f"AUC 0.50 +- {LIMIT}",
        0.5 + LIMIT,
        f"AUC {value:.3f} by {worst}",
        value,
        abs(value - 0.5) <= LIMIT and len(frames) >= vehicles,
        Plot(
            names,
            "AUC",
            (Series("measured", tuple((float(n), one) for n, one in enumerate(ways.values()))),),
            0.5 + LIMIT,
        ),
    )


def _bits(frame: str) -> int:
    """What a frame says beside the index of its window."""
    return int(frame, 16) & (1 << 4 * len(frame) - _WINDOW_BITS) - 1


_WAYS: dict[str, Callable[[int, int], float]] = {
    "equality": lambda a, b: float(a == b),
    "bits": lambda a, b: -(a ^ b).bit_count(),
    "first field": lambda a, b: -abs((a >> 6) - (b >> 6)),
    "second field": lambda a, b: -abs((a & 63) - (b & 63)),
}


def _scores(
    frames: list[tuple[int, ...]], way: Callable[[int, int], float]
) -> tuple[list[float], list[float]]:
    same = [way(here, there) for here, there in frames]
    return same, list(_of_others(frames, way))


def _of_others(frames: list[tuple[int, ...]], way: Callable[[int, int], float]) -> Iterator[float]:
    for n, (here, _) in enumerate(frames):
        for other in range(1, _OTHERS + 1):
            yield way(here, frames[(n + other) % len(frames)][1])
