"""A virtual container with a pulse ranger, from bare flash to what the town reads: it is emptied, and it burns."""

from __future__ import annotations

import pytest

from borne.virtual import street, world
from borne.virtual.street import Reported
from borne.virtual.world import START, Container
from borne_node.report import schema

HOUR = 3600
SEED = 7
DAYS = 1.25
# In the last hours of the run; the truck comes on the first morning (asserted below).
FIRE = START + 27.4 * HOUR


def test_an_emptying_and_a_fire_reach_the_town(monkeypatch: pytest.MonkeyPatch) -> None:
    asset = Container(SEED, "fill-01", "", offset_mm=300, burns_at=FIRE, sensor="jsn_sr04t")
    (truck,) = asset.emptied(START + 3 * HOUR, START + DAYS * 86_400)
    assert asset.level(truck - 1) > 35 and truck < FIRE - 8 * HOUR
    monkeypatch.setattr(world, "assets", lambda seed, count: (asset,))
    events = list(street.play(seed=SEED, days=DAYS, count=1, link="wifi"))
    heard = [one.heard for one in events if isinstance(one, Reported)]
    reports = [one.report for one in heard if one.report]
    assert len(reports) == len(heard)

    fills = [one for one in reports if one.port == schema.FILL and one.level is not None]
    dated = {one.window - one.emptied for one in fills if one.window is not None and one.emptied is not None}
    assert dated <= {int(truck // 14_400) % 256, int((truck + HOUR) // 14_400) % 256} and len(dated) == 1
    before = [one.emptied for one in fills if one.window is not None and one.window < min(dated)]
    assert set(before) <= {None}

    alarms = [one for one in events if isinstance(one, Reported) and one.heard.port == schema.ALARM]
    assert [one.heard.report.alarm for one in alarms if one.heard.report] == ["fire"]
    assert FIRE <= alarms[0].received < FIRE + HOUR + 300
