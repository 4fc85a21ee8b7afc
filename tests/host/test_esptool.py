from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import threading

import pytest
from rom_board import MB, RomBoard, patient_bootloader, set_flash_id, silent_port
from serial_server import Line, SerialServer

from borne import boards
from borne.errors import BoardError, FlashError, NoAnswer, PortError
from borne.flashing import chip as chip_room
from borne.flashing import esptool, flasher, node
from borne.flashing.image import Region

__all__ = ["patient_bootloader"]

DEVKIT = boards.load("esp32-devkitc")
S3 = boards.load("esp32-s3-devkitc")
# Random bytes do not compress, so that the bytes on the line are about the bytes of the regions.
SMALL = (
    Region("one", 0x1000, os.urandom(3000)),
    Region("two", 0x10000, os.urandom(60_000)),
    Region("blank", 0x40000, b"\xff" * 4096),
)


def holds(flash, regions):
    """Every block that matters, byte for byte."""
    parts = [
        (region.offset + block * 4096, region.data[block * 4096 :][:4096])
        for region in regions
        for block in region.blocks or range(-(-len(region.data) // 4096))
    ]
    return all(flash.data[offset : offset + len(data)] == data for offset, data in parts)


def test_all_regions_are_written_and_nothing_else():
    with RomBoard() as board:
        done = esptool.flash(board.port, DEVKIT, SMALL)
        assert holds(board.flash, SMALL)
        for region in SMALL:
            board.flash.data[region.offset : region.offset + len(region.data)] = b"\xff" * len(region.data)
        assert not board.flash.data.strip(b"\xff")
    assert (done.port, done.chip, done.bytes) == (board.port, "ESP32-D0WDQ6", 67_096)
    # What is blank already need not be written.
    assert (done.written, done.baud) == (63_000, 921600)
    assert len(done.mac.split(":")) == 6


def test_a_whole_node_is_flashed_and_its_nvs_is_kept():
    regions = node.regions(DEVKIT)
    identity = os.urandom(0x6000)
    with RomBoard() as board:
        board.flash.data[0x9000:0xF000] = identity
        results = flasher.flash_all([flasher.Job(board.port, DEVKIT)])
        assert isinstance(results[0], esptool.Flashed)
        assert holds(board.flash, regions)
        assert board.flash.data[0x9000:0xF000] == identity


def test_an_s3_is_flashed(monkeypatch):
    set_flash_id(monkeypatch, 8)
    region = Region("far", 7 * MB, os.urandom(5000))
    with RomBoard("esp32s3", 8) as board:
        done = esptool.flash(board.port, S3, [region])
        assert holds(board.flash, [region])
    assert done.chip.startswith("ESP32-S3")


def test_the_size_of_the_flash_is_told_before_anything_of_it_is_asked(monkeypatch):
    """SPI_SET_PARAMS before READ_FLASH and SPI_FLASH_MD5: a ROM that was not told knows 2 or 4 MB only."""
    set_flash_id(monkeypatch, 8)
    with RomBoard("esp32s3", 8) as board:
        esptool.flash(board.port, S3, [Region("far", 7 * MB, b"x" * 5000)])
        said = board.cable.beginning
    told = said.index(b"\xc0\x00\x0b\x18\x00")
    assert struct.unpack_from("<I", said, told + 13)[0] == 8 * MB
    assert told < min(said.index(b"\xc0\x00\xd2\x10\x00"), said.index(b"\xc0\x00\x13\x10\x00"))


def test_progress_rises_from_below_a_tenth_to_one():
    seen = []
    with RomBoard() as board:
        esptool.flash(board.port, DEVKIT, SMALL, progress=seen.append)
    assert seen == sorted(seen)
    assert 0 < seen[0] < 0.1
    assert seen[-1] == 1.0
    assert len(seen) > 4


def test_progress_counts_regions_by_their_weight_and_never_falls():
    regions = [chip_room.Span(0x1000, os.urandom(1000)), chip_room.Span(0x2000, os.urandom(3000))]
    seen = []
    meter = chip_room._Meter(regions, seen.append)
    for address, percent in ((0x11F4, 50.0), (0x13E8, 100.0), (0x25DC, 50.0), (0x2400, 1.0), (0x2BB8, 100.0)):
        meter.at(address, percent / 100)
    assert seen == pytest.approx([1 / 8, 1 / 4, 5 / 8, 5 / 8, 1], abs=0.01)


def test_wrong_chip_is_refused_before_anything_is_touched():
    with RomBoard("esp32s3") as board:
        board.flash.data[:100] = os.urandom(100)
        before = bytes(board.flash.data)
        with pytest.raises(BoardError) as caught:
            esptool.flash(board.port, DEVKIT, SMALL)
        assert board.flash.changes == 0
        assert bytes(board.flash.data) == before
    said = str(caught.value)
    assert "the chip is an ESP32-S3, but board esp32-devkitc has an ESP32" in said
    assert "nothing was written" in said
    assert "esp32-s3-devkitc" in said
    assert caught.value.exit_code == 2


def test_a_flash_too_small_is_refused_before_anything_is_touched(monkeypatch):
    set_flash_id(monkeypatch, 2)
    with RomBoard(flash_mb=2) as board:
        with pytest.raises(BoardError, match="the flash has 2 MB, but board esp32-devkitc has 4 MB; nothing"):
            esptool.flash(board.port, DEVKIT, [*SMALL, Region("vfs", 2 * MB, bytes(4096))])
        assert board.flash.changes == 0


def test_a_cable_pulled_half_way_is_said_and_the_next_flash_recovers(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    big = (Region("big", 0x10000, os.urandom(400_000)),)
    with RomBoard() as board:
        port = board.plug(cut_after=200_000)
        with pytest.raises(FlashError) as caught:
            esptool.flash(port, DEVKIT, big)
        assert not holds(board.flash, big)
        esptool.flash(board.plug(), DEVKIT, big)
        assert holds(board.flash, big)
    said = str(caught.value)
    assert said.startswith(f"{port}: the link broke at ")
    assert 35 <= int(said.split("broke at ")[1].split("%")[0]) <= 55
    assert "run the same command again" in said
    assert "\n" not in said
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())


class Forgetful(RomBoard):
    """Flash that loses one bit of what it is given."""

    def _serve(self, cut_after):
        write = self.flash.write_defl_block

        def lossy(payload):
            write(payload)
            self.flash.data[0x10010] &= 0xFE

        self.flash.write_defl_block = lossy
        super()._serve(cut_after)


def test_flash_that_does_not_hold_what_was_written_is_noticed():
    odd = Region("odd", 0x10000, b"\x55" * 5000)
    with Forgetful() as board, pytest.raises(FlashError, match="does not hold what was written"):
        esptool.flash(board.port, DEVKIT, [odd])


@pytest.mark.parametrize("rfc2217", [False, True], ids=["socket", "rfc2217"])
def test_over_the_network(rfc2217):
    region = Region("small", 0x10000, b"over the wire" * 100)
    with RomBoard() as board, SerialServer(Line(board.port), rfc2217=rfc2217) as server:
        done = esptool.flash(server.url, DEVKIT, [region])
        assert holds(board.flash, [region])
    assert done.chip == "ESP32-D0WDQ6"


def test_a_silent_port_says_to_hold_boot(monkeypatch):
    number, listener = silent_port()
    monkeypatch.setattr(chip_room, "_CONNECT_ATTEMPTS", 1)
    with listener, pytest.raises(NoAnswer, match="no ESP32 answers; hold BOOT"):
        esptool.flash(f"socket://127.0.0.1:{number}", DEVKIT, SMALL)


def test_no_port_and_no_server():
    with pytest.raises(PortError, match="there is no such port"):
        esptool.flash("/dev/ttyNONE", DEVKIT, SMALL)
    number, listener = silent_port()
    listener.close()
    with pytest.raises(PortError, match="cannot be reached: Connection refused"):
        esptool.flash(f"socket://127.0.0.1:{number}", DEVKIT, SMALL)


def test_identify_names_chip_and_mac():
    with RomBoard() as board:
        identity = esptool.identify(board.port)
        assert board.flash.changes == 0
    assert identity is not None
    assert identity.chip == "ESP32-D0WDQ6"
    assert len(identity.mac) == 17


def test_identify_a_silent_port():
    number, listener = silent_port()
    with listener:
        assert esptool.identify(f"socket://127.0.0.1:{number}") is None


class Interrupt(Exception):
    pass


def test_an_error_in_the_progress_function_leaves_no_process_behind():
    children = []

    def spy(*arguments, **options):
        children.append(REAL(*arguments, **options))
        return children[-1]

    def stop(_):
        raise Interrupt

    with pytest.MonkeyPatch.context() as patch, RomBoard() as board:
        patch.setattr(subprocess, "Popen", spy)
        with pytest.raises(Interrupt):
            esptool.flash(board.port, DEVKIT, SMALL, progress=stop)
    assert [child.poll() is not None for child in children] == [True]


REAL = subprocess.Popen


def test_several_boards_at_once_and_a_failed_one_does_not_stop_the_others():
    with RomBoard() as first, RomBoard("esp32s3") as wrong, RomBoard() as last:
        seen = {}
        results = esptool.flash_all(
            [first.port, wrong.port, last.port],
            DEVKIT,
            SMALL,
            progress=lambda port, part: seen.update({port: part}),
        )
        assert holds(first.flash, SMALL)
        assert holds(last.flash, SMALL)
        assert wrong.flash.changes == 0
    assert isinstance(results[1], BoardError)
    assert [result.port for result in (results[0], results[2])] == [first.port, last.port]
    assert seen == {first.port: 1.0, last.port: 1.0}


def test_ctrl_c_ends_it_and_its_esptool():
    script = (
        "import sys\n"
        "from borne import boards\n"
        "from borne.flashing import esptool, image\n"
        "region = image.Region('big', 0x10000, bytes(range(256)) * 4000)\n"
        "board = boards.load('esp32-devkitc')\n"
        "esptool.flash_all(sys.argv[1:], board, [region], progress=lambda *_: print('.', flush=True))\n"
    )
    with RomBoard() as board, RomBoard() as other:
        child = subprocess.Popen(
            [sys.executable, "-c", script, board.port, other.port],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
        assert child.returncode in (1, -signal.SIGINT)
        # Nobody of its session is left: the group is gone.
        with pytest.raises(ProcessLookupError):
            os.killpg(child.pid, 0)


def test_threads_of_the_fakes_end():
    before = threading.active_count()
    with RomBoard():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
