"""Backups of a node and their way back, onto its own board or another."""

from __future__ import annotations

import os
import select
import stat

import pytest
from flash_kit import (
    DEVKIT,
    OWN,
    files_of,
    how,
    lived_in,
    small,
    values_of,
)
from rom_board import RomBoard, patient_bootloader

from borne.errors import BoardError, ImageError
from borne.flashing import backup, flasher, restoring
from borne.flashing.flasher import Job

__all__ = ["how", "patient_bootloader", "small"]


def test_a_backup_holds_all_and_comes_back_onto_another_board(how, tmp_path):
    with RomBoard() as board:
        lived_in(board, how)
        changes = board.flash.changes
        memory = restoring.take(board.port)
        assert board.flash.changes == changes
        before, keys = files_of(board.flash), values_of(board.flash)
    assert memory.files == before
    assert memory.board == "esp32-devkitc"
    assert memory.nvs not in repr(memory).encode()
    memory.save(tmp_path / "node.zip")
    assert stat.S_IMODE((tmp_path / "node.zip").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("node*")] == ["node.zip"]
    loaded = backup.load(tmp_path / "node.zip")
    with RomBoard() as fresh:
        flasher.flash(Job(fresh.port, DEVKIT), how)
        done = restoring.restore(fresh.port, loaded)
        assert files_of(fresh.flash) == before
        assert values_of(fresh.flash) == keys
        assert restoring.restore(fresh.port, loaded).written == 0
    assert sorted(done.kept) == sorted(OWN)


def test_a_backup_goes_onto_its_own_board_only_unless_told(how):
    with RomBoard() as board:
        lived_in(board, how)
        memory = restoring.take(board.port)
        foreign = backup.Backup(memory.chip, "02:00:00:00:00:01", memory.board, memory.nvs, memory.files)
        before = bytes(board.flash.data)
        with pytest.raises(BoardError, match="but the backup is of 02:00:00:00:00:01; nothing was written"):
            restoring.restore(board.port, foreign)
        with pytest.raises(BoardError, match="the backup is of an ESP32-S3; nothing was written"):
            restoring.restore(board.port, backup.Backup("ESP32-S3", memory.mac, files={"a": b""}))
        assert bytes(board.flash.data) == before
        assert restoring.restore(board.port, foreign, another=True).mac == memory.mac


def test_a_bare_board_has_nothing_to_save_and_no_place_to_restore(how):
    with RomBoard() as board:
        with pytest.raises(BoardError, match="no MicroPython on it: flash the board first"):
            restoring.take(board.port)
        mac = "24:0a:c4:e2:95:26"
        with pytest.raises(BoardError, match="no MicroPython on it"):
            restoring.restore(
                board.port, backup.Backup("ESP32", mac, nvs=b"", files={"a": b""}), another=True
            )
        assert board.flash.changes == 0


@pytest.mark.parametrize("at", [50, 400, 800, -5])
def test_a_damaged_backup_is_refused(tmp_path, at):
    path = tmp_path / "node.zip"
    backup.Backup("ESP32", "02:00:00:00:00:01", "b", os.urandom(500), {"a": os.urandom(500)}).save(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"node\.zip: "):
        backup.load(path)


def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ImageError, match="No such file or directory"):
        backup.Backup("ESP32", "x").save(tmp_path / "none" / "node.zip")
    with pytest.raises(ImageError, match="No such file or directory"):
        backup.load(tmp_path / "none.zip")
    assert not list(tmp_path.glob("*.part"))


def test_a_port_that_nobody_else_needs_is_not_kept(how):
    """The process that holds esptool is gone when the board is done."""
    with RomBoard() as board:
        flasher.flash(Job(board.port, DEVKIT), how)
        poll = select.poll()
        poll.register(board._master, 0)
        assert poll.poll(1000)[0][1] & select.POLLHUP
