"""How often a parking node is right: whole weeks of a disturbed street, the real driver and the simulated chip.

A node reads each bay every five minutes, sleeps between and keeps its state, as app.py has it. The street is that of
borne.virtual.world: dipole cars on all bays (so neighbours couple), 20 K of daily swing, trams, steps of remanence,
and the noise of the chip's datasheet. A reading is right if it says what stands in the bay. A false change is a
reading that differs from the one before, and is wrong, while nothing changed in the bay.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "fakes"), str(ROOT / "host" / "borne" / "virtual")]

PERIOD_S = 300
WEEK_S = 7 * 86400
# A Wednesday noon in the world's first week: cars stand in most bays.
BUSY = 1_805_079_600 + 2 * 86400 + 9 * 3600


@dataclass
class Score:
    bays: int
    days: float
    readings: int = 0
    right: int = 0
    unread: int = 0
    false_changes: int = 0

    @property
    def accuracy(self) -> float:
        return 100 * self.right / self.readings

    @property
    def false_per_week(self) -> float:
        return self.false_changes / self.bays / self.days * 7


def run(
    sensor: str,
    bays: int,
    start: int,
    days: float,
    seed: int,
    *,
    tram_m: float = 8.0,
    truth_of: int | None = None,
) -> Score:
    """One node from `start` (unix seconds) on. `truth_of`: judge it by the street of that seed instead."""
    from bus import FakeBoard, FakeI2C
    from clock import FakeClock
    from silicon.mmc5603 import MMC5603
    from silicon.qmc5883l import QMC5883L
    from silicon.tca9548a import TCA9548A

    from borne.virtual.world import ParkingRow
    from borne.virtual.world.magnetic import Disturbed
    from borne_node import sense

    row = ParkingRow(seed, f"row {seed}", "somewhere", bays)
    street = Disturbed(row, tram_m)
    kind = {"qmc5883l": QMC5883L, "mmc5603": MMC5603}[sensor]
    chips = [kind(lambda t, bay=bay: street.field(bay, t), seed * 16 + bay + 1) for bay in range(bays)]
    clock = FakeClock(start)
    bus = FakeI2C(chips if bays == 1 else [TCA9548A([[chip] for chip in chips])], clock)
    board = FakeBoard(clock, i2c=bus)
    settings = {"kind": "parking", "bays": bays, "sensor": sensor}
    state = None
    before: list[tuple[int | None, bool]] = [(None, False)] * bays
    score = Score(bays, days)
    judge = row if truth_of is None else ParkingRow(truth_of, f"row {truth_of}", "elsewhere", bays)
    while clock.now() < start + days * 86400:
        node = sense.build(settings, board, state)
        reading = node.read(clock.now())
        state = node.state()
        for bay, said in enumerate(reading.occupied):
            truth = judge.occupied(bay, clock.now())
            was, was_true = before[bay]
            before[bay] = (said, truth)
            score.readings += 1
            score.right += said == truth
            score.unread += said is None
            score.false_changes += was is not None and said != was and said != truth and truth == was_true
        clock.sleep_ms(PERIOD_S * 1000 - clock.slept_ms % (PERIOD_S * 1000))
    return score


SCENES = (
    ("8 bays, empty at the start", "qmc5883l", 8, 0),
    ("8 bays, cars at the start", "qmc5883l", 8, 1),
    ("1 bay, car at the start", "qmc5883l", 1, 1),
    ("8 bays, cars at the start", "mmc5603", 8, 1),
    ("1 bay, empty at the start", "mmc5603", 1, 0),
)


def rows() -> list[dict[str, Any]]:
    found = []
    for what, sensor, bays, busy in SCENES:
        start = BUSY if busy else 1_805_079_600
        scores = [run(sensor, bays, start, 7, seed) for seed in range(1, 3 if bays > 1 else 9)]
        right, readings = sum(s.right for s in scores), sum(s.readings for s in scores)
        weeks = sum(s.bays * s.days / 7 for s in scores)
        false = sum(s.false_changes for s in scores) / weeks
        found.append(_row(f"parking, {sensor}, {what}: readings right", 100 * right / readings, "%"))
        found.append(_row(f"parking, {sensor}, {what}: false changes", false, "a bay and week"))
    return found


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "peer": None, "peer_value": None, "ratio": None}
