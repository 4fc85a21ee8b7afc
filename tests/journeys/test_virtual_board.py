"""The real esptool and the real mpremote against a virtual board on a pty: they must not notice."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from virtual_kit import Bench, flash_file, read_file

import borne.boards
from borne.flashing.image import find_image
from borne.virtual import SimClock, VirtualBoard

LIMIT_S = 120
PATIENT = """
import time
print("* waiting")
try:
    for _ in range(30):
        time.sleep_ms(100)
    print("* nobody came")
except KeyboardInterrupt:
    print("* a host")
"""


def tool(module: str, *arguments: str | Path, ok: bool = True) -> str:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, output
    return output


def esptool(board: VirtualBoard, *arguments: str | Path, ok: bool = True) -> str:
    return tool("esptool", "--port", board.port, "--chip", board.chip, *arguments, ok=ok)


def mpremote(board: VirtualBoard, *arguments: str | Path, ok: bool = True) -> str:
    return tool("mpremote", "connect", board.port, *arguments, ok=ok)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard(tmp_path / "board", clock=SimClock(), mac=b"\x24\x0a\xc4\xde\xad\x01") as board:
        board.power_on()
        yield board


def test_a_bare_board_is_flashed_and_boots_from_what_was_written(board: VirtualBoard, tmp_path: Path) -> None:
    image = find_image(borne.boards.load("esp32-devkitc"))
    assert board.state == "invalid"
    written = esptool(board, "--baud", "460800", "write-flash", "0x1000", image)
    assert "Hash of data verified" in written
    assert "24:0a:c4:de:ad:01" in written
    flash = (board.folder / "flash.bin").read_bytes()
    assert flash[0x1000 : 0x1000 + image.stat().st_size] == image.read_bytes()
    # esptool hangs up; the board starts, formats the empty filesystem and shows its prompt on a standing clock.
    assert board.wait_for(b"Performing initial setup\r\n")
    assert "boot.py" in mpremote(board, "fs", "ls")
    back = tmp_path / "back.bin"
    esptool(board, "read-flash", "0x1000", "0x20000", back)
    assert hashlib.sha256(back.read_bytes()).digest() == hashlib.sha256(flash[0x1000:0x21000]).digest()


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c3"])
def test_esptool_knows_every_chip_its_mac_and_its_flash(tmp_path: Path, chip: str) -> None:
    mac = b"\x24\x0a\xc4\x00\x01\x02"
    with VirtualBoard(tmp_path, chip=chip, mac=mac, flash_size=8 << 20, clock=SimClock()) as board:
        board.power_on()
        found = tool("esptool", "--port", board.port, "flash-id")
        assert "24:0a:c4:00:01:02" in found
        assert "8MB" in found
        assert {"esp32": "ESP32", "esp32s3": "ESP32-S3", "esp32c3": "ESP32-C3"}[chip] in found


def test_regions_are_written_erased_and_read_back(board: VirtualBoard, tmp_path: Path) -> None:
    parts: list[str | Path] = []
    for n, offset in enumerate((0x10000, 0x20000, 0x30123)):
        path = tmp_path / f"part{n}.bin"
        path.write_bytes(os.urandom(9000))
        parts += [hex(offset), path]
    esptool(board, "write-flash", *parts)
    flash = (board.folder / "flash.bin").read_bytes()
    assert flash[0x10000 : 0x10000 + 9000] == (tmp_path / "part0.bin").read_bytes()
    assert flash[0x30123 : 0x30123 + 9000] == (tmp_path / "part2.bin").read_bytes()
    assert flash[0x10000 + 9000 : 0x20000] == b"\xff" * (0x10000 - 9000)
    esptool(board, "erase-region", "0x20000", "0x3000")
    flash = (board.folder / "flash.bin").read_bytes()
    assert flash[0x20000:0x23000] == b"\xff" * 0x3000
    esptool(board, "erase-flash")
    assert set((board.folder / "flash.bin").read_bytes()) == {0xFF}


def test_the_rom_without_the_stub_writes_too(board: VirtualBoard, tmp_path: Path) -> None:
    part = tmp_path / "part.bin"
    part.write_bytes(os.urandom(20_000))
    esptool(board, "--no-stub", "write-flash", "0x10000", part)
    assert (board.folder / "flash.bin").read_bytes()[0x10000 : 0x10000 + 20_000] == part.read_bytes()


def test_esptool_survives_dropped_bytes(board: VirtualBoard, tmp_path: Path) -> None:
    part = tmp_path / "part.bin"
    part.write_bytes(os.urandom(150_000))
    board.line.fault(drop=1e-5, seed=3)
    esptool(board, "write-flash", "0x10000", part)
    assert (board.folder / "flash.bin").read_bytes()[0x10000 : 0x10000 + 150_000] == part.read_bytes()


def test_a_cable_pulled_in_the_middle_fails_and_the_next_flash_recovers(
    board: VirtualBoard, tmp_path: Path
) -> None:
    part = tmp_path / "part.bin"
    part.write_bytes(os.urandom(150_000))
    board.line.fault(cut_after=80_000)
    esptool(board, "write-flash", "0x10000", part, ok=False)
    assert (board.folder / "flash.bin").read_bytes()[0x10000 : 0x10000 + 150_000] != part.read_bytes()
    board.replug()
    esptool(board, "write-flash", "0x10000", part)
    assert (board.folder / "flash.bin").read_bytes()[0x10000 : 0x10000 + 150_000] == part.read_bytes()


def test_mpremote_runs_copies_and_lists(tmp_path: Path) -> None:
    with Bench(tmp_path / "board", PATIENT) as bench:
        board = bench.board
        board.power_on()
        assert mpremote(board, "exec", "print(6 * 7)").split() == ["42"]
        source = tmp_path / "big.txt"
        source.write_bytes(bytes(range(32, 127)) * 300)
        mpremote(board, "fs", "mkdir", ":lib")
        mpremote(board, "fs", "cp", source, ":lib/big.txt")
        assert "28500 big.txt" in mpremote(board, "fs", "ls", ":lib")
        back = tmp_path / "back.txt"
        mpremote(board, "fs", "cp", ":lib/big.txt", back)
        assert back.read_bytes() == source.read_bytes()
        assert read_file(board.folder / "flash.bin", "lib/big.txt") == source.read_bytes()
        assert "1" in mpremote(board, "exec", "raise ValueError(1)", ok=False)


def test_mpremote_gets_in_during_the_boot_window_and_the_window_stands(tmp_path: Path) -> None:
    with Bench(tmp_path, PATIENT) as bench:
        board = bench.board
        board.power_on()
        assert board.wait_for(b"* waiting")
        assert "(2000" in mpremote(board, "exec", "import time; print(time.localtime())")
        assert board.wait_for(b"* a host")
        # Left at the prompt with a soft reset in between, the board does not start by itself; a reset starts it.
        board.reset()
        bench.clock.run_for(10)
        assert bench.lines()[-2:] == ["waiting", "nobody came"]


def test_a_host_that_sleeps_at_the_prompt_does_not_need_the_clock(tmp_path: Path) -> None:
    with Bench(tmp_path, PATIENT) as bench:
        bench.board.power_on()
        script = "import time; a = time.ticks_ms(); time.sleep(5); print(time.ticks_diff(time.ticks_ms(), a) // 1000)"
        assert "5" in mpremote(bench.board, "exec", script)
        assert bench.clock.now == 1_790_000_000


def test_soft_reset_from_the_raw_repl_skips_main_and_from_the_prompt_does_not(tmp_path: Path) -> None:
    with Bench(tmp_path, "print('* main')", files={"boot.py": "print('* boot')"}) as bench:
        board = bench.board
        bench.run(2)
        assert bench.lines() == ["boot", "main"]
        mpremote(board, "soft-reset")
        assert bench.lines() == ["boot", "main", "boot"]
        host = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        os.write(host, b"\r\n\x04")
        assert board.wait_for(b"MPY: soft reboot\r\n* boot\r\n* main\r\n")
        os.close(host)
        assert bench.lines() == ["boot", "main", "boot", "boot", "main"]


def test_mpremote_stops_a_program_that_never_ends(tmp_path: Path) -> None:
    with Bench(tmp_path, "print('* up')\nwhile True:\n    pass\n") as bench:
        bench.board.power_on()
        assert bench.board.wait_for(b"* up")
        assert "free" in mpremote(bench.board, "exec", "print('free')")


def test_a_board_without_an_image_tells_whoever_asks(board: VirtualBoard) -> None:
    host = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
    os.write(host, b"\r\n")
    assert b"rst:0x1 (POWERON_RESET)" in os.read(host, 4096)
    os.close(host)


def test_power_cut_during_an_upload_keeps_the_old_file(tmp_path: Path) -> None:
    old, new = b"old" * 1000, tmp_path / "new.txt"
    new.write_bytes(b"new" * 20_000)
    with Bench(tmp_path / "board", PATIENT, files={"kept.txt": old}) as bench:
        board = bench.board
        board.power_on()
        board.line.fault(cut_after=30_000)
        mpremote(board, "fs", "cp", new, ":new.txt", ok=False)
        board.power_off()
        board.replug()
        board.power_on()
        assert "kept.txt" in mpremote(board, "fs", "ls")
    assert read_file(tmp_path / "board" / "flash.bin", "kept.txt") == old


def test_flashing_does_not_touch_what_lies_beside(tmp_path: Path) -> None:
    folder = tmp_path / "board"
    flash_file(folder, {"main.py": PATIENT})
    before = (folder / "flash.bin").read_bytes()
    part = tmp_path / "nvs.bin"
    part.write_bytes(os.urandom(0x6000))
    with VirtualBoard(folder, clock=SimClock()) as board:
        board.power_on()
        esptool(board, "write-flash", "0x9000", part)
        assert board.wait_for(b"* waiting")
        after = (folder / "flash.bin").read_bytes()
    assert after[:0x9000] == before[:0x9000]
    assert after[0x9000:0xF000] == part.read_bytes()
    assert after[0xF000:] == before[0xF000:]
