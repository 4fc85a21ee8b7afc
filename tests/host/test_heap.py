"""A whole wake fits the heap of a board: real MicroPython, with a heap that holds no more than that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from borne.flashing import tree

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "wake_heap_node.py"
WORLD = [ROOT / "tests" / "fakes", ROOT / "host" / "borne" / "virtual"]

# LoRaWAN: radio and MAC take 27 KiB as loaded and 40 at most while at work (bench/lorawan_stack.py, 32-bit).
LIMIT_32_BIT = {"wifi": 48 * 1024, "sx1276": 80 * 1024, "sx1262": 80 * 1024}
# Measured: all modules of a fill node, loaded and collected, take 73,568 bytes on the WebAssembly build (32-bit
# pointers, as the ESP32) and 105,984 on the unix port. What the wake allocates beyond code shrinks at least as much.
RATIO = 73_568 / 105_984
# Pools of 20, 40 ... 320 names, 620 in all and more than a node has, of 7 bytes each with 32-bit pointers
# (py/qstr.c: hash, length, pointer); the wake's own pools are not measured (wake_heap_node.py).
NAMES = 620 * 7 + 5 * 16
# MicroPython's allocation table: two bits for each block of 32 bytes (py/gc.c).
TABLE = 1 + 1 / 128


def firmware(folder: Path) -> Path:
    """The firmware as the board has it: bytecode."""
    for name, data in tree.firmware_files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def wakes(kind: str, link: str, heap: int, folder: Path) -> list[str]:
    disk = folder / "disk"
    disk.mkdir(parents=True)
    paths = [disk, firmware(folder / "flash"), *WORLD]
    command = [
        str(Path(sys.executable).parent / "micropython"),
        "-X",
        f"heapsize={heap}",
        str(SCRIPT),
        kind,
        link,
    ]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, timeout=120)
    return done.stdout.splitlines()


@pytest.mark.parametrize("link", ["wifi", "sx1276", "sx1262"])
@pytest.mark.parametrize("kind", ["parking", "light", "fill"])
def test_a_whole_wake_fits_its_heap(kind: str, link: str, tmp_path: Path) -> None:
    world = int(wakes(kind, link, 1 << 20, tmp_path / "plenty")[0].split()[1])
    lines = wakes(
        kind, link, int((world + (LIMIT_32_BIT[link] - NAMES) / RATIO) * TABLE), tmp_path / "little"
    )
    assert lines[-1] == "wake 5", lines
