"""Flashing, against the tools that people use: esptool and mpremote, over the same paced line, in the same run.

One run is paced at 921600 baud; what it takes at another speed follows from the bytes that went over the line at each
speed, because all else stays. A UART board's REPL, and so mpremote, stays at 115200.

The chip's own time (erasing, programming, hashing) is not in it, neither for us nor for the peers. Two limits to know
when reading the table: MicroPython itself is 1.1 MB compressed, which takes 12 s at 921600 whoever sends it, so the
peers' sum cannot be beaten five times; and a re-flash has a floor of about 1.3 s (two Pythons start, and the stub goes
out at 115200). The host's own time counts: on a busy computer every figure at 921600 is worse than on an idle one. Our
bare board ends with its self-test, in which the sensor takes its own time; the other rows leave it out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.paced import PacedLine

from borne import boards
from borne.flashing import esptool, flasher, images, node, tree, volume
from borne.flashing.flasher import How, Job
from borne.fleet import provision
from borne.virtual import VirtualBoard
from borne.virtual.silicon.a02yyuw import A02YYUW
from borne.virtual.wiring import Wiring

BOARD = boards.load("esp32-devkitc")
FAST = 921600
SPEEDS = (115200, 460800, FAST)
_MANY = 8
_SETTINGS = {
    "kind": "fill",
    "name": "bin-7",
    "wifi_ssid": "desk",
    "mqtt_host": "broker.example",
    "depth_mm": 1500,
}


@dataclass(frozen=True)
class Run:
    """Seconds at the fast speed, and the bytes of each speed."""

    seconds: float
    bytes: Counter[int]

    def at(self, speed: int) -> float:
        """Seconds had the fast part run at this speed."""
        fast = self.bytes[FAST] * 10
        return self.seconds - fast / FAST + fast / speed


def rows() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="borne-bench-") as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        node_run, ours, again, changed = _ours(folder)
        write, copy = _theirs(folder)
        one, eight = (_at_once(folder, number) for number in (1, _MANY))
    table = [_complete(speed, node_run, write, copy) for speed in SPEEDS]
    limit = _limit()
    table += [
        _row(
            f"bare board to node at {speed}, of the line's limit",
            node_run.at(speed),
            "s",
            "compressed bytes alone",
            limit(speed),
        )
        for speed in SPEEDS
    ]
    table += [
        _row(
            f"full flash at {speed}, of the line's limit",
            ours.at(speed),
            "s",
            "compressed bytes alone",
            limit(speed),
        )
        for speed in SPEEDS
    ]
    table += [
        _row(f"one module changed at {speed}", changed.at(speed), "s", "full flash", ours.at(speed))
        for speed in SPEEDS
    ]
    table += [
        _row(f"nothing changed at {speed}", again.at(speed), "s", "full flash", ours.at(speed))
        for speed in SPEEDS
    ]
    table.append(_row(f"{_MANY} boards at once at {FAST}", eight, "s", "one board", one))
    return table


def _row(name: str, value: float, unit: str, peer: str, peer_value: float) -> dict[str, Any]:
    ratio = peer_value / value
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
    }


def _complete(speed: int, ours: Run, write: Run, copy: Run) -> dict[str, Any]:
    theirs = write.at(speed) + copy.seconds
    return _row(f"bare board to node at {speed}", ours.at(speed), "s", "esptool + mpremote cp -r", theirs)


def _limit() -> Callable[[int], float]:
    """What the bytes that have to be sent take alone, compressed as esptool compresses them."""
    parts = []
    for region in node.regions(BOARD, identity=_identity()):
        used = sorted(region.blocks) if region.blocks is not None else None
        data = (
            region.data if used is None else b"".join(region.data[n * 4096 : n * 4096 + 4096] for n in used)
        )
        parts.append(len(zlib.compress(data, 9)))
    return lambda speed: sum(parts) * 10 / speed


def _identity() -> node.Identity:
    return node.Identity(*provision.check(_SETTINGS, {"wifi_password": b"correct horse"}))


@contextmanager
def _board(folder: Path, name: str) -> Iterator[tuple[VirtualBoard, PacedLine]]:
    parts = Wiring(uart={1: A02YYUW(lambda t: 900.0)})
    with VirtualBoard(folder / name, chip=BOARD.chip, flash_size=BOARD.flash_bytes, wiring=parts) as board:
        board.power_on()
        # The process that emulates ROMs is started by the first that is asked, which a chip needs not.
        esptool.identify(board.port)
        with PacedLine(board.port, folder / f"{name}.tty") as line:
            yield board, line


def _timed(line: PacedLine, action: Callable[[], object]) -> Run:
    before = Counter(line.bytes)
    start = time.monotonic()
    action()
    seconds = time.monotonic() - start
    return Run(seconds, line.bytes - before)


def _borne(*arguments: str) -> None:
    command = [sys.executable, "-m", "borne", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def _ours(folder: Path) -> tuple[Run, Run, Run, Run]:
    """A bare board with its self-test at the end; and without: a bare board, the same again, and once more with one
    module that was another before.
    """
    given = folder / "node.toml"
    given.write_text("\n".join(f"{name} = {value!r}".replace("'", '"') for name, value in _SETTINGS.items()))
    secrets = folder / "secrets.toml"
    secrets.write_text('wifi_password = "correct horse"')
    secrets.chmod(0o600)
    options = ("--settings", str(given), "--secrets-file", str(secrets))
    with _board(folder, "tested") as (_, line):
        tested = _timed(line, lambda: _borne("flash", BOARD.name, "--port", line.port, *options))
    with _board(folder, "ours") as (board, line):
        command = ("flash", BOARD.name, "--port", line.port, "--no-self-test")
        full = _timed(line, lambda: _borne(*command, *options))
        again = _timed(line, lambda: _borne(*command))
        _age(board)
        changed = _timed(line, lambda: _borne(*command))
    return tested, full, again, changed


def _age(board: VirtualBoard) -> None:
    """Give the board the firmware of yesterday: one module and the version differ, settings and keys are there."""
    old = node.node_files(BOARD) | {"settings.json": node.settings_file(_identity())}
    old["borne_node/app.mpy"] = old["borne_node/app.mpy"][:-40] + bytes(40)
    old[tree.VERSION_FILE] = b'{"borne_node":"0.0.9","files":"0","settings":1}'
    vfs = images.obtain(BOARD).partition(node.FILESYSTEM)
    built = volume.build(old, vfs.size)
    board.flash.data[vfs.offset : vfs.end] = built.data


def _theirs(folder: Path) -> tuple[Run, Run]:
    """The same MicroPython by esptool, then the same files by mpremote, each as its manual says."""
    source = folder / "tree"
    for name, content in (
        node.node_files(BOARD) | {"settings.json": node.settings_file(_identity())}
    ).items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    image = images.image.found(BOARD)
    with _board(folder, "theirs") as (board, line):
        command = [
            sys.executable,
            "-m",
            "esptool",
            "--chip",
            BOARD.chip,
            "--port",
            line.port,
            "--baud",
            str(FAST),
        ]
        command += ["write-flash", hex(BOARD.silicon.bootloader), str(image)]
        write = _timed(line, lambda: subprocess.run(command, check=True, capture_output=True))
        board.wait_for(b">>>", 30)
        names = sorted(str(path) for path in source.iterdir())
        copying = [sys.executable, "-m", "mpremote", "connect", line.port, "cp", "-r", *names, ":"]
        copy = _timed(line, lambda: subprocess.run(copying, check=True, capture_output=True))
    return write, copy


def _at_once(folder: Path, count: int) -> float:
    """Seconds for so many bare boards at once, each on a line of its own."""
    with ExitStack() as stack:
        lines = [stack.enter_context(_board(folder, f"{count}-{number}"))[1] for number in range(count)]
        start = time.monotonic()
        results = flasher.flash_all([Job(line.port, BOARD, _identity()) for line in lines], How())
        seconds = time.monotonic() - start
    failed = [result for result in results if isinstance(result, Exception)]
    if failed:
        raise failed[0]
    return seconds
