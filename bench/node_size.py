"""What the firmware takes of a node: bytes of flash, and the least heap in which whole wakes work."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from tests.host.test_heap import NAMES, RATIO, TABLE, wakes

from borne.flashing import tree

KINDS = ("parking", "light", "fill")
LINKS = ("wifi", "sx1276", "sx1262")
# More than any wake takes of the 64-bit port's heap, and how near the least is looked for.
MOST, STEP = 160 * 1024, 512


def rows() -> list[dict[str, Any]]:
    files = tree.firmware_files()
    code = {name: len(data) for name, data in files.items()}
    found = [_row("firmware on the node", sum(code.values()), "B of .mpy and main.py")]
    for folder in ("report", "privacy", "sense", "chips", "link"):
        size = sum(length for name, length in code.items() if f"borne_node/{folder}/" in name)
        found.append(_row(f"of it {folder}/", size, "B of .mpy"))
    for kind in KINDS:
        for link in LINKS:
            name = f"heap of whole wakes, {kind}, {link}, as of 32-bit pointers"
            found.append(_row(name, int(_least_heap(kind, link) * RATIO) + NAMES, "B"))
    return found


def _row(name: str, value: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "peer": None, "peer_value": None, "ratio": None}


def _least_heap(kind: str, link: str) -> int:
    """Bytes of the 64-bit port's heap beyond what the simulated world holds, by halving until whole wakes just work."""
    world = int(_lines(kind, link, 1 << 20)[0].split()[1])
    low, high = 0, MOST
    while high - low > STEP:
        middle = (low + high) // 2
        if _lines(kind, link, int((world + middle) * TABLE))[-1:] == ["wake 5"]:
            high = middle
        else:
            low = middle
    return high


def _lines(kind: str, link: str, heap: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return wakes(kind, link, heap, Path(folder))
