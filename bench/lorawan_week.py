"""A street of 50 LoRaWAN nodes over a virtual week: the node's own MAC and drivers on simulated chips, in one air.

Every report and every frame is counted by the outsider that the air is; the law is measured there and not by the nodes.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from lorawan_week import Street, play  # noqa: E402

SEED, NODES, DAYS = 7, 50, 7.0


def rows() -> list[dict[str, Any]]:
    began = time.perf_counter()
    street = play(SEED, NODES, DAYS)
    seconds = time.perf_counter() - began
    if street.errors:
        raise RuntimeError(street.errors[0])
    return [
        _row("reports delivered", 100 * street.delivery, "%"),
        _row("frames heard by a gateway", 100 * _sum(street, "heard") / _sum(street, "frames"), "%"),
        _row("joins", _sum(street, "joined"), f"by {NODES} nodes"),
        _row("frames against the law", len(street.broken), f"of {_sum(street, 'frames')}"),
        _row(
            "fullest hour of any node",
            100 * max(line.fullest for line in street.lines),
            "% of the law's limit",
        ),
        _row(
            "airtime of the busiest node",
            max(line.airtime_s for line in street.lines),
            "s a day, 30 is fair use",
        ),
        _row("airtime of a parking node, median", _of_kind(street, 0, "airtime_s"), "s a day"),
        _row("downlinks a node", street.downlinks / NODES / DAYS, "a day, 10 is fair use"),
        _row("at SF7 in the end", 100 * sum(line.sf == 7 for line in street.lines) / NODES, "% of the nodes"),
        *(
            _row(
                f"energy of a {kind} node without its sensor, median",
                _of_kind(street, place, "energy_mwh"),
                "mWh a day",
            )
            for place, kind in enumerate(("parking", "light", "fill"))
        ),
        _row("simulated", NODES * DAYS / seconds, "node days a second"),
    ]


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": f"LoRaWAN week: {name}", "value": value, "unit": unit}


def _sum(street: Street, field: str) -> int:
    return sum(getattr(line, field) for line in street.lines)


def _of_kind(street: Street, place: int, field: str) -> float:
    return median(getattr(line, field) for line in street.lines[place::3])
