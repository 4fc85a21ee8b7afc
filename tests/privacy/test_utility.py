"""What privacy costs: the figures that were promised, and those that docs/privacy.md prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from borne.privacy.attacks.laboratory import Laboratory
from borne.privacy.utility import Cost, table

DOCS = Path(__file__).parents[2] / "docs" / "privacy.md"
# In points of occupancy, percent of a count, points of filling level.
PROMISED = {
    "zone of 8 bays, occupancy": 14.5,
    "zone of 20 bays, occupancy": 6.4,
    "zone of 30 bays, occupancy": 4.4,
    "zone of 50 bays, occupancy": 2.7,
    "presence, 30 triggers a window": 9.0,
    "presence, 100 triggers a window": 3.0,
    "fill, level": 2.5,
}


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cost]]:
    lab = Laboratory(tmp_path_factory.mktemp("laboratory") / "firmware")
    return {one.what: one for one in table(lab, 4_000)}


def test_errors_are_those_that_were_promised(costs: dict[str, Cost]) -> None:
    for what, promised in PROMISED.items():
        assert costs[what].with_gate <= 1.1 * promised, costs[what]
    assert costs["fill, level"].without < costs["fill, level"].with_gate


def test_the_documentation_prints_what_is_measured(costs: dict[str, Cost]) -> None:
    rows = dict(re.findall(r"^\| ([^|]+?) \| [^|]+ \| (?:factor )?([0-9.]+)", DOCS.read_text(), re.MULTILINE))
    for what, cost in costs.items():
        assert abs(float(rows[what]) - cost.with_gate) <= 0.06 + 0.1 * cost.with_gate, what
