"""Boards on emulated ROMs that become nodes: images of a tenth of the real size, and what is in a flash."""

from __future__ import annotations

import os

import made_images
import pytest
from littlefs import LittleFS
from rom_board import MB

from borne import boards
from borne.flashing import flasher, keeping, node
from borne.flashing.flasher import How, Job
from borne.fleet import provision
from borne.virtual.nvs import Partition

DEVKIT = boards.load("esp32-devkitc")
LORA = boards.load("ttgo-lora32-v21")
NVS_AT, NVS_SIZE, VFS_AT = 0x9000, 0x6000, 0x200000
FILL = {
    "kind": "fill",
    "name": "bin-7",
    "wifi_ssid": "Mairie",
    "mqtt_host": "broker.example",
    "depth_mm": 1500,
}
ROAD = {"kind": "parking", "name": "bay-3", "link": "lorawan", "dev_eui": "70b3d57ed0051c7a"}
KEY = bytes.fromhex("5c1f9e07a2b64d83fe10c95a7723b1d6")


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Images of our own making, a tenth of the real one's size; a computer without memories of earlier boards."""
    own = tmp_path / "images"
    for board in (DEVKIT, LORA):
        made_images.put(own, board)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return own / DEVKIT.image_file


@pytest.fixture
def how(small):
    return How(small)


def identity(given, **secrets):
    return node.Identity(*provision.check(given, secrets))


def mounted(flash, size=2 * MB):
    system = LittleFS(block_size=4096, block_count=size // 4096, mount=False, name_max=255)
    system.context.buffer = bytearray(flash.data[VFS_AT : VFS_AT + size])
    system.mount()
    return system


def files_of(flash):
    system = mounted(flash)
    return {
        f"{folder}/{name}".lstrip("/"): system.open(f"{folder}/{name}", "rb").read()
        for folder, _, names in system.walk("/")
        for name in names
    }


def add_files(flash, files):
    """As the node writes them: into the filesystem that is there, wherever littlefs finds room."""
    system = mounted(flash)
    for name, content in files.items():
        folder = name.rpartition("/")[0]
        if folder:
            system.makedirs(folder, exist_ok=True)
        with system.open(name, "wb") as file:
            file.write(content)
    flash.data[VFS_AT : VFS_AT + 2 * MB] = system.context.buffer


def values_of(flash):
    return Partition(flash.data, NVS_AT, NVS_SIZE).values()


def rescued():
    return list(keeping.folder().glob("*")) if keeping.folder().exists() else []


SETTINGS = provision.check_settings(FILL)
OWN = {
    "settings.json": node.settings_file(node.Identity(SETTINGS)),
    "outbox/1": os.urandom(200),
    "outbox/2": b"x" * 40,
}


def lived_in(board, how):
    """A node that has been provisioned and has reports waiting."""
    flasher.flash(Job(board.port, DEVKIT), how)
    add_files(board.flash, OWN)
    memory = Partition(board.flash.data, NVS_AT, NVS_SIZE)
    memory.set_blob("borne", "wifi_pw.a", b"correct horse")
    memory.set_blob("borne", "ledger", b"spent" * 30)
    memory.set_i32("phy", "cal", -7)
