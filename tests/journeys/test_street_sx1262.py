"""One virtual board with the other family of radio chips, from bare flash to a decoded report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from borne import boards
from borne.virtual import street
from borne.virtual.street import Ended, Reported, run


def test_a_board_with_an_sx1262_joins_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (boards.shipped("boards") / "ttgo-lora32-v21.toml").read_text()
    text = text.replace('chip = "sx1276"', 'chip = "sx1262"\ntcxo_mv = 1800\ndio2_switch = true')
    text = re.sub(r"lora_dio2 = 32\n", "lora_busy = 32\n", text)
    board = tmp_path / "other.toml"
    board.write_text(text)
    monkeypatch.setattr(run, "RADIO_BOARD", str(board))
    events = list(street.play(seed=7, days=0.03, count=1, link="lorawan"))
    reports = [event for event in events if isinstance(event, Reported)]
    assert [event.heard.port for event in reports][:2] == [1, 10]
    assert all(event.heard.report and event.radio for event in reports)
    ended = events[-1]
    assert isinstance(ended, Ended) and ended.summary.broken == ()
    radio = ended.summary.lines[0].radio
    assert radio is not None and (radio.joins, radio.heard) == (1, radio.frames)
