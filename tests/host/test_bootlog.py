from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borne.flashing import bootlog
from borne.virtual import console

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bootlog.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["source"])
def test_what_real_boards_said(vector: dict[str, Any]) -> None:
    found = bootlog.read(vector["log"])
    assert [one.name for one in found] == vector["found"]
    assert all(one.what and one.advice for one in found)
    if "says" in vector:
        assert found[0].what == vector["says"]


def test_every_finding_has_a_vector() -> None:
    names = {row[0] for row in bootlog._TEXTS} - {"no app", "firmware", "memory"}
    assert names <= {name for vector in VECTORS for name in vector["found"]}


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_a_board_that_boots_has_no_findings(chip: str) -> None:
    log = console.boot_log(chip, console.POWER_ON) + "MicroPython v1.25.0 on 2025-04-15\r\n>>> "
    assert bootlog.read(log) == []
    assert bootlog.read(log + console.boot_log(chip, console.DEEP_SLEEP) * 5) == []


def test_a_loop_is_named_after_its_cause() -> None:
    loop = console.boot_log("esp32", console.WATCHDOG) * 4
    assert [one.name for one in bootlog.read(loop)] == ["crash loop"]
    assert "borne logs" in bootlog.read(loop)[0].advice
    found = bootlog.read(loop + "borne: the firmware does not start: ImportError; Ctrl-C for the prompt\r\n")
    assert [one.name for one in found] == ["firmware", "crash loop"]


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_any_text_is_read(text: str) -> None:
    assert isinstance(bootlog.read(text), list)
