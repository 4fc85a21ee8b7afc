"""What a board that is flashed anew has to keep: read off its flash before anything is written, or out of a rescue.

The filesystem is read block by block, and only the blocks that its directories and the node's own files take; blocks
whose MD5 is that of a fresh filesystem need not be read at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from platformdirs import user_state_path

from borne.boards import Board
from borne.errors import ImageError
from borne.flashing import backup, image, node, nvs, tree, volume
from borne.flashing.backup import Backup
from borne.flashing.chip import Chip, Span
from borne.flashing.image import MicroPython, Partition
from borne.flashing.node import Kept
from borne.flashing.nvs import Record
from borne_node import settings
from borne_node.errors import SettingsError

# The firmware carries no annotations (MicroPython parses and drops them at a price); here are its types.
_parse: Callable[[bytes], dict[str, Any]] = settings.parse

# LittleFS SPEC.md, superblock: this word stands 8 bytes into the first or second block.
_MAGIC: Final = b"littlefs"
# A directory is read to the end of its log, mostly some hundred bytes.
_GRAIN: Final = 1024


@dataclass(frozen=True)
class Memory:
    """What was found. `nvs_raw`: the old partition, as it was before a flash that was cut off; empty where it was not
    read. `nvs_there`: as it is now, where it shall be. `is_current`: the firmware's files are there as they shall be,
    every one. `notes`: what
    somebody should know.
    """

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    is_current: bool = False
    nvs_raw: bytes = field(default=b"", repr=False)
    nvs_there: bytes = field(default=b"", repr=False)
    records: tuple[Record, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_precious(self) -> bool:
        return bool(self.files or self.nvs_raw)

    @property
    def kept(self) -> Kept:
        return Kept(self.files, self.records)

    def rescue(self, chip: Chip) -> Backup:
        return Backup(chip.identity.name, chip.identity.mac, nvs=self.nvs_raw, files=self.files)


def folder() -> Path:
    """Where memories are kept while their boards are written."""
    return user_state_path("borne") / "rescue"


def forget(chip: Chip) -> None:
    """The board is complete: what was saved for it is of no more use."""
    with contextlib.suppress(OSError):
        backup.rescued(folder(), chip.identity.mac).unlink()


def partitions(chip: Chip) -> tuple[Partition, ...]:
    """What the partition table on the chip says; nothing where there is none."""
    try:
        return image.read_table("the board", chip.table)
    except ImageError:
        return ()


def gather(chip: Chip, board: Board, micropython: MicroPython, *, with_nvs: bool) -> Memory:
    """The node's own files and, `with_nvs`, its records. Raises what reading the flash raises, and ImageError."""
    there = partitions(chip)
    if not there and chip.table.strip(b"\xff"):
        # A table that is damaged, not absent: what it described may well lie where MicroPython puts it.
        there = micropython.partitions
    saved = _saved(chip)
    files, is_current, note = _files(chip, board, there, saved)
    old_nvs = next((part for part in there if part.is_nvs), None)
    moved = old_nvs is not None and _place(old_nvs) != _place(micropython.nvs())
    broken = saved is not None and bool(saved.nvs)
    if not (with_nvs or moved or broken):
        return Memory(files, is_current, notes=note)
    raw = chip.read(old_nvs.offset, old_nvs.size) if old_nvs else b""
    found = {(record.namespace, record.key): record for record in nvs.read(saved.nvs if saved else b"")}
    found |= {(record.namespace, record.key): record for record in nvs.read(raw)}
    # While NVS was being written the cable was pulled: what the board still has is a part of what was saved.
    old = saved.nvs if saved and saved.nvs else raw
    return Memory(files, is_current, old, b"" if moved else raw, tuple(found.values()), note)


def _place(partition: Partition) -> tuple[int, int]:
    return partition.offset, partition.size


def _saved(chip: Chip) -> Backup | None:
    path = backup.rescued(folder(), chip.identity.mac)
    return backup.load(path) if path.exists() else None


def _files(
    chip: Chip, board: Board, there: tuple[Partition, ...], saved: Backup | None
) -> tuple[dict[str, bytes], bool, tuple[str, ...]]:
    """The node's own files off the chip, or as they were saved where the chip's are not whole; whether the firmware's
    are current; and a note.
    """
    vfs = next((part for part in there if part.name == node.FILESYSTEM), None)
    found: dict[str, bytes] = {}
    is_current = False
    problem = ""
    if vfs is not None and vfs.end <= (chip.flash_bytes or vfs.end):
        try:
            found, is_current = _own(chip, vfs, node.node_files(board))
        except volume.Unreadable as error:
            problem = str(error)
    if saved is not None and (problem or not _is_sound(found) or _same_settings(found, saved.files)):
        return dict(saved.files), False, ("settings and records come from before the flash that was cut off",)
    if problem and vfs is not None and _is_littlefs(chip, vfs):
        return (
            {},
            False,
            (f"the old filesystem was damaged ({problem}): settings are lost, provision it again",),
        )
    return found, is_current, ()


def _own(chip: Chip, vfs: Partition, firmware: Mapping[str, bytes]) -> tuple[dict[str, bytes], bool]:
    """The node's own files, and whether all the others are those of this firmware."""
    found = read_files(chip, vfs, firmware, lambda name: tree.is_nodes_own(name) or name == tree.VERSION_FILE)
    if found.pop(tree.VERSION_FILE, None) != firmware[tree.VERSION_FILE]:
        return found, False
    # It says so; but a file may have been changed by hand, or cut short.
    everything = read_files(chip, vfs, firmware)
    return found, {name: data for name, data in everything.items() if name not in found} == firmware


def _is_sound(files: Mapping[str, bytes]) -> bool:
    """Whether the settings, which LittleFS does not check, are settings."""
    try:
        _parse(files[settings.FILE])
    except (SettingsError, KeyError, ValueError):
        return False
    return True


def _same_settings(found: Mapping[str, bytes], saved: Mapping[str, bytes]) -> bool:
    return found.get(settings.FILE) == saved.get(settings.FILE)


def _is_littlefs(chip: Chip, vfs: Partition) -> bool:
    heads = (chip.read(vfs.offset + block * volume.BLOCK, 64) for block in (0, 1))
    return any(_MAGIC in head for head in heads)


def read_files(
    chip: Chip, vfs: Partition, likely: Mapping[str, bytes], wanted: volume.Wanted = lambda name: True
) -> dict[str, bytes]:
    """Files of the filesystem on the chip. `likely`: what it may be made of; blocks as a filesystem of these has them
    are not read over the line. Raises volume.Unreadable.
    """
    fresh = volume.build(likely, vfs.size)
    known = _known(chip, vfs, fresh)

    def fetch(block: int, offset: int, size: int) -> bytes:
        if block in known:
            at = block * volume.BLOCK + offset
            return fresh.data[at : at + size]
        return chip.read(vfs.offset + block * volume.BLOCK + offset, size)

    return volume.read(fetch, vfs.size, wanted, grain=_GRAIN)


def _known(chip: Chip, vfs: Partition, fresh: volume.Volume) -> set[int]:
    """The blocks that are on the chip as they are in this filesystem."""
    blocks = sorted(fresh.blocks)
    pieces = [
        Span(vfs.offset + block * volume.BLOCK, fresh.data[block * volume.BLOCK : (block + 1) * volume.BLOCK])
        for block in blocks
    ]
    return {block for block, right in zip(blocks, chip.holds(pieces), strict=True) if right}
