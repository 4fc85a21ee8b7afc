"""What the self-test says of the battery on boards that cut its divider off, or have a gauge on their bus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from virtual_kit import VFS_SIZE, flash_file

from borne import boards
from borne.flashing import node, selftest
from borne.virtual import VirtualBoard, world
from borne.virtual.silicon.max17048 import MAX17048
from borne.virtual.street import nodes
from borne.virtual.wiring import Wiring

READY = b"waiting 3 s for a host"
VOLTS = 3.92


class Gate:
    """A switch that a resistor holds off at the level `rest`; whoever drives it to the other one closes it."""

    def __init__(self, rest: int) -> None:
        self.rest = rest
        self.driven: int | None = None

    def level(self, now_us: int) -> int:
        return self.rest

    def next_edge(self, now_us: int) -> int | None:
        return None

    def drive(self, level: int, now_us: int) -> None:
        self.driven = level

    @property
    def is_closed(self) -> bool:
        return self.driven == 1 - self.rest


@pytest.fixture
def battery(tmp_path: Path) -> Iterator[Callable[[str, Wiring], tuple[bool | None, str]]]:
    placed: list[VirtualBoard] = []

    def ask(name: str, wiring: Wiring) -> tuple[bool | None, str]:
        board = boards.load(name)
        content = node.filesystem(node.node_files(board), VFS_SIZE)
        flash_file(tmp_path, chip=board.chip, vfs=content)
        placed.append(VirtualBoard(tmp_path, chip=board.chip, wiring=wiring))
        placed[0].power_on()
        assert placed[0].wait_for(READY)
        found = {one.name: one for one in selftest.check(placed[0].port)}
        return found["battery"].ok, found["battery"].detail

    yield ask
    for board in placed:
        board.close()


@pytest.mark.parametrize(("name", "rest"), [("heltec-v3", 1), ("heltec-v3", 0), ("heltec-v21", 1)])
def test_a_divider_is_connected_while_it_is_read_whichever_level_does_it(battery, name, rest):
    board = boards.load(name)
    gate = Gate(rest)
    pins = board.pins
    wiring = Wiring(
        pins={pins.battery_enable: gate},
        outputs={pins.battery_enable: gate.drive},
        adc={pins.battery_adc: lambda t: VOLTS / board.battery.divider if gate.is_closed else 0.0},
    )
    ok, said = battery(name, wiring)
    assert (ok, abs(int(said.removesuffix(" mV")) - VOLTS * 1000) <= 5) == (True, True)


def test_a_gauge_on_the_bus_whose_pull_ups_are_switched(battery):
    pins = boards.load("feather-esp32s3-rfm95").pins
    fed = []

    def cell(t: float) -> float:
        assert fed == [1]
        return VOLTS

    wiring = Wiring(
        i2c={(pins.i2c_scl, pins.i2c_sda): [MAX17048(cell)]},
        outputs={pins.sensor_power: lambda level, now_us: fed.append(level)},
    )
    assert battery("feather-esp32s3-rfm95", wiring) == (True, "3920 mV")


def test_the_street_has_the_gauge_too(battery):
    board = boards.load("feather-esp32s3-rfm95")
    fill = next(asset for asset in world.assets(1, 3) if asset.kind == "fill")
    assert battery(board.name, nodes.wiring(1, fill, board, 0)) == (True, "3900 mV")


def test_a_gauge_that_does_not_answer(battery):
    assert battery("feather-esp32s3-rfm95", Wiring()) == (None, "none connected, or no answer")


def test_a_board_that_measures_nothing(battery):
    assert battery("xiao-esp32s3-sx1262", Wiring()) == (None, "this board does not measure it")
