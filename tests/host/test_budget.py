"""The radio budget, against the figures of the field and the node itself."""

from __future__ import annotations

import json

import pytest
from pamoja._native import LoraLink
from typer.testing import CliRunner

from borne import boards
from borne.budget import budget
from borne.cli import app
from borne.errors import UserError

BOARD = boards.load("ttgo-lora32-v21")


def run(*arguments):
    return CliRunner().invoke(app, ["budget", *arguments])


@pytest.mark.parametrize("sf", range(7, 13))
def test_airtime_is_that_of_another_implementation(sf):
    one = budget(BOARD, "parking", sf=sf)
    bare, full = one.payload
    link = LoraLink(sf, 125_000)
    assert abs(one.airtime_ms * 1000 - link.airtime_us(full + 13)) <= 1
    # History rides along for nothing, and one byte more would cost.
    assert link.airtime_us(full + 13) == link.airtime_us(bare + 13) < link.airtime_us(full + 14)


def test_a_parking_zone_by_hand():
    """96 reports of 52 ms (SF7, 3 bytes, ../FACTS table) and a health report of 14 bytes, 67 ms."""
    one = budget(BOARD, "parking", profile="zone")
    assert one.reports == 96 and one.payload[0] == 3
    assert one.airtime_ms == pytest.approx(51.5, abs=0.1)
    assert one.airtime_s == pytest.approx(96 * 0.0515 + 0.067, abs=0.01)
    assert one.fair_use == pytest.approx(one.airtime_s / 30)
    # Four in an hour, and the health report, of the 36 s that 1 % are.
    assert one.duty == pytest.approx((4 * 0.0515 + 0.067) / 36, rel=0.01)
    assert one.problems == ()


@pytest.mark.parametrize(
    ("kind", "profile", "reports"),
    [
        ("parking", "bay", 6),
        ("parking", "day", 1),
        ("parking", "live", 1440),
        ("light", None, 17),
        ("fill", None, 6),
    ],
)
def test_reports_a_day_are_those_of_the_policy(kind, profile, reports):
    assert budget(BOARD, kind, profile=profile).reports == reports


def test_what_cannot_hold_says_why():
    slow = budget(BOARD, "parking", profile="zone", sf=12)
    assert slow.problems == ("128.3 s of airtime a day are more than the 30 s of fair use",)
    assert budget(BOARD, "parking", profile="zone", sf=12, fair_use_s=0).problems == ()
    live = budget(BOARD, "parking", profile="live", sf=12, fair_use_s=0)
    assert len(live.problems) == 1 and "times the 1 % that the law allows" in live.problems[0]
    short = budget(BOARD, "fill", region="US915", sf=10)
    assert "does not fit the 11 that US915 allows at SF10" in short.problems[0]
    assert short.duty is None


def test_energy_follows_what_is_sent():
    quick, slow = (budget(BOARD, "parking", profile="zone", sf=sf) for sf in (7, 12))
    assert quick.mah and slow.mah and quick.life and slow.life
    assert slow.mah > quick.mah and slow.life < quick.life
    # The difference: more airtime at the CPU's and the radio's current, longer receive windows.
    more_s = slow.airtime_s - quick.airtime_s
    windows_s = 97 * 12 * ((1 << 12) - (1 << 7)) / 125_000
    assert slow.mah - quick.mah == pytest.approx((more_s * 85 + windows_s * 11.5) / 3600, rel=1e-6)


def test_a_battery_that_is_twice_as_large_leaks_twice_as_much():
    small, large = (budget(BOARD, "fill", battery_mah=size).life for size in (1000, 2000))
    assert small and large and 1.6 * small < large < 2 * small
    # However little the node takes: 80 % at 1.5 % a month are gone in four and a half years.
    assert budget(BOARD, "fill", battery_mah=1e9).life == pytest.approx(0.8 / 0.015 / 12, rel=0.01)


def test_a_board_without_stated_currents_has_no_battery_life():
    silent = BOARD.model_copy(update={"power": None})
    one = budget(silent, "fill")
    assert (one.mah, one.life) == (None, None) and one.problems == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "lamp"}, "kind: 'lamp' is unknown"),
        ({"kind": "fill", "profile": "zone"}, "profile: 'zone' is unknown"),
        ({"kind": "fill", "region": "EU86"}, "region: 'EU86' is unknown; did you mean 'EU868'"),
        ({"kind": "fill", "region": "EU433"}, "EU433 lies at 433.175 to 434.665 MHz"),
        ({"kind": "fill", "sf": 13}, "sf: EU868 has SF7 to SF12, no SF13"),
        ({"kind": "fill", "board": "esp32-devkitc"}, "esp32-devkitc: has no LoRa radio"),
    ],
)
def test_what_there_is_not_is_refused(arguments, words):
    board = boards.load(arguments.pop("board", "ttgo-lora32-v21"))
    with pytest.raises(UserError, match=words):
        budget(board, **arguments)


def test_the_command_shows_every_factor_and_refuses_one_that_cannot_hold():
    result = run("ttgo-lora32-v21", "--kind", "parking", "--profile", "zone")
    assert result.exit_code == 0, result.output
    assert all(f"{sf} " in result.output for sf in range(7, 13))
    refused = run("ttgo-lora32-v21", "--kind", "parking", "--profile", "zone", "--sf", "12")
    assert isinstance(refused.exception, UserError) and refused.exception.exit_code == 2
    assert "budget: SF12: " in str(refused.exception) and "\n" not in str(refused.exception)


def test_the_command_speaks_json():
    result = run("ttgo-lora32-v21", "--kind", "fill", "--sf", "9", "--json")
    one = json.loads(result.stdout)
    assert (one["sf"], one["data_rate"], one["reports"], one["problems"]) == (9, 3, 6, [])
