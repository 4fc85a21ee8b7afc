"""Which board is on a port: what its flash, its chip and its bridge tell."""

from __future__ import annotations

import os

import pytest
from flash_kit import (
    LORA,
    how,
    small,
)
from rom_board import RomBoard, patient_bootloader

from borne.errors import BoardError, NoAnswer
from borne.flashing import detect, esptool, flasher
from borne.flashing.flasher import Job

__all__ = ["how", "patient_bootloader", "small"]


def test_a_node_says_itself_which_board_it_is(how):
    with RomBoard() as board:
        flasher.flash(Job(board.port, LORA), how)
        found = detect.find(board.port)
    assert found.board == LORA
    assert found.identity.name == "ESP32"
    assert found.flash_mb == 4


def test_a_bare_board_of_a_common_chip_is_asked_for(how):
    with RomBoard() as board:
        found = detect.find(board.port)
        assert board.flash.changes == 0
    assert found.board is None
    assert {"esp32-devkitc", "ttgo-lora32-v21"} <= set(found.fitting)
    # Boards with more flash than there is are out of the question.
    assert "heltec-v2" not in found.fitting
    with pytest.raises(
        BoardError, match=r"an ESP32 with 4 MB of flash could be esp32-devkitc, .*: say which"
    ):
        found.sure()


def test_usb_ids_tell_a_board_that_has_its_own(monkeypatch):
    monkeypatch.setattr(detect, "_usb_id", lambda port: "239a:811b")
    with RomBoard("esp32s3") as board:
        assert detect.find(board.port).sure().name == "feather-esp32s3-rfm95"


def test_usb_ids_of_a_bridge_tell_only_what_is_likely(monkeypatch):
    monkeypatch.setattr(detect, "_usb_id", lambda port: "10c4:ea60")
    with RomBoard() as board:
        found = detect.find(board.port)
    assert found.board is None
    assert found.fitting[0] == "ttgo-t-beam-v11"


def test_a_silent_port_has_no_board(tmp_path):
    master, slave = os.openpty()
    try:
        with pytest.raises(NoAnswer, match="hold BOOT, press and release RESET"):
            esptool.attempt(os.ttyname(slave), lambda chip: None)
    finally:
        os.close(master)
        os.close(slave)
