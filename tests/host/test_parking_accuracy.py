"""Two days of a disturbed street, each chip, cars in the bays at the start: the figures that the benchmark measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import parking_accuracy  # noqa: E402


@pytest.mark.parametrize(("sensor", "bays"), [("qmc5883l", 4), ("mmc5603", 4), ("qmc5883l", 1)])
def test_readings_are_right_and_do_not_flicker(sensor: str, bays: int) -> None:
    scores = [parking_accuracy.run(sensor, bays, parking_accuracy.BUSY, 2, seed) for seed in (1, 2)]
    assert sum(score.readings for score in scores) == 2 * bays * 2 * 288
    assert all(score.accuracy >= 98 for score in scores), scores
    # Less than one a bay and week: of four bays' two days twice, no more than two.
    assert sum(score.false_changes for score in scores) <= 2 * bays * 4 / 7


def test_a_street_of_strangers_is_not_right() -> None:
    """The measure can fail: judged against another row's truth the same readings are wrong."""
    score = parking_accuracy.run("qmc5883l", 2, parking_accuracy.BUSY, 1, 1, truth_of=2)
    assert score.accuracy < 90
