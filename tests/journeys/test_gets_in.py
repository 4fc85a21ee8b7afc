"""The REPL is reached whatever runs on the board: real MicroPython, programs that resist, boards that sleep."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from serial_server import Line, SerialServer
from virtual_kit import flash_file

from borne.errors import NoAnswer, ReplError
from borne.flashing.repl import Repl
from borne.virtual import VirtualBoard

# The node's own boot window, then a program that talks; behind a Line that is not awake, nothing reaches it.
TALKS = """
import time
print("* window")
for _ in range(20):
    time.sleep_ms(100)
while True:
    time.sleep_ms(50)
    print("* deaf")
"""
SWALLOWS = """
import time
print("* up")
while True:
    try:
        time.sleep_ms(50)
    except KeyboardInterrupt:
        print("no")
        time.sleep_ms(5)
"""
SWALLOWS_ALL = SWALLOWS.replace("except KeyboardInterrupt:", "except BaseException:")
SLEEPS = """
import machine, time
print("* window", machine.reset_cause())
if machine.reset_cause() != machine.DEEPSLEEP_RESET:
    time.sleep_ms(1500)
print("* sleeps")
machine.deepsleep(%d)
"""


def started(folder: Path, main: str, said: bytes) -> VirtualBoard:
    flash_file(folder, {"main.py": main})
    board = VirtualBoard(folder)
    board.power_on()
    assert board.wait_for(said)
    if said == b"* sleeps":
        assert board.wait_until_settled()
    return board


def answers(board: VirtualBoard, **options: object) -> bool:
    with Repl(board.port, **options) as opened:  # type: ignore[arg-type]
        return opened.run("print(6*7)") == "42\n"


@pytest.mark.parametrize(
    "main",
    ["print('* up')\nwhile True:\n    pass\n", SWALLOWS, SWALLOWS_ALL],
    ids=["busy", "swallows", "all"],
)
def test_a_program_that_never_yields_is_got_out_of(tmp_path: Path, main: str) -> None:
    with started(tmp_path, main, b"* up") as board:
        assert answers(board)


def test_the_boot_window(tmp_path: Path) -> None:
    with started(tmp_path, TALKS, b"* window") as board:
        assert answers(board)
        assert b"* deaf" not in board.printed


def test_a_deaf_program_is_reset_by_the_control_lines(tmp_path: Path) -> None:
    with started(tmp_path, TALKS, b"* deaf") as board:
        line = Line(board.port, awake=False, on_reset=board.reset)
        with SerialServer(line, rfc2217=True) as server, Repl(server.url) as opened:
            assert opened.run("print(6*7)") == "42\n"
        assert line.resets == 1


def test_without_control_lines_somebody_is_asked_to_press_reset(tmp_path: Path) -> None:
    with started(tmp_path, TALKS, b"* deaf") as board:
        line = Line(board.port, awake=False)
        told: list[str] = []

        def tell(text: str) -> None:
            told.append(text)
            line.awake = True
            board.reset()

        with SerialServer(line) as server, Repl(server.url, wait=20.0, tell=tell) as opened:
            assert opened.run("print(6*7)") == "42\n"
        assert told == [
            f"{server.url}: its program cannot be interrupted; press RESET on the board (waiting 20 s)"
        ]


def test_nobody_came(tmp_path: Path) -> None:
    with (
        started(tmp_path, TALKS, b"* deaf") as board,
        SerialServer(Line(board.port, awake=False)) as server,
        pytest.raises(ReplError) as caught,
    ):
        Repl(server.url, wait=0.1).__enter__()
    assert "its program cannot be interrupted; press RESET" in str(caught.value)
    assert "'* deaf'" in str(caught.value)


def test_a_node_asleep_is_woken_by_hand(tmp_path: Path) -> None:
    with started(tmp_path, SLEEPS % 3_600_000, b"* sleeps") as board:
        told: list[str] = []

        def tell(text: str) -> None:
            told.append(text)
            board.reset()

        assert answers(board, wait=20.0, tell=tell)
        assert told == [
            f"{board.port}: nothing answers: is it asleep, or without power?; press RESET on the board "
            "(waiting 20 s)"
        ]


def test_a_node_asleep_is_waited_for(tmp_path: Path) -> None:
    main = (SLEEPS % 4_000).replace("!= machine", "== machine")
    with started(tmp_path, main, b"* sleeps") as board:
        # A wake is caught in the act, if it takes longer than a knock.
        assert answers(board, wait=20.0)


def test_a_node_asleep_that_nobody_waits_for(tmp_path: Path) -> None:
    with (
        started(tmp_path, SLEEPS % 3_600_000, b"* sleeps") as board,
        pytest.raises(NoAnswer, match="awake"),
    ):
        answers(board)


@pytest.mark.parametrize(
    "left", [b"\x01", b"\x01\x05A\x01print(1", b"\x05for x in range(3):\r\n", b"\x02", b"'''"], ids=repr
)
def test_whatever_mode_another_tool_left_it_in(tmp_path: Path, left: bytes) -> None:
    with started(tmp_path, "print('* up')", b"* up") as board:
        assert board.wait_for(b">>> ")
        host = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        os.write(host, left)
        os.close(host)
        assert answers(board)


def test_a_board_that_crashes_at_once_and_again(tmp_path: Path) -> None:
    main = "import time, machine\nprint('* up')\ntime.sleep_ms(300)\nmachine.reset()\n"
    with started(tmp_path, main, b"* up") as board:
        assert answers(board)


def test_ampys_way_gets_in_and_runs_too(tmp_path: Path) -> None:
    with started(tmp_path, SWALLOWS, b"* up") as board:
        content = bytes(range(256)) * 5
        with Repl(board.port, via="ampy") as opened:
            opened.write_file("some.bin", content)
            assert opened.read_file("some.bin") == content
            with pytest.raises(ReplError, match="the board says: ZeroDivisionError"):
                opened.run("1/0")
