"""One changed file into a node that runs: `borne deploy` against mpremote and ampy, on the same line of 115200 baud.

Forty files of the firmware, one of which differs; whole commands, their start included. And what bytecode saves the
node against source: bytes of flash, time to import, heap.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path
from typing import Any

from tests.fakes.virtual_kit import VFS_SIZE, flash_file

from borne import boards
from borne.flashing import node
from borne.flashing import tree as firmware
from borne.virtual import VirtualBoard

BAUD = 115_200
FILES = 40
CHANGED = "borne_node/app.mpy"
PYTHON = sys.executable
LIMIT_S = 900
# The real command, with a firmware of forty files, whose names it is given: what else this file loads it must not load.
COMMAND = """\
import sys
from borne.flashing import tree
port, *names = sys.argv[1:]
full = tree.firmware_files()
tree.firmware_files = lambda: {name: full[name] for name in names}
from borne.cli import main
sys.argv = ["borne", "deploy", "--port", port, "--no-restart"]
main()
"""
IMPORT = """\
import gc, sys, time
sys.path[:] = [sys.argv[1], ".frozen"]
names = sys.argv[2:]
gc.collect()
before, began = gc.mem_alloc(), time.ticks_us()
for name in names:
    __import__(name)
took = time.ticks_diff(time.ticks_us(), began)
gc.collect()
print(took, gc.mem_alloc() - before)
"""


class PacedLine:
    """A pty that passes bytes to another at the speed of a UART: ten bits a byte, both ways."""

    def __init__(self, port: str) -> None:
        self._far = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._far)
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave  # held open: a line that nobody has open would hang up
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._pass, args=ends, daemon=True)
            for ends in ((self._master, self._far), (self._far, self._master))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> PacedLine:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for descriptor in (self._far, self._master, self._slave):
            os.close(descriptor)

    def _pass(self, source: int, target: int) -> None:
        free_at = time.monotonic()
        while not self._stop.is_set():
            if not select.select([source], [], [], 0.1)[0]:
                continue
            with contextlib.suppress(OSError):
                data = os.read(source, 64)
                free_at = max(free_at, time.monotonic()) + len(data) * 10 / BAUD
                time.sleep(max(0.0, free_at - time.monotonic()))
                os.write(target, data)


def forty() -> dict[str, bytes]:
    """The firmware's first forty files, those that every deploy needs among them."""
    every = dict(firmware.firmware_files())
    modules = ("__init__", "switch", "hardware", "clock", "compat", "errors", "records", "secrets", "rescue")
    needed = [CHANGED, "main.py", *(f"borne_node/{name}.mpy" for name in modules)]
    rest = [path for path in sorted(every) if path not in needed]
    return {path: every[path] for path in sorted(needed + rest[: FILES - len(needed)])}


def rows() -> list[dict[str, Any]]:
    ours = _timed(lambda port, tree: [PYTHON, "-c", COMMAND, port, *forty()])
    cp, forced = (_timed(lambda port, tree, how=how: _mpremote(port, how)) for how in ("-r", "-rf"))
    put = _timed(
        lambda port, tree: [PYTHON, "-m", "ampy.cli", "-p", port, "put", "borne_node", "/borne_node"]
    )
    name = "deploy of one changed file into 40, 115200 baud"
    return [
        _row(name, ours, "s", "mpremote cp -r", cp, cp / ours),
        _row(name, ours, "s", "mpremote cp -rf", forced, forced / ours),
        _row(name, ours, "s", "ampy put", put, put / ours),
        *_bytecode(),
    ]


def _mpremote(port: str, how: str) -> list[str]:
    """Since 1.24 `cp` leaves out files of the same hash; with -f it copies them all, as it did before."""
    return [PYTHON, "-m", "mpremote", "connect", port, "cp", how, "borne_node", "main.py", ":"]


def _row(
    name: str,
    value: float,
    unit: str,
    peer: str | None = None,
    other: float | None = None,
    ratio: float | None = None,
) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": other, "ratio": ratio}


def _timed(command: Any) -> float:
    """Seconds that a command takes to bring the tree onto a node that has all of it but one file."""
    new = forty()
    old = new | {CHANGED: new[CHANGED][:-1] + bytes([new[CHANGED][-1] ^ 1])}
    board_json = {firmware.BOARD_FILE: boards.load("esp32-devkitc").node_json()}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        for path, data in new.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        content = old | board_json
        content[firmware.VERSION_FILE] = firmware.version_json(content)
        flash_file(Path(folder) / "board", vfs=node.filesystem(content, VFS_SIZE))
        with VirtualBoard(Path(folder) / "board") as board:
            board.power_on()
            assert board.wait_for(b"waiting 3 s for a host")
            with PacedLine(board.port) as line:
                began = time.monotonic()
                done = subprocess.run(
                    command(line.port, tree), cwd=tree, capture_output=True, text=True, timeout=LIMIT_S,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )  # fmt: skip
                took = time.monotonic() - began
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return took


def _bytecode() -> list[dict[str, Any]]:
    package = Path(str(firmware._source()))
    compiled = {path: data for path, data in firmware.firmware_files().items() if path.endswith(".mpy")}
    sources = {path: (package.parent / path).with_suffix(".py").read_bytes() for path in compiled}
    size, size_py = (sum(map(len, one.values())) for one in (compiled, sources))
    # Not hardware.py: it wants the chip's modules.
    names = [path[:-4].replace("/", ".").removesuffix(".__init__") for path in sorted(compiled)]
    names = [name for name in names if name.rpartition(".")[2] not in ("hardware", "selftest", "facts")]
    us, heap = _imported(compiled, names)
    us_py, heap_py = _imported({path[:-4] + ".py": data for path, data in sources.items()}, names)
    return [
        _row("firmware on the node, .mpy", size, "B", ".py", size_py, size_py / size),
        _row("import of all modules, .mpy", us / 1000, "ms", ".py", us_py / 1000, us_py / us),
        _row("heap of all modules, .mpy, 64-bit", heap, "B", ".py", heap_py, heap_py / heap),
    ]


def _imported(files: dict[str, bytes], names: list[str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(data)
        script = Path(folder) / "import.py"
        script.write_text(IMPORT)
        micropython = Path(sys.executable).parent / "micropython"
        command = [str(micropython), "-X", "heapsize=4000000", str(script), folder, *names]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        took, heap = done.stdout.split()
        return float(took), float(heap)
