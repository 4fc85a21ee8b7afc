"""The ten attacks, short form, on the real firmware on MicroPython; each must see the fault planted for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from borne.decoding import encode
from borne.errors import DeviceError, UserError
from borne.privacy.attacks import chances, cuts, departures, suite
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne_node.report import schema

FAULTS = [(attack, fault) for attack in suite.ATTACKS for fault in attack.faults]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    return Laboratory(tmp_path_factory.mktemp("laboratory") / "firmware")


@pytest.mark.parametrize("attack", suite.ATTACKS, ids=lambda attack: attack.name)
def test_the_firmware_holds(lab: Laboratory, attack: suite.Attack) -> None:
    finding = attack.run(lab, attack.short)
    assert finding.held, f"{finding.line()} {finding.notes}"
    assert finding.samples > 0


@pytest.mark.parametrize(("attack", "fault"), FAULTS, ids=[fault.name for _, fault in FAULTS])
def test_a_planted_fault_is_seen(tmp_path: Path, attack: suite.Attack, fault: suite.Fault) -> None:
    planted = Laboratory(tmp_path / "planted", fault.patches)
    finding = attack.run(planted, fault.size)
    assert not finding.held, finding.line()


def test_a_quiet_street_is_to_be_told_by_the_day(lab: Laboratory) -> None:
    # docs/privacy.md and the record say so: four hours are too short where a stay is seldom followed by another.
    assert departures.departure(lab, 56, "bay", departures.QUIET).value > departures.LIMIT
    assert departures.departure(lab, 56, "day", departures.QUIET).value <= departures.LIMIT


def test_the_profile_live_singles_out(lab: Laboratory) -> None:
    assert departures.departure(lab, 14, "live").value > 30


def test_a_window_is_the_same_again_only_within_one_turn_of_the_index() -> None:
    def frame(window: int, occupied: int) -> str:
        return encode(schema.ZONE, window % 4096, (occupied, 8)).hex()

    turns = [frame(window, window // 4096) for window in range(0, 3 * 4096, 64)]
    assert sum(cuts.conflicts(turns)) == 0
    assert sum(cuts.conflicts([*turns, frame(3 * 4096 - 64, 7)])) == 1
    assert sum(cuts.conflicts([frame(5, 1), frame(4, 2), frame(5, 1), frame(4, 3)])) == 1


def test_every_attack_has_a_fault() -> None:
    assert len(suite.ATTACKS) == 10
    assert all(attack.faults for attack in suite.ATTACKS)


def test_a_fault_that_fits_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not once"):
        Laboratory(tmp_path / "lab", [Patch("privacy/gate.py", "no such line", "")])


def test_a_program_that_fails_is_no_finding(lab: Laboratory) -> None:
    with pytest.raises(DeviceError, match="windows on MicroPython"):
        lab.run("windows", kind="nothing", profile="zone", count=0, windows=1, seed=1)


def test_the_sweep_has_micropython_s_own_generator() -> None:
    # MicroPython 1.28, unix: random.seed(5); [random.getrandbits(8) for _ in range(6)]
    import numpy as np

    state = chances.Yasmarang.seeded(np.array([5], np.uint32))
    bytes_ = []
    for _ in range(6):
        state, out = state.step()
        bytes_.append(int(out[0]) & 0xFF)
    assert bytes_ == [100, 65, 187, 231, 221, 55]
