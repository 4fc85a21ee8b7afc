"""borne exec, info, logs, reset, console and doctor as people run them, against virtual boards."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serial_server import Line, SerialServer
from virtual_kit import VFS_SIZE, flash_file

from borne import boards
from borne.flashing import node
from borne.virtual import VirtualBoard

BORNE = str(Path(sys.executable).with_name("borne"))
READY = b"waiting 3 s for a host"
NEW = node.node_files(boards.load("esp32-devkitc"))
SETTINGS = b'{"depth_mm":1500,"kind":"fill","mqtt_host":"h","name":"bin-7","version":1,"wifi_ssid":"Mairie"}'
LOG = b"1796000400 wake 2 failed: MemoryError\n7 wake 1 ended by reset 3\n"


def borne(*arguments: str, code: int = 0, **options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([BORNE, *arguments], capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr or code == 1
    return done  # type: ignore[no-any-return]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., VirtualBoard]]:
    placed: list[VirtualBoard] = []

    def _place(**files: bytes) -> VirtualBoard:
        flash_file(tmp_path / "board", vfs=node.filesystem(NEW | files, VFS_SIZE))
        placed.append(VirtualBoard(tmp_path / "board"))
        placed[0].power_on()
        assert placed[0].wait_for(READY)
        return placed[0]

    yield _place
    for board in placed:
        board.close()


@pytest.fixture
def board(place: Callable[..., VirtualBoard]) -> VirtualBoard:
    return place()


def test_exec_prints_what_comes_and_the_node_runs_again(board: VirtualBoard) -> None:
    board.forget_printed()
    assert borne("exec", "--port", board.port, "for n in range(3):print(n)").stdout == "0\n1\n2\n"
    assert board.wait_for(READY)


def test_exec_of_a_file_and_of_stdin_and_over_ampy(board: VirtualBoard, tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("print('é', 6*7)")
    assert borne("exec", "--port", board.port, "-f", str(script), "--no-restart").stdout == "é 42\n"
    done = borne("exec", "--port", board.port, "-f", "-", "--via", "ampy", "--no-restart", input="print(1)")
    assert done.stdout == "1\n"


def test_exec_of_what_raises_shows_the_boards_own_traceback(board: VirtualBoard) -> None:
    done = borne("exec", "--port", board.port, "print(1)\n1/0", code=1)
    assert done.stdout == "1\n"
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: divide by zero"


def test_exec_of_nothing_and_of_no_file(tmp_path: Path) -> None:
    assert borne("exec", "-p", "x", code=2).stderr == "borne: exec: give either code or --file\n"
    said = borne("exec", "-p", "x", "-f", str(tmp_path / "none"), code=2).stderr
    assert said == f"borne: {tmp_path / 'none'}: No such file or directory\n"
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "is no text in UTF-8" in borne("exec", "-p", "x", "-f", str(tmp_path / "binary"), code=2).stderr


def test_info_of_a_node_and_of_one_that_is_not_provisioned(place: Callable[..., VirtualBoard]) -> None:
    board = place(**{"settings.json": SETTINGS})
    with_secret = (
        "import esp32\nn=esp32.NVS('borne')\nn.set_blob('wifi_pw.a',b'hunter2hunter2')\n"
        "n.set_blob('lw_nonce',bytes((7,0,0,0,1,2,3,4)))\nn.commit()"
    )
    borne("exec", "-p", board.port, with_secret)
    done = borne("info", "--port", board.port, "--json")
    found = json.loads(done.stdout)
    assert found["firmware"] == "0.1.0"
    assert found["settings"]["name"] == "bin-7"
    assert (found["dev_nonce"], found["dropped"], found["waiting"]) == (7, 0, 0)
    assert 0 < found["free_heap"] < found["heap"]
    assert 0 < found["free_flash"] < found["flash"] == VFS_SIZE
    assert found["mac"] == board.mac.hex()
    assert "hunter2" not in done.stdout
    said = borne("info", "--port", board.port).stdout
    assert "settings.wifi_ssid" in said
    assert "hunter2" not in said


def test_info_of_a_bare_node(board: VirtualBoard) -> None:
    assert "none: not provisioned" in borne("info", "--port", board.port).stdout
    borne("exec", "-p", board.port, "import os\nos.remove('version.json')")
    found = json.loads(borne("info", "--port", board.port, "--json").stdout)
    assert found["firmware"] is None
    assert found["free_heap"] > 0


def test_logs_are_what_the_node_wrote_down(place: Callable[..., VirtualBoard]) -> None:
    board = place(log=LOG)
    done = borne("logs", "--port", board.port)
    assert done.stdout.splitlines() == [
        "2026-11-30T01:00:00+00:00  wake 2 failed: MemoryError",
        "no clock                   wake 1 ended by reset 3",
    ]
    lines = [json.loads(line) for line in borne("logs", "--port", board.port, "--json").stdout.splitlines()]
    assert lines[1] == {"at": None, "text": "wake 1 ended by reset 3"}


def test_no_logs(board: VirtualBoard) -> None:
    done = borne("logs", "--port", board.port)
    assert (done.stdout, done.stderr) == ("", f"{board.port}: nothing went wrong\n")


def read_until(descriptor: int, text: bytes) -> bytes:
    heard = b""
    while text not in heard:
        assert select.select([descriptor], [], [], 30)[0], heard
        heard += os.read(descriptor, 4096)
    return heard


def test_following_says_nothing_to_the_node_and_explains_its_log(board: VirtualBoard) -> None:
    child = subprocess.Popen([BORNE, "logs", "--follow", "--port", board.port], stdout=subprocess.PIPE)
    assert child.stdout
    while not board.line.connected:
        select.select([], [], [], 0.02)
    board.reset()
    heard = read_until(child.stdout.fileno(), b"borne provision\n")
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 0
    assert b"rst:0x1 (POWERON_RESET)" in heard
    assert b"^ the node has no valid settings: borne provision" in heard
    child.stdout.close()


def test_reset_each_way(board: VirtualBoard) -> None:
    for way, cause in (((), b"rst:0xc"), (("--soft",), b"MPY: soft reboot")):
        board.forget_printed()
        assert borne("reset", "--port", board.port, *way).stdout == f"{board.port}: started anew\n"
        assert board.wait_for(READY)
        assert cause in board.printed
    said = borne("reset", "--port", board.port, "--hard", code=1).stderr
    assert "has no control lines to reset the board by; press RESET" in said
    assert "either --hard or --soft" in borne("reset", "-p", "x", "--hard", "--soft", code=2).stderr
    line = Line(board.port, on_reset=board.reset)
    with SerialServer(line, rfc2217=True) as server:
        borne("reset", "--port", server.url, "--hard")
    assert line.resets == 1


@pytest.mark.parametrize("way", ["pty", "socket", "rfc2217"])
def test_a_console_types_shows_and_leaves(board: VirtualBoard, way: str) -> None:
    server = None if way == "pty" else SerialServer(Line(board.port), rfc2217=way == "rfc2217")
    url = server.url if server else board.port
    terminal, far = pty.openpty()
    child = subprocess.Popen([BORNE, "console", "--port", url], stdin=far, stdout=far, stderr=far)
    os.close(far)
    read_until(terminal, b"Ctrl-] leaves\r\n")
    os.write(terminal, b"\x03")
    heard = read_until(terminal, b">>> ")
    os.write(terminal, b"print(6*7)\r")
    heard = read_until(terminal, b"42\r\n>>> ")
    os.write(terminal, b"\x1d")
    heard = read_until(terminal, b"left; the node goes on")
    assert child.wait(30) == 0
    assert b"Traceback" not in heard
    os.close(terminal)
    if server:
        server.__exit__()


def test_a_console_whose_cable_is_pulled(board: VirtualBoard) -> None:
    terminal, far = pty.openpty()
    child = subprocess.Popen([BORNE, "console", "--port", board.port], stdin=far, stdout=far, stderr=far)
    os.close(far)
    read_until(terminal, b"Ctrl-] leaves\r\n")
    while not board.line.connected:
        select.select([], [], [], 0.02)
    board.line.fault(cut_after=0)
    os.write(terminal, b"x")
    heard = read_until(terminal, b"try again")
    assert b"the link broke: check the cable" in heard
    assert b"Traceback" not in heard
    assert child.wait(30) == 1
    os.close(terminal)


def test_a_console_needs_a_terminal(board: VirtualBoard) -> None:
    said = borne("console", "--port", board.port, code=2).stderr
    assert said.splitlines()[-1] == (
        "borne: console: needs a terminal; to run code there is borne exec, to listen borne logs --follow"
    )


def checks(*arguments: str, code: int) -> dict[str, tuple[bool | None, str]]:
    found = json.loads(borne("doctor", *arguments, "--json", code=code).stdout)
    return {one["name"]: (one["ok"], one["detail"]) for one in found}


def test_the_doctor_finds_nothing_wrong(board: VirtualBoard) -> None:
    found = checks("--port", board.port, code=0)
    assert found["open"][0] is True
    assert found["prompt"][1].startswith("answers: firmware 0.1.0")
    said = borne("doctor", "--port", board.port).stdout
    assert "prompt" in said


def test_the_doctor_reads_the_boot_log_of_a_board_that_it_can_reset(board: VirtualBoard) -> None:
    line = Line(board.port, on_reset=board.reset)
    with SerialServer(line, rfc2217=True) as server:
        found = checks("--port", server.url, code=1)
    assert found["not provisioned"] == (False, "the node has no valid settings: borne provision")
    assert found["prompt"][0] is True


def test_the_doctor_on_an_empty_flash(tmp_path: Path) -> None:
    with VirtualBoard(tmp_path / "empty") as board:
        board.power_on()
        line = Line(board.port, on_reset=board.reset)
        with SerialServer(line, rfc2217=True) as server:
            found = checks("--port", server.url, code=1)
    assert found["no firmware"] == (
        False,
        "the flash is empty where the bootloader belongs: flash the board: borne flash",
    )
    assert found["prompt"][0] is False


def test_the_doctor_on_ports_that_are_none() -> None:
    found = checks("--port", "/dev/ttyNONE", code=1)
    assert "there is no such port" in found["open"][1]
    found = checks("--port", r"\\.\COM12", code=1)
    assert "COM12 is a name of Windows" in found["name"][1]
    with SerialServer(says=b"\xf0\x80\xff\x00\xfe\x91") as server:
        found = checks("--port", server.url, code=1)
    assert found["noise"][1].startswith("what comes is no text: the board talks at another speed")
