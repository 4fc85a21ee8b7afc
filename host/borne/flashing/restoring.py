"""A node's memory off its board into a backup, and back onto that board or another."""

from __future__ import annotations

import hashlib
import json

from borne import boards
from borne.errors import BoardError, ImageError
from borne.flashing import esptool, keeping, node, nvs, tree, volume
from borne.flashing.backup import Backup
from borne.flashing.chip import BAUD, Chip, Progress
from borne.flashing.esptool import Flashed
from borne.flashing.image import Partition, Region
from borne_node import settings


def take(port: str, *, baud: int = BAUD) -> Backup:
    """NVS and every file of the node on `port`, each byte checked by MD5 on its way; the node starts again afterwards.

    Raises BoardError (there is no node), PortError, NoAnswer, FlashError.
    """

    def action(chip: Chip) -> Backup:
        where, vfs = _partitions(chip)
        raw = chip.read(where.offset, where.size)
        try:
            files = keeping.read_files(chip, vfs, _likely(chip))
        except volume.Unreadable as error:
            raise BoardError(
                f"{port}: its filesystem cannot be read ({error}); is there a node on it?"
            ) from None
        chip.reset()
        return Backup(chip.identity.name, chip.identity.mac, _board(files), raw, files)

    return esptool.attempt(port, action, baud=baud)


def restore(
    port: str,
    memory: Backup,
    *,
    another: bool = False,
    baud: int = BAUD,
    progress: Progress | None = None,
) -> Flashed:
    """Give the node on `port` this memory, in place of all that it has. `another`: it may be another board than it was
    taken of, of the same chip.

    Raises BoardError (another board or chip, or no MicroPython on it) and ImageError (it does not fit) before
    anything is written; PortError, NoAnswer, FlashError.
    """

    def action(chip: Chip) -> Flashed:
        _check(chip, memory, another)
        where, vfs = _partitions(chip)
        regions = (Region(node.NVS, where.offset, _nvs(memory, where)), _filesystem(memory, vfs))
        # Until all is written it is on this computer anyway: in the backup.
        written = esptool.complete(chip, regions, progress, verify=True)
        keeping.forget(chip)
        chip.reset()
        return Flashed(
            port=port,
            chip=chip.identity.chip,
            mac=chip.identity.mac,
            bytes=sum(len(region.data) for region in regions),
            written=written,
            board=memory.board,
            baud=chip.baud,
            kept=tuple(sorted(name for name in memory.files if tree.is_nodes_own(name))),
            settings=_digest(memory),
        )

    return esptool.attempt(port, action, baud=baud)


def _check(chip: Chip, memory: Backup, another: bool) -> None:
    here = chip.identity
    if memory.chip != here.name:
        raise BoardError(
            f"{chip.port}: the chip is an {here.name}, but the backup is of an {memory.chip}; nothing was written"
        )
    if memory.mac != here.mac and not another:
        raise BoardError(
            f"{chip.port}: has MAC {here.mac}, but the backup is of {memory.mac}; nothing was written; to move the "
            "node onto this board give --onto-another (and let the old one never join again)"
        )


def _partitions(chip: Chip) -> tuple[Partition, Partition]:
    """NVS and filesystem by the table on the chip. Raises BoardError."""
    there = keeping.partitions(chip)
    where = next((part for part in there if part.is_nvs), None)
    vfs = next((part for part in there if part.name == node.FILESYSTEM), None)
    if where is None or vfs is None:
        raise BoardError(f"{chip.port}: there is no MicroPython on it: flash the board first (borne flash)")
    return where, vfs


def _likely(chip: Chip) -> dict[str, bytes]:
    """What most of its filesystem is probably made of, which spares reading it: today's firmware."""
    name = next(name for name in boards.names() if boards.load(name).silicon.title == chip.identity.name)
    return node.node_files(boards.load(name))


def _board(files: dict[str, bytes]) -> str:
    try:
        return str(json.loads(files.get(tree.BOARD_FILE, b"{}")).get("board", ""))
    except (ValueError, AttributeError):
        return ""


def _digest(memory: Backup) -> str:
    raw = memory.files.get(settings.FILE)
    return hashlib.sha256(raw).hexdigest() if raw else ""


def _nvs(memory: Backup, where: Partition) -> bytes:
    """The partition as it was; another size is filled with its records."""
    if len(memory.nvs) == where.size:
        return memory.nvs
    return nvs.build(nvs.read(memory.nvs), where.size)


def _filesystem(memory: Backup, vfs: Partition) -> Region:
    if not memory.files:
        raise ImageError("the backup holds no files")
    built = volume.build(memory.files, vfs.size)
    return Region(node.FILESYSTEM, vfs.offset, built.data, built.blocks)
