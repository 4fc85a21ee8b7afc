"""borne self-test as a technician runs it, against virtual boards on which one thing after the other is broken."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from littlefs import LittleFS

from borne import boards
from borne.flashing import node, selftest
from borne.flashing.repl import Repl
from borne.fleet.provision import provision
from borne.virtual import VirtualBoard
from borne.virtual.silicon.a02yyuw import A02YYUW
from borne.virtual.silicon.qmc5883l import QMC5883L
from borne.virtual.silicon.sx126x import SX126x
from borne.virtual.silicon.sx127x import SX127x
from borne.virtual.silicon.tca9548a import TCA9548A
from borne.virtual.street import nodes
from borne.virtual.wiring import Wiring


class Stranger(SX127x):
    """A chip that answers, and is another one (SX1272 datasheet, RegVersion: 0x22)."""

    def transfer(self, data: bytes, now_us: int) -> bytes:
        found = super().transfer(data, now_us)
        return found[:1] + b"\x22" if data[:1] == b"\x42" else found


BORNE = str(Path(sys.executable).with_name("borne"))
READY = b"waiting 3 s for a host"
TTGO = boards.load("ttgo-lora32-v21")
BATTERY = 35
FILL = {"kind": "fill", "name": "bin-7", "depth_mm": 1500}
WIFI = {"wifi_ssid": "Mairie", "mqtt_host": "broker.example"}
LORA = {"link": "lorawan", "dev_eui": "70b3d57ed0123456"}


@pytest.fixture(scope="module")
def flashed() -> bytes:
    content = bytearray(b"\xff" * (4 << 20))
    for region in node.regions(TTGO):
        content[region.offset : region.offset + len(region.data)] = region.data
    return bytes(content)


@pytest.fixture
def place(tmp_path: Path, flashed: bytes) -> Iterator[Callable[..., VirtualBoard]]:
    placed: list[VirtualBoard] = []

    def _place(wiring: Wiring, change: Callable[[LittleFS], None] | None = None) -> VirtualBoard:
        (tmp_path / "flash.bin").write_bytes(_changed(flashed, change) if change else flashed)
        placed.append(VirtualBoard(tmp_path, wiring=wiring))
        placed[0].power_on()
        assert placed[0].wait_for(READY)
        return placed[0]

    yield _place
    for board in placed:
        board.close()


def _changed(flash: bytes, change: Callable[[LittleFS], None]) -> bytes:
    system = LittleFS(block_size=4096, block_count=512, mount=False, disk_version=0x00020000)
    system.context.buffer = bytearray(flash[0x200000:])
    system.mount()
    change(system)
    return flash[:0x200000] + bytes(system.context.buffer)


def wiring(radio: SX126x | SX127x | None = None, volts: float = 3.9, **parts: Any) -> Wiring:
    parts.setdefault("uart", {1: A02YYUW(lambda t: 712.0)})
    found = Wiring(adc={BATTERY: lambda t: volts / 2}, **parts)
    if radio is None:
        return found
    with_radio = nodes.with_radio(found, TTGO, SX127x())
    return dataclasses.replace(with_radio, spi={1: {18: radio}}, outputs={23: radio.reset})


def failures(board: VirtualBoard, **options: Any) -> dict[str, str]:
    return {one.name: one.detail for one in selftest.check(board.port, **options) if one.ok is False}


def test_a_sound_node_passes_and_runs_again(place: Callable[..., VirtualBoard]) -> None:
    board = place(wiring(SX127x()))
    done = provision(board.port, FILL | LORA, {"app_key": b"00112233445566778899aabbccddeeff"})
    board.forget_printed()
    command = [BORNE, "self-test", "--port", board.port, "--board", TTGO.name, "--settings", done.digest[:8]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    marks = [line.split()[:2] for line in ended.stdout.splitlines()]
    names = ["firmware", "board", "settings", "secrets", "radio", "battery", "sensor"]
    assert marks == [["ok", name] for name in names]
    assert "present, not read: app_key" in ended.stdout
    assert "712" not in ended.stdout
    assert board.wait_for(READY)


def test_before_it_is_provisioned_there_is_nothing_to_compare(place: Callable[..., VirtualBoard]) -> None:
    board = place(wiring(SX127x()))
    found = {one.name: one.ok for one in selftest.check(board.port)}
    assert found == {
        "firmware": True, "settings": None, "secrets": None, "radio": True, "battery": True, "bus": None,
        "sensor": None,
    }  # fmt: skip
    assert {one.name: one.ok for one in selftest.check(board.port, kind="fill")}["sensor"] is True


def test_every_fault_is_named_and_the_exit_code_tells(place: Callable[..., VirtualBoard]) -> None:
    board = place(wiring(Stranger(), volts=3.0, uart={}))
    ended = subprocess.run(
        [BORNE, "self-test", "--port", board.port, "--kind", "fill", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    result = json.loads(ended.stdout)
    assert result["passed"] is False
    assert {one["name"]: one["detail"] for one in result["checks"] if one["ok"] is False} == {
        "radio": "board.json says sx1276: no SX127x answers",
        "battery": "flat: 3000 mV; charge or replace it",
        "sensor": "A02YYUW: no answer",
    }


def test_a_part_that_fails_in_an_unheard_of_way_hides_no_other(place: Callable[..., VirtualBoard]) -> None:
    # The simulated chip is stricter than silicon: it complains of commands that are not its own.
    said = failures(place(wiring(SX126x(), volts=3.0)))
    assert said == {"radio": "RuntimeError", "battery": "flat: 3000 mV; charge or replace it"}


def test_no_radio_at_all(place: Callable[..., VirtualBoard]) -> None:
    assert failures(place(wiring()))["radio"].endswith("no SX127x answers")


@pytest.mark.parametrize(("volts", "ok"), [(0.2, None), (2.9, False), (3.4, True), (4.2, True), (5.6, False)])
def test_what_a_battery_may_have(place: Callable[..., VirtualBoard], volts: float, ok: bool | None) -> None:
    board = place(wiring(SX127x(), volts))
    assert {one.name: one.ok for one in selftest.check(board.port)}["battery"] is ok


def test_a_bay_without_its_magnetometer_is_named(place: Callable[..., VirtualBoard]) -> None:
    bays = [[QMC5883L(lambda t: (21.0, 1.0, 43.0), 1)], [], [QMC5883L(lambda t: (21.0, 1.0, 43.0), 3)]]
    board = place(wiring(SX127x(), i2c={0: [TCA9548A(bays)]}))
    provision(board.port, {"kind": "parking", "name": "p", "bays": 3} | WIFI, {})
    assert failures(board) == dict.fromkeys(("bus", "sensor"), "bay 2: QMC5883L: no answer")


def test_a_ranger_that_sees_nothing_answers_all_the_same(place: Callable[..., VirtualBoard]) -> None:
    board = place(wiring(SX127x(), uart={1: A02YYUW(lambda t: 9000.0)}))
    assert failures(board, kind="fill") == {}


def test_other_settings_than_the_fleet_knows(place: Callable[..., VirtualBoard]) -> None:
    board = place(wiring(SX127x()))
    assert (
        failures(board, settings="a" * 64)["settings"]
        == "not provisioned; expected aaaaaaaa: provision it again"
    )
    done = provision(board.port, FILL | WIFI, {})
    assert failures(board, settings=done.digest.upper()) == {}
    said = failures(board, settings="0" * 64)["settings"]
    assert said == f"settings {done.digest[:8]}; expected 00000000: provision it again"


def test_damaged_settings_and_missing_secrets(place: Callable[..., VirtualBoard]) -> None:
    board = place(wiring(SX127x()))
    provision(board.port, FILL | LORA, {"app_key": b"00112233445566778899aabbccddeeff"})
    with Repl(board.port) as opened:
        opened.run("import esp32\nn=esp32.NVS('borne')\nn.erase_key('lw_app_key.a')\nn.commit()")
    assert failures(board) == {"secrets": "missing in slot a: app_key"}
    with Repl(board.port) as opened:
        opened.write_file("settings.json", b'{"kind":"fill"}')
    assert failures(board) == {"settings": "name: is missing"}


def test_the_board_of_another_file(place: Callable[..., VirtualBoard]) -> None:
    said = failures(place(wiring(SX127x())), pins=boards.load("esp32-devkitc"))
    assert said == {"board": "board.json is of ttgo-lora32-v21, expected esp32-devkitc"}


def test_a_file_that_is_not_as_it_was_built(place: Callable[..., VirtualBoard]) -> None:
    def change(system: LittleFS) -> None:
        with system.open("borne_node/app.mpy", "r+b") as file:
            file.seek(200)
            file.write(b"\x00")

    said = failures(place(wiring(SX127x()), change))
    assert list(said) == ["firmware"]
    assert said["firmware"].endswith("its files are not those of its version: borne deploy")


def test_firmware_that_cannot_be_asked(place: Callable[..., VirtualBoard]) -> None:
    said = failures(place(wiring(), lambda system: system.remove("borne_node/selftest.mpy")))
    assert set(said) == {"firmware", "parts"}
    assert "the board says: ImportError" in said["parts"]


def test_micropython_without_a_firmware(place: Callable[..., VirtualBoard]) -> None:
    def change(system: LittleFS) -> None:
        system.remove("version.json")

    assert failures(place(wiring(), change)) == {
        "firmware": "MicroPython without our firmware: flash the board first (borne flash)"
    }


def test_a_port_that_is_not_there() -> None:
    ended = subprocess.run(
        [BORNE, "self-test", "--port", "/dev/ttyNONE"], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("borne: /dev/ttyNONE: there is no such port")
