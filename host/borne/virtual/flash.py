"""The flash of a virtual board: a file, and what the boot ROM and bootloader find in it."""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

SECTOR = 4096
_TABLE_AT = 0x8000
_TABLE_SIZE = 0xC00
_ENTRY = struct.Struct("<2sBBII16sI")
_ENTRY_MAGIC = b"\xaa\x50"
_IMAGE_MAGIC = 0xE9
_TYPE_APP, _TYPE_DATA, _SUBTYPE_NVS = 0, 1, 2

# Where the ROM looks for the second-stage bootloader, and esp_image_header_t.chip_id (ESP-IDF, esp_app_format.h).
BOOTLOADER_AT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}
CHIP_ID = {"esp32": 0, "esp32s3": 9, "esp32c3": 5}


class NotBootable(Exception):
    """Why the chip does not start, in the words that its ROM or bootloader prints."""


@dataclass(frozen=True)
class Partition:
    type: int
    subtype: int
    offset: int
    size: int
    label: str


class Flash:
    """`size` bytes in a file, 0xFF where nothing was written. Shared with the board's process through the file."""

    def __init__(self, path: Path, size: int) -> None:
        if size % SECTOR:
            raise ValueError(f"a flash of {size} bytes is no whole number of sectors")
        if not path.exists() or path.stat().st_size != size:
            path.write_bytes(b"\xff" * size)
        self.path = path
        self.size = size
        self.file = path.open("r+b", buffering=0)
        self.data = mmap.mmap(self.file.fileno(), size)

    def fileno(self) -> int:
        return self.file.fileno()

    def open_again(self) -> int:
        """A descriptor with a file position of its own."""
        return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        self.data.close()
        self.file.close()

    def partitions(self) -> list[Partition]:
        """The partition table in the flash. Raises NotBootable where there is none."""
        found: list[Partition] = []
        for at in range(_TABLE_AT, _TABLE_AT + _TABLE_SIZE, _ENTRY.size):
            magic, kind, subtype, offset, size, label, _ = _ENTRY.unpack_from(self.data, at)
            if magic != _ENTRY_MAGIC:
                break
            found.append(
                Partition(kind, subtype, offset, size, label.rstrip(b"\0").decode("ascii", "replace"))
            )
        if not found:
            word = int.from_bytes(self.data[_TABLE_AT : _TABLE_AT + 2], "little")
            raise NotBootable(
                f"E (56) flash_parts: partition 0 invalid magic number {word:#x}\r\n"
                "E (62) boot: Failed to verify partition table\r\n"
                "E (67) boot: load partition table error!\r\n"
            )
        return found

    def check(self, chip: str) -> list[Partition]:
        """What ROM and bootloader check before they start the application; gives the partitions."""
        header = self.data[BOOTLOADER_AT[chip] : BOOTLOADER_AT[chip] + 24]
        if header[0] != _IMAGE_MAGIC:
            raise NotBootable(f"invalid header: {int.from_bytes(header[:4], 'little'):#x}\r\n" * 3)
        self._check_chip(header, chip)
        table = self.partitions()
        for entry in table:
            if entry.type == _TYPE_APP and entry.offset + 24 <= self.size:
                image = self.data[entry.offset : entry.offset + 24]
                if image[0] == _IMAGE_MAGIC:
                    self._check_chip(image, chip)
                    return [part for part in table if part.offset + part.size <= self.size]
        raise NotBootable(
            "E (75) boot: Factory app partition is not bootable\r\n"
            "E (80) boot: No bootable app partitions in the partition table\r\n"
        )

    @staticmethod
    def _check_chip(header: bytes, chip: str) -> None:
        found = int.from_bytes(header[12:14], "little")
        if found != CHIP_ID[chip]:
            raise NotBootable(
                f"E (48) boot_comm: mismatch chip ID, expected {CHIP_ID[chip]}, found {found}\r\n"
                "E (54) boot: Image contains no valid app\r\n"
            )


def find_nvs(table: list[Partition]) -> Partition | None:
    return next((part for part in table if (part.type, part.subtype) == (_TYPE_DATA, _SUBTYPE_NVS)), None)
