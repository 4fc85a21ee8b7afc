"""A policy table that is not as it was built: the node releases nothing, or says by the hash that it runs another."""

from __future__ import annotations

from pathlib import Path

import pytest

from borne.decoding.report import SUPPRESSED, decode
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne_node.privacy import policy
from borne_node.report import schema

ROW = 'Row("parking", "zone", 10, 900, 0, 300, 2, 240, (1, 1), 1, "vehicle", 0, 8, 1, _YES)'
FILE = "privacy/policy.py"
SPOILT = {
    "a row that is gone": (ROW + ",\n", ""),
    "no columns": (ROW, "Row()"),
    "no time between two readings": (ROW, ROW.replace("300, 2", "0, 2")),
    "a window of no length": (ROW, ROW.replace("900, 0", "0, 0")),
    "an epsilon that is no number": (ROW, ROW.replace("(1, 1)", '"one"')),
    "a noise of no scale": (ROW, ROW.replace("(1, 1), 1", "(1, 0), 1")),
    "a port that nobody knows": (ROW, ROW.replace('"zone", 10', '"zone", 99')),
}
WEAKER = {
    "a hundredth of the noise": (ROW, ROW.replace("(1, 1)", "(100, 1)")),
    "no noise": (ROW, ROW.replace("(1, 1)", "None")),
    "other bays": (ROW, ROW.replace("0, 8, 1", "0, 60, 1")),
}


def run(folder: Path, old: str = "", new: str = "") -> tuple[list[tuple[int, bytes]], list[str]]:
    lab = Laboratory(folder / "lab", [Patch(FILE, old, new)] if old else ())
    (told,) = lab.run("spoilt", hours=2).told
    return [(port, bytes.fromhex(payload)) for port, payload in told["sent"]], told["ends"]


def counts(sent: list[tuple[int, bytes]]) -> list[object]:
    """What frames say of bays; the constant frame that says nothing is left out."""
    found = [decode(payload, port).value("occupied") for port, payload in sent if port == schema.ZONE]
    return [one for one in found if one is not SUPPRESSED]


def hashes(sent: list[tuple[int, bytes]]) -> set[object]:
    return {decode(payload, port).value("policy_hash") for port, payload in sent if port == schema.HEALTH}


def test_a_sound_table_releases(tmp_path: Path) -> None:
    sent, ends = run(tmp_path)
    assert len(counts(sent)) > 2 and ends == ["sleep"]
    assert hashes(sent) == {policy.digest()[:4].hex()}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_table_releases_nothing_and_ends_no_node(tmp_path: Path, how: str) -> None:
    sent, ends = run(tmp_path, *SPOILT[how])
    assert counts(sent) == []
    assert set(ends) <= {"sleep", "stay", "reset"}, ends


@pytest.mark.parametrize("how", WEAKER)
def test_a_weaker_table_is_told_by_its_hash(tmp_path: Path, how: str) -> None:
    sent, _ = run(tmp_path, *WEAKER[how])
    assert hashes(sent) and policy.digest()[:4].hex() not in hashes(sent)
