"""MicroPython images made here, after the public format: no code of MicroPython in them, only what a flasher looks at.

Sources: ESP-IDF Programming Guide, "App Image Format" and "Partition Tables"; esp_app_format.h. Written without the
code under test. The bytes of the app do not compress, as those of a real one hardly do.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from functools import reduce
from pathlib import Path

from borne.boards import Board

APP, DATA = 0, 1
_CHIP_ID = {"esp32": 0, "esp32s3": 9, "esp32c3": 5}
_BOOTLOADER = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}
# Where code may lie in each chip (its technical reference manual, "Memory Map"): entry point, data segment.
_PLACES = {
    "esp32": (0x40080000, 0x3FFB0000),
    "esp32s3": (0x40378000, 0x3FC90000),
    "esp32c3": (0x40380000, 0x3FC90000),
}
_APP_DESCRIPTION = 0xABCD5432  # esp_app_desc.h: magic word, at the start of an app's first segment


def app(chip: str, size: int, seed: int = 0, *, description: bool = True) -> bytes:
    """An ESP image of about `size` bytes: header, two segments, checksum, SHA-256."""
    entry, data_at = _PLACES[chip]
    content = random.Random(f"{chip} {size} {seed}").randbytes(max(size - 200, 256))
    first = struct.pack("<I", _APP_DESCRIPTION).ljust(256, b"\0") if description else b""
    segments = [
        (data_at, first + content[:256]),
        (entry, content[256:].ljust(-(-len(content[256:]) // 4) * 4, b"\0")),
    ]
    raw = struct.pack("<BBBBI", 0xE9, len(segments), 2, 0x20, entry)
    raw += struct.pack("<B3xHBHH4xB", 0xEE, _CHIP_ID[chip], 0, 0, 0xFFFF, 1)
    for address, data in segments:
        raw += struct.pack("<II", address, len(data)) + data
    raw += b"\0" * (15 - len(raw) % 16)
    checksum = reduce(lambda left, right: left ^ right, b"".join(data for _, data in segments), 0xEF)
    raw += bytes([checksum])
    return raw + hashlib.sha256(raw).digest()


def table(partitions: list[tuple[str, int, int, int, int]]) -> bytes:
    raw = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, name.encode(), 0)
        for name, kind, subtype, offset, size in partitions
    )
    raw += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(raw).digest()
    return raw.ljust(0xC00, b"\xff")


def micropython(chip: str, flash_mb: int = 4, app_size: int = 60_000, seed: int = 0) -> bytes:
    """A combined image laid out as ESP32_GENERIC and its kin: NVS, PHY data, the app, and a filesystem in the rest."""
    vfs_at = 0x200000
    parts = [
        ("nvs", DATA, 2, 0x9000, 0x6000),
        ("phy_init", DATA, 1, 0xF000, 0x1000),
        ("factory", APP, 0, 0x10000, 0x1F0000),
        ("vfs", DATA, 0x81, vfs_at, (flash_mb << 20) - vfs_at),
    ]
    base = _BOOTLOADER[chip]
    flash = bytearray(b"\xff" * 0x10000)
    loader = app(chip, 9_000, seed, description=False)
    flash[base : base + len(loader)] = loader
    flash[0x8000:0x8C00] = table(parts)
    return bytes(flash[base:]) + app(chip, app_size, seed)


def put(folder: Path, board: Board, **options: int) -> Path:
    """The image of a board as a file of the name that MicroPython gives it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / board.image_file
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_bytes(micropython(board.chip, board.flash_mb, **options))
    return partial.replace(path)
