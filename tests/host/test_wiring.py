from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from borne import boards, wiring
from borne.errors import BoardError
from borne_node import sensors

BORNE = str(Path(sys.executable).with_name("borne"))
ATOM = boards.load("m5stack-atom-sx1276")


def borne(*arguments):
    return subprocess.run(
        [BORNE, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
        check=False,
    )


def test_every_wire_of_a_fill_node():
    wires = wiring.of_kind(boards.load("esp32-devkitc"), "fill")
    assert [(wire.pin, wire.function, wire.gpio) for wire in wires] == [
        ("VCC", "3V3", None),
        ("GND", "GND", None),
        ("TX", "uart_rx", 16),
        ("RX", "uart_tx", 17),
    ]


def test_every_sensor_of_the_table_can_be_wired():
    functions = {"i2c": {"i2c_sda", "i2c_scl"}, "uart": {"uart_rx"}, "pulse": {"uart_rx", "uart_tx"}}
    for name, _, _, bus, _, _ in sensors.TABLE:
        assert functions[bus] <= set(wiring.PARTS[name].pins.values()), name


def test_a_sensor_takes_the_place_of_the_default_one():
    assert wiring.parts("parking") == ("qmc5883l", "tca9548a")
    assert wiring.parts("parking", ["hc_sr04"]) == ("hc_sr04",)
    assert wiring.parts("light", ["ina226", "bh1750"]) == ("bh1750", "pir", "ina226")
    with pytest.raises(BoardError, match="for a fill node 'veml7700' is unknown"):
        wiring.parts("fill", ["veml7700"])


def test_a_board_without_the_pins_names_the_kinds_that_it_can_be():
    assert wiring.kinds(ATOM) == ["parking", "light"]
    with pytest.raises(BoardError, match=r"no uart_rx for the A02YYUW .*: parking, light"):
        wiring.of_kind(ATOM, "fill")


def test_a_radio_that_is_no_part_of_the_board_is_wired_too():
    assert {wire.pin: wire.gpio for wire in wiring.of_radio(ATOM)} == {
        "VCC": None,
        "GND": None,
        "SCK": 22,
        "MISO": 23,
        "MOSI": 33,
        "NSS": 19,
        "RESET": 21,
    }
    assert wiring.of_radio(boards.load("heltec-v3")) == []


def test_hints_where_a_pad_is_special():
    hints = {wire.function: wire.hint for wire in wiring.of_kind(boards.load("ttgo-t-beam-v11"), "fill")}
    assert "read at reset" in hints["uart_rx"]
    feather = boards.load("feather-esp32s3-rfm95")
    assert "GPIO 7 switches" in wiring.of_kind(feather, "parking")[0].hint
    coreink = {wire.function: wire.hint for wire in wiring.of_kind(boards.load("heltec-v2"), "fill")}
    assert coreink["uart_rx"] == "input-only"


@pytest.mark.parametrize("name", boards.names())
def test_show_draws_every_board(name):
    done = borne("boards", "show", name)
    assert (done.returncode, done.stderr) == (0, "")
    board = boards.load(name)
    for kind in wiring.kinds(board):
        for wire in wiring.of_kind(board, kind):
            assert wire.gpio is None or f"GPIO {wire.gpio}" in done.stdout
    assert f"source: {board.sources[0][:40]}" in done.stdout


def test_show_one_kind_one_sensor_and_as_json():
    drawn = borne("boards", "show", "heltec-v3", "--kind", "light").stdout
    assert "VEML7700" in drawn
    assert "A02YYUW" not in drawn
    assert "0x10" in drawn
    rows = borne("boards", "show", "heltec-v3", "--sensor", "pir", "--json").stdout.splitlines()
    assert [json.loads(row)["gpio"] for row in rows] == [None, None, 4]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["heltec-v4"], "did you mean 'heltec-v3'"),
        (["heltec-v3", "--kind", "lite"], "did you mean 'light'"),
        (["heltec-v3", "--sensor", "qmc5883"], "did you mean 'qmc5883l'"),
        (["heltec-v3", "--kind", "fill", "--sensor", "lis3dhh"], "did you mean 'lis3dh'"),
        (["m5stack-atom-sx1276", "--kind", "fill"], "has no uart_rx"),
    ],
)
def test_mistakes_are_one_line(options, says):
    done = borne("boards", "show", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
