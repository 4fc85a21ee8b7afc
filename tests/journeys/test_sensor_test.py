"""borne sensor-test as a technician runs it on the bench, against virtual boards with simulated chips."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from borne import boards
from borne.flashing import node
from borne.virtual import VirtualBoard
from borne.virtual.silicon.a02yyuw import A02YYUW
from borne.virtual.silicon.mmc5603 import MMC5603
from borne.virtual.silicon.tca9548a import TCA9548A
from borne.virtual.silicon.veml7700 import VEML7700
from borne.virtual.street import nodes
from borne.virtual.wiring import Wiring
from borne.virtual.world import START, Container

BORNE = str(Path(sys.executable).with_name("borne"))
READY = b"waiting 3 s for a host"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [BORNE, "sensor-test", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def flashed() -> bytes:
    content = bytearray(b"\xff" * (4 << 20))
    for region in node.regions(boards.load("esp32-devkitc")):
        content[region.offset : region.offset + len(region.data)] = region.data
    return bytes(content)


@pytest.fixture
def place(tmp_path: Path, flashed: bytes) -> Iterator[Callable[[Wiring], VirtualBoard]]:
    placed: list[VirtualBoard] = []

    def _place(wiring: Wiring) -> VirtualBoard:
        (tmp_path / "flash.bin").write_bytes(flashed)
        placed.append(VirtualBoard(tmp_path, wiring=wiring))
        placed[0].power_on()
        return placed[0]

    yield _place
    for board in placed:
        board.close()


def test_readings_with_units_from_a_node_that_is_not_provisioned(
    place: Callable[[Wiring], VirtualBoard],
) -> None:
    board = place(Wiring(uart={1: A02YYUW(lambda t: 712.0)}))
    done = run("--port", board.port, "--sensor", "a02yyuw", "--count", "3", "--interval", "0")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(" s  distance 7" in line and line.endswith(" mm") for line in lines), lines
    # The node goes on with what it did.
    assert board.wait_for(READY)


@pytest.mark.parametrize("sensor", ["hc_sr04", "jsn_sr04t", "mb7389"])
def test_the_other_rangers_of_a_virtual_container(
    place: Callable[[Wiring], VirtualBoard], sensor: str
) -> None:
    asset = Container(5, "fill-01", "", offset_mm=400, sensor=sensor)
    board = place(nodes.wiring(5, asset, boards.load("esp32-devkitc"), START))
    done = run("--port", board.port, "--sensor", sensor, "--count", "2", "--interval", "0", "--json")
    assert done.returncode == 0, done.stderr
    read = [json.loads(line)["values"]["distance"]["value"] for line in done.stdout.splitlines()]
    empty = asset.offset_mm + asset.depth_mm
    assert len(read) == 2 and all(asset.offset_mm - 60 < one < empty + 60 for one in read), read


def test_a_bay_behind_the_multiplexer_as_json(place: Callable[[Wiring], VirtualBoard]) -> None:
    magnetometers = [MMC5603(lambda t, z=z: (20.0, 0.0, z)) for z in (-40.0, 40.0)]
    board = place(Wiring(i2c={0: [TCA9548A([[chip] for chip in magnetometers])]}))
    done = run("--port", board.port, "--sensor", "mmc5603", "--bay", "2", "--count", "1", "--json")
    assert done.returncode == 0, done.stderr
    values = json.loads(done.stdout)["values"]
    assert abs(values["z"]["value"] - 40_000) < 1000 and values["z"]["unit"] == "nT"
    assert abs(values["strength"]["value"] - 44_700) < 1000


def test_a_fault_is_shown_and_is_no_error(place: Callable[[Wiring], VirtualBoard]) -> None:
    board = place(Wiring(i2c={0: []}))
    done = run("--port", board.port, "--sensor", "veml7700", "--count", "1")
    assert done.returncode == 0, done.stderr
    assert "fault: no answer" in done.stdout


def test_a_terminal_gets_a_plot(place: Callable[[Wiring], VirtualBoard]) -> None:
    board = place(Wiring(i2c={0: [VEML7700(lambda t: 120.0)]}))
    ours, theirs = pty.openpty()
    command = [BORNE, "sensor-test", "--port", board.port, "--sensor", "veml7700", "--count", "4"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass  # the other end was closed: the command has ended
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "lx" in text and "least" in text and any(bar in text for bar in "▁▂▃▄▅▆▇█")


def test_what_makes_no_sense_is_refused_in_one_line(place: Callable[[Wiring], VirtualBoard]) -> None:
    board = place(Wiring())
    for arguments, says in (
        (["--sensor", "vl53l1"], "vl53l1x"),
        (["--sensor", "veml7700", "--bay", "9"], "bay: must lie between 1 and 8"),
        ([], "name one, or provision it"),
    ):
        done = run("--port", board.port, *arguments)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr and done.stderr.startswith("borne: ")
        assert len(done.stderr.splitlines()) == 1


def test_a_port_that_is_not_there() -> None:
    done = run("--port", "/dev/ttyNONE", "--sensor", "veml7700")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
