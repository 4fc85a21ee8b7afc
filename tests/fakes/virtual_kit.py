"""Flash files that a virtual board boots from, made without a MicroPython image: only the headers that are checked."""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import Any

from littlefs import LittleFS

from borne.virtual import SimClock, VirtualBoard

MIB = 1 << 20
NVS_AT, NVS_SIZE = 0x9000, 0x6000
VFS_AT, VFS_SIZE = 0x200000, 0x200000
# The table of ESP32_GENERIC 1.25: type, subtype, offset, size, label.
TABLE = (
    (1, 2, NVS_AT, NVS_SIZE, b"nvs"),
    (1, 1, 0xF000, 0x1000, b"phy_init"),
    (0, 0, 0x10000, 0x1F0000, b"factory"),
    (1, 0x81, VFS_AT, VFS_SIZE, b"vfs"),
)
_CHIPS = {"esp32": (0x1000, 0), "esp32s3": (0, 9), "esp32c3": (0, 5)}


def header(chip_id: int) -> bytes:
    """esp_image_header_t: magic, ..., chip id at byte 12."""
    return b"\xe9" + bytes(11) + struct.pack("<H", chip_id) + bytes(10)


def filesystem(files: dict[str, bytes | str], size: int = VFS_SIZE) -> bytes:
    image = LittleFS(block_size=4096, block_count=size // 4096, disk_version=0x00020000, name_max=255)
    for name, content in files.items():
        with image.open(name, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
    return bytes(image.context.buffer)


def flash_file(
    folder: Path,
    files: dict[str, bytes | str] | None = None,
    *,
    chip: str = "esp32",
    nvs: bytes = b"",
    vfs: bytes | None = None,
) -> Path:
    """Write `folder/flash.bin`; `vfs` are the raw bytes of that partition instead of `files`."""
    data = bytearray(b"\xff" * 4 * MIB)
    boot_at, chip_id = _CHIPS[chip]
    for at in (boot_at, 0x10000):
        data[at : at + 24] = header(chip_id)
    for n, (kind, subtype, offset, size, label) in enumerate(TABLE):
        entry = struct.pack("<2sBBII16sI", b"\xaa\x50", kind, subtype, offset, size, label, 0)
        data[0x8000 + 32 * n : 0x8020 + 32 * n] = entry
    data[NVS_AT : NVS_AT + len(nvs)] = nvs
    content = filesystem(files or {}) if vfs is None else vfs
    data[VFS_AT : VFS_AT + len(content)] = content
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "flash.bin"
    path.write_bytes(data)
    return path


def read_file(path: Path, name: str) -> bytes:
    """A file out of the flash file's filesystem, by the C library and not by MicroPython."""
    image = LittleFS(block_size=4096, block_count=VFS_SIZE // 4096, mount=False)
    image.context.buffer = bytearray(path.read_bytes()[VFS_AT : VFS_AT + VFS_SIZE])
    image.mount()
    with image.open(name, "rb") as file:
        return bytes(file.read())


class Bench:
    """One board on its own simulated clock, running `main`."""

    def __init__(self, folder: Path, main: str, **options: Any) -> None:
        files = options.pop("files", {})
        flash_file(
            folder, {"main.py": main, **files}, chip=options.get("chip", "esp32"), nvs=options.pop("nvs", b"")
        )
        self.clock = SimClock()
        self.board = VirtualBoard(folder, clock=self.clock, **options)

    def run(self, seconds: float) -> list[str]:
        """Power on if it is off, let that time pass; what it printed without its boot logs, as lines."""
        self.board.power_on()
        self.clock.run_for(seconds)
        return self.lines()

    def lines(self) -> list[str]:
        """The lines that the programs under test print: all start with a star."""
        return [
            line[1:].strip()
            for line in self.board.printed.decode(errors="replace").split("\r\n")
            if line.startswith("*")
        ]

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.board.close()
