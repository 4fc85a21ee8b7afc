"""How far off lux is, of simulated chips within the tolerance of their datasheets, from moonlight to full sun."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "fakes"), str(ROOT / "host" / "borne" / "virtual")]

CHIPS = {"veml7700": "VEML7700", "bh1750": "BH1750"}
READINGS = 240
# By what is around the post: a starlit street, a lamp's light, a day, the sun on the sensor. In lux.
SCENES = {
    "night, dark": (1, 5),
    "night, lamp": (5, 100),
    "day": (100, 20_000),
    "full sun": (20_000, 54_000),
}


def read(name: str, scene: str) -> tuple[float, float, float]:
    """Of readings spread evenly over the scene's decades: the worst and the mean error, and how many are of the right
    class (report.schema.LUX_BOUNDS), all in percent.
    """
    from bus import FakeI2C
    from clock import FakeClock

    from borne_node.report import schema

    silicon = getattr(__import__(f"silicon.{name}", fromlist=[""]), CHIPS[name])
    driver = getattr(__import__(f"borne_node.chips.{name}", fromlist=[""]), CHIPS[name])
    low, high = SCENES[scene]
    errors, right = [], 0
    for n in range(READINGS):
        lux = low * math.exp(math.log(high / low) * n / READINGS)
        clock = FakeClock()
        chip = silicon(lambda t, lux=lux: lux, n + 1)
        found = driver(FakeI2C([chip], clock), clock).read()
        errors.append(100 * abs(found - lux) / lux)
        right += schema.lux_class(int(found + 0.5)) == schema.lux_class(int(lux + 0.5))
    return max(errors), sum(errors) / READINGS, 100 * right / READINGS


def rows() -> list[dict[str, Any]]:
    found = []
    for name in CHIPS:
        for scene in SCENES:
            worst, mean, right = read(name, scene)
            for what, value in (("worst error", worst), ("mean error", mean), ("right class", right)):
                row = {"name": f"light, {name}, {scene}: {what}", "value": value, "unit": "%"}
                found.append(row | {"peer": None, "peer_value": None, "ratio": None})
    return found
