"""The report of a run: complete, self-contained, and red when anything is."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from borne.privacy import paper
from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.paper import Planted, Run
from borne.privacy.utility import Cost
from borne_node.privacy import policy

PLOT = Plot(
    "count <c>",
    "epsilon",
    (Series("measured", ((0, 0.5), (1, 0.9))), Series("claimed", ((0, 1), (1, 1)))),
    1.0,
)
FINDING = Finding(
    "black box", "inference", 100, "frames", "<= 1", 1.0, "epsilon >= 0.9", 0.9, True, PLOT, ("a note",)
)
RUN = Run(
    "1.2.3",
    "short",
    (FINDING,),
    (Planted("black box", "no noise", True, "5"),),
    (Cost("zone", "points", 0, 1),),
)


def test_json_names_the_policy_and_every_figure() -> None:
    found = json.loads(paper.as_json(RUN))
    assert found["policy_sha256"] == policy.digest().hex()
    assert found["held"] is True
    (attack,) = found["attacks"]
    assert {"attack", "samples", "bound", "measured", "value", "limit", "held", "plot"} <= set(attack)


def test_a_broken_attack_or_a_missed_fault_makes_the_run_red() -> None:
    assert not replace(RUN, findings=(replace(FINDING, held=False),)).held
    assert not replace(RUN, planted=(replace(RUN.planted[0], seen=False),)).held
    assert "BROKEN" in paper.as_html(replace(RUN, findings=(replace(FINDING, held=False),)))
    assert "MISSED" in paper.as_html(replace(RUN, planted=(replace(RUN.planted[0], seen=False),)))


def test_the_page_needs_nothing_from_outside() -> None:
    page = paper.as_html(RUN)
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)
    assert page.count("<svg") == 1 and page.count("<rect") == 4
    assert "count &lt;c&gt;" in page and "stroke-dasharray" in page
