"""borne flash, borne boards and borne ports as people run them, against virtual boards."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from littlefs import LittleFS

from borne import boards
from borne.flashing import image, node
from borne.flashing.repl import Repl
from borne.virtual import VirtualBoard

BORNE = str(Path(sys.executable).with_name("borne"))
DEVKIT = boards.load("esp32-devkitc")
READY = b"waiting 3 s for a host"


def borne(*arguments, **environment):
    return subprocess.run(
        [BORNE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )


def refused(*arguments, code=2, **environment):
    """One line on stderr, nothing on stdout, and this exit code."""
    done = borne(*arguments, **environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("borne: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def flash_of(board):
    return (board.folder / "flash.bin").read_bytes()


def is_node(flash):
    """Every region as it was built; in the filesystem the running node may have added files of its own."""
    *fixed, vfs = node.regions(DEVKIT)
    system = LittleFS(block_size=4096, block_count=len(vfs.data) // 4096, mount=False, name_max=255)
    system.context.buffer = bytearray(flash[vfs.offset :])
    system.mount()
    return all(
        flash[region.offset : region.offset + len(region.data)] == region.data for region in fixed
    ) and all(system.open(name, "rb").read() == content for name, content in node.node_files(DEVKIT).items())


@pytest.fixture
def board(tmp_path):
    with VirtualBoard(tmp_path / "board") as bare:
        bare.power_on()
        yield bare


def test_a_bare_board_becomes_a_node_and_is_named_by_ports(board):
    before = json.loads(borne("ports", board.port, "--json").stdout)
    assert (before["answer"], before["detail"][:5]) == ("bootloader", "ESP32")
    done = borne("flash", "esp32-devkitc", "--port", board.port)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{board.port}: ESP32" in done.stdout
    assert before["mac"] in done.stdout
    assert "borne provision" in done.stdout
    assert board.wait_for(READY)
    assert is_node(flash_of(board))
    after = json.loads(borne("ports", board.port, "--json").stdout)
    assert after["answer"] == "borne"
    assert f"borne node, firmware {after['detail']}" in borne("ports", board.port).stdout


def test_the_result_as_json(board):
    done = borne("flash", "esp32-devkitc", "--port", board.port, "--json")
    result = json.loads(done.stdout)
    assert result["board"] == "esp32-devkitc"
    assert result["mac"] == board.mac.hex(":")
    assert result["bytes"] == sum(len(region.data) for region in node.regions(DEVKIT))


def test_flashing_again_keeps_what_is_in_nvs(board):
    borne("flash", "esp32-devkitc", "--port", board.port)
    code = "import esp32\nn=esp32.NVS('borne')\n"
    with Repl(board.port) as on_board:
        on_board.run(code + "n.set_blob('wifi_pw.a',b'kept')\nn.commit()")
    kept = flash_of(board)[0x9000:0xF000]
    assert borne("flash", "esp32-devkitc", "--port", board.port).returncode == 0
    assert flash_of(board)[0x9000:0xF000] == kept
    with Repl(board.port) as on_board:
        assert on_board.run(code + "b=bytearray(9)\nprint(b[:n.get_blob('wifi_pw.a',b)])").strip() == repr(
            bytearray(b"kept")
        )


def test_wrong_chip_is_refused_before_anything_is_erased(tmp_path):
    with VirtualBoard(tmp_path / "s3", chip="esp32s3") as board:
        board.power_on()
        before = hashlib.sha256(flash_of(board)).hexdigest()
        said = refused("flash", "esp32-devkitc", "--port", board.port)
        assert hashlib.sha256(flash_of(board)).hexdigest() == before
    assert "the chip is an ESP32-S3, but board esp32-devkitc has an ESP32; nothing was written" in said
    assert "esp32-s3-devkitc" in said


@pytest.mark.parametrize(
    ("size", "says"), [(1_000_000, "truncated"), (0x6000, "truncated"), (0, "no ESP32 image")]
)
def test_a_truncated_image_is_refused_before_anything_is_erased(board, tmp_path, size, says):
    path = tmp_path / "half.bin"
    path.write_bytes(image.find_image(DEVKIT).read_bytes()[:size])
    before = flash_of(board)
    said = refused("flash", "esp32-devkitc", "--port", board.port, "--image", path)
    assert says in said
    assert "https://micropython.org/download/ESP32_GENERIC/" in said
    assert flash_of(board) == before


def test_an_image_for_another_chip_is_refused(board):
    said = refused("flash", "esp32-s3-devkitc", "--port", board.port, "--image", image.find_image(DEVKIT))
    assert "is for ESP32, but board esp32-s3-devkitc has an ESP32-S3" in said


def test_a_missing_image_says_where_to_get_it_and_boards_may_be_files(board, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(
        (Path(__file__).parents[2] / "boards" / "esp32-devkitc.toml")
        .read_text()
        .replace('image = "ESP32_GENERIC"', 'image = "ESP32_NOWHERE"')
    )
    said = refused("flash", mine, "--port", board.port, BORNE_OFFLINE="1")
    assert "ESP32_NOWHERE-20250415-v1.25.0.bin is missing" in said
    assert "https://micropython.org/download/ESP32_NOWHERE/" in said


def test_a_cable_pulled_half_way_and_the_next_flash_recovers(board):
    board.line.fault(cut_after=600_000)
    said = refused("flash", "esp32-devkitc", "--port", board.port, code=1)
    assert re.search(r"the link broke at [3-7]\d% ", said)
    assert "check the cable and run the same command again" in said
    board.replug()
    board.reset()
    assert borne("flash", "esp32-devkitc", "--port", board.port).returncode == 0
    assert board.wait_for(READY)
    assert is_node(flash_of(board))


def test_several_boards_at_once_and_one_that_fails(tmp_path):
    with VirtualBoard(tmp_path / "one") as one, VirtualBoard(tmp_path / "two", chip="esp32s3") as two:
        one.power_on()
        two.power_on()
        done = borne("flash", "esp32-devkitc", "-p", one.port, "-p", two.port, "--json")
        assert done.returncode == 2
        assert [json.loads(line)["port"] for line in done.stdout.splitlines()] == [one.port]
        assert done.stderr.startswith(f"borne: {two.port}: the chip is an ESP32-S3")
        assert is_node(flash_of(one))


def test_on_a_terminal_there_is_a_progress_bar(board):
    terminal, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    child = subprocess.Popen(
        [BORNE, "flash", "esp32-devkitc", "--port", board.port],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=far,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(far)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
    os.close(terminal)
    assert child.wait() == 0
    child.communicate()
    assert board.port.encode()[-20:] in shown
    percentages = [int(found) for found in re.findall(rb"(\d+)%", shown)]
    assert percentages[-1] == 100
    assert len(set(percentages)) > 5


def test_ctrl_c_is_said_in_one_line_and_the_next_flash_recovers(board):
    child = subprocess.Popen(
        [BORNE, "flash", "esp32-devkitc", "--port", board.port],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The first thing in the flash is the bootloader's magic byte: writing has begun.
    flash = board.folder / "flash.bin"
    while flash.read_bytes()[0x1000] == 0xFF and child.poll() is None:
        select.select([], [], [], 0.02)
    child.send_signal(signal.SIGINT)
    output, said = child.communicate(timeout=60)
    assert output == ""
    assert said.startswith("borne: interrupted; a board is incomplete until it is flashed again\n")
    assert "Traceback" not in said
    assert child.returncode == 130
    assert borne("flash", "esp32-devkitc", "--port", board.port).returncode == 0
    assert is_node(flash_of(board))


def test_unknown_board_suggests_the_nearest():
    assert "did you mean 'esp32-devkitc'?" in refused("flash", "esp32-devkit", "--port", "/dev/ttyNONE")


def test_no_board_on_the_port():
    assert "/dev/ttyNONE: there is no such port" in refused(
        "flash", "esp32-devkitc", "--port", "/dev/ttyNONE"
    )


def test_a_port_that_another_program_has_open(board):
    with Path(board.port).open("rb", buffering=0) as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        said = refused("flash", "esp32-devkitc", "--port", board.port)
    assert f"(pid {os.getpid()}) has it open" in said


def test_boards_lists_them_all():
    listed = [json.loads(line) for line in borne("boards", "--json").stdout.splitlines()]
    assert [board["name"] for board in listed] == boards.names()
    table = borne("boards", COLUMNS="200").stdout
    for name in boards.names():
        assert name in table
        assert boards.load(name).title in table


def test_ports_names_what_does_not_open():
    done = borne("ports", "/dev/ttyNONE")
    assert done.returncode == 0
    assert "there is no such port" in " ".join(done.stdout.split())
