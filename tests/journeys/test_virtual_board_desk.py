"""`borne virtual-board` as somebody uses it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import borne.boards
from borne.errors import UserError
from borne.virtual import desk

PROGRAM = """
from borne.cli import app, main, virtual_board
app.command()(virtual_board.virtual_board)
main()
"""
COMMAND = [sys.executable, "-c", PROGRAM, "virtual-board"]


def test_it_prints_its_port_talks_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    command = [*COMMAND, "esp32-devkitc", "--kind", "light", "--folder", str(tmp_path / "board")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        found = subprocess.run(
            [sys.executable, "-m", "esptool", "--port", port, "read-mac"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not psutil.wait_procs(children, timeout=10)[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["esp33"], "esp33"), (["--kind", "weather"], "weather"), (["--speed", "0"], "speed")],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--folder", str(tmp_path), *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["parking", "light", "fill"])
def test_every_kind_can_be_placed(tmp_path: Path, kind: str) -> None:
    with desk.place(borne.boards.load("esp32-devkitc"), kind, tmp_path) as board:
        board.power_on()
        assert board.state == "invalid"


def test_a_clock_does_not_run_backwards(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        desk.place(borne.boards.load("esp32-devkitc"), None, tmp_path, speed=-1)
