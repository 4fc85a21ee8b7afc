"""Released values of the virtual street, for the history coder: a street made apart from that of decoding_series."""

from __future__ import annotations

import random
from bisect import bisect_right

from bench.decoding_series import Row, clamp, laplace

from borne.virtual.world.container import Container
from borne.virtual.world.light import LampPost
from borne.virtual.world.parking import ParkingRow, temperature
from borne_node.report.schema import BAY, FILL, LIGHT, LUX_BOUNDS, SUPPRESSED, ZONE

_START = 1_772_323_200  # 2026-03-01 00:00 UTC
_DAY = 86_400
_REFRACTORY_S = 30


def fill(seed: int, days: int) -> list[Row]:
    """The street's air is the same every day; without a weather its entropy would be that of a clock."""
    bin_, rng, warmer = Container(seed, f"bin-{seed}", ""), random.Random(seed), 0.0
    rows: list[Row] = []
    emptied = bin_.emptied(_START - 14 * _DAY, _START + days * _DAY)
    for t in range(_START, _START + days * _DAY, 14_400):
        warmer += rng.gauss(0, 0.5) - warmer / 30
        celsius = round(temperature(t) + warmer + rng.gauss(0, 0.5))
        rows.append((5 * round(bin_.level(t) / 5), celsius, None, None, _ago(emptied, t)))
    return rows


def _ago(emptied: list[float], t: int) -> int | None:
    """Windows since the truck came, of the window that ends at `t`."""
    before = bisect_right(emptied, t)
    return (t - 1) // 14_400 - int(emptied[before - 1]) // 14_400 if before else None


def zone(seed: int, days: int) -> list[Row]:
    row, rng = ParkingRow(seed, f"row-{seed}", ""), random.Random(seed)
    times = range(_START, _START + days * _DAY, 900)
    return [(clamp(row.occupied_count(t) + laplace(rng, 1), 0, 8), 8) for t in times]


def bay(seed: int, days: int) -> list[Row]:
    row = ParkingRow(seed, f"row-{seed}", "", bays=1)
    times = range(_START, _START + days * _DAY, 3600)
    return [(round(4 * row.occupied_share(0, t, t + 3600)), *(None,) * 7) for t in times]


def light(seed: int, days: int) -> list[Row]:
    post, rng = LampPost(seed, f"post-{seed}", ""), random.Random(seed)
    rows: list[Row] = []
    for midnight in range(_START, _START + days * _DAY, _DAY):
        for hour in range(6, 23):
            start = midnight + hour * 3600
            length = 3600 if hour < 22 else 8 * 3600  # 22h to 6h is one window
            noised = clamp(post.presences(start, start + length, _REFRACTORY_S) + laplace(rng, 2), 0, 1020)
            lux = bisect_right(LUX_BOUNDS, post.lux(start + length / 2))
            rows.append((noised if noised >= 11 else SUPPRESSED, lux, None, None, None))
        rows += [None] * 7
    return rows


def street(port: int, seeds: range) -> list[list[Row]]:
    """One node a seed: released values by window, oldest first, None where no window was."""
    make, days = {FILL: (fill, 90), ZONE: (zone, 14), BAY: (bay, 42), LIGHT: (light, 28)}[port]
    return [make(seed, days) for seed in seeds]
