"""What the firmware takes of a node: bytes of flash, and the least heap in which whole wakes work."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from borne.flashing import tree

HERE = Path(__file__).parent
WORLD = [HERE.parent / "tests" / "fakes", HERE.parent / "host" / "borne" / "virtual"]
KINDS = ("parking", "light", "fill")
# As tests/host/test_heap.py: live modules on the 32-bit WebAssembly build over those on the 64-bit unix port.
RATIO = 73_568 / 105_984
STEP = 512


def rows() -> list[dict[str, Any]]:
    files = tree.firmware_files()
    code = {name: len(data) for name, data in files.items()}
    found = [_row("firmware on the node", sum(code.values()), "B of .mpy and main.py")]
    for folder in ("report", "privacy", "sense", "chips", "link"):
        size = sum(length for name, length in code.items() if f"borne_node/{folder}/" in name)
        found.append(_row(f"of it {folder}/", size, "B of .mpy"))
    for kind in KINDS:
        least = _least_heap(kind)
        found.append(_row(f"heap of whole wakes, {kind}, 64-bit", least, "B"))
        found.append(_row(f"heap of whole wakes, {kind}, as of 32-bit pointers", int(least * RATIO), "B"))
    return found


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "peer": None, "peer_value": None, "ratio": None}


def _least_heap(kind: str) -> int:
    """Bytes of heap beyond what the simulated world holds, by halving until whole wakes just work."""
    with tempfile.TemporaryDirectory() as folder:
        flash = Path(folder) / "flash"
        for name, data in tree.firmware_files().items():
            (flash / name).parent.mkdir(parents=True, exist_ok=True)
            (flash / name).write_bytes(data)
        world = int(_wakes(kind, 1 << 20, flash)[0].split()[1])
        low, high = world, 1 << 20
        while high - low > STEP:
            middle = (low + high) // 2
            if _wakes(kind, middle, flash)[-1:] == ["wake 5"]:
                high = middle
            else:
                low = middle
        return high - world


def _wakes(kind: str, heap: int, flash: Path) -> list[str]:
    micropython = Path(sys.executable).parent / "micropython"
    with tempfile.TemporaryDirectory() as disk:
        command = [str(micropython), "-X", f"heapsize={heap}", str(HERE / "wake_heap_node.py"), kind, disk]
        done = subprocess.run([*command, str(flash), *map(str, WORLD)], capture_output=True, text=True)
        return done.stdout.splitlines()
