"""Eight virtual boards over LoRaWAN: real MicroPython, the whole firmware from its flash image, half a virtual day.

A board costs some 25 s of processor time a day, so the street of fifty over a week (lorawan_week.py) runs the same link
and drivers on CPython.
"""

from __future__ import annotations

import time
from typing import Any

from borne.virtual import street
from borne.virtual.street import Ended, Reported

SEED, NODES, DAYS = 7, 8, 0.5


def rows() -> list[dict[str, Any]]:
    began = time.perf_counter()
    events = list(street.play(seed=SEED, days=DAYS, count=NODES, link="lorawan"))
    seconds = time.perf_counter() - began
    ended = events[-1]
    if not isinstance(ended, Ended):
        raise RuntimeError("the street did not come to its end")
    radios = [line.radio for line in ended.summary.lines if line.radio]
    frames, heard = sum(one.frames for one in radios), sum(one.heard for one in radios)
    return [
        _row("reports decoded", sum(isinstance(one, Reported) for one in events), f"of {NODES} boards"),
        _row("joins", sum(one.joins for one in radios), f"by {NODES} boards"),
        _row("frames heard by a gateway", 100 * heard / frames, f"% of {frames}"),
        _row("frames against the law", len(ended.summary.broken), f"of {frames}"),
        _row("fullest hour of any board", 100 * max(one.duty for one in radios), "% of the law's limit"),
        _row("airtime of the busiest board", max(one.airtime_s for one in radios) / DAYS, "s a day"),
        _row("simulated", NODES * DAYS / seconds, "board days a second"),
    ]


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": f"LoRaWAN boards: {name}", "value": value, "unit": unit}
