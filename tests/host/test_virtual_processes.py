"""Nothing of a virtual board is left running, however its user ends."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from virtual_kit import Bench, flash_file

from borne.virtual import processes

MAIN = "print('* up')\nwhile True:\n    pass\n"

SUPERVISOR = """
import sys, threading
from borne.virtual import SimClock, VirtualBoard
boards = [VirtualBoard(folder, clock=SimClock()) for folder in sys.argv[2:]]
for board in boards:
    board.power_on()
    assert board.wait_for(b"* up")
print("ready", flush=True)
if sys.argv[1] == "raise":
    raise ValueError("a defect of the user's")
if sys.argv[1] == "wait":
    threading.Event().wait()
"""


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def supervisor(tmp_path: Path, how: str) -> subprocess.Popen[str]:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        flash_file(folder, {"main.py": MAIN})
    command = [sys.executable, "-c", SUPERVISOR, how, *map(str, folders)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("how", "number"), [("wait", signal.SIGINT), ("wait", signal.SIGKILL), ("wait", signal.SIGTERM)]
)
def test_a_killed_supervisor_leaves_nothing(tmp_path: Path, how: str, number: int) -> None:
    with supervisor(tmp_path, how) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        children = family(process.pid)
        assert len(children) == 3  # the fork server and two boards
        process.send_signal(number)
        process.communicate(timeout=20)
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


@pytest.mark.parametrize("how", ["leave", "raise"])
def test_a_supervisor_that_ends_without_closing_leaves_nothing(tmp_path: Path, how: str) -> None:
    with supervisor(tmp_path, how) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.communicate(timeout=20)
        assert process.returncode == (1 if how == "raise" else 0)
    assert not [
        other.pid
        for other in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(other.info["cmdline"] or [])
    ]


def test_closing_a_board_ends_its_process_and_frees_its_descriptors(tmp_path: Path) -> None:
    with Bench(tmp_path / "warm-up", MAIN) as bench:  # starts what all boards share
        bench.board.power_on()
        assert bench.board.wait_for(b"* up")
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Bench(tmp_path / "board", MAIN) as bench:
        bench.board.power_on()
        assert bench.board.wait_for(b"* up")
        life = bench.board._life
        assert life is not None
        child = psutil.Process(life._pid)
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running()
    # Fewer, where an earlier test's last thread was just ending.
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_fork_server_that_died_is_reported(tmp_path: Path) -> None:
    server = processes.ForkServer([sys.executable, "-c", "pass"], "micropython", "")
    with pytest.raises(processes.DeviceError, match="has died"):
        server.spawn([0], [])
    server.stop()


def test_the_shim_is_compiled_once() -> None:
    folder = Path(processes.shim())
    assert processes.shim() == str(folder)
    assert {path.stem for path in folder.iterdir()} == {path.stem for path in processes._SHIM.glob("*.py")}
