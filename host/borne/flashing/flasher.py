"""Boards into nodes: the whole way from a board on a port to a node that is complete, with all it had before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from borne.boards import Board
from borne.errors import BorneError
from borne.flashing import backup, esptool, images, keeping, node, nvs
from borne.flashing.chip import BAUD, Chip, Progress
from borne.flashing.esptool import Flashed
from borne.flashing.image import MicroPython, Region
from borne.flashing.keeping import Memory
from borne.flashing.node import Identity
from borne.flashing.nvs import Record
from borne_node import settings


@dataclass(frozen=True)
class Job:
    """One board to flash. `identity` makes it that node; without one it stays the node that it is, or becomes a bare
    one.
    """

    port: str
    board: Board
    identity: Identity | None = None


@dataclass(frozen=True)
class How:
    """`factory_reset`: nothing of what the node had outlives it. `verify`: compare everything once more at the end."""

    image: Path | None = None
    factory_reset: bool = False
    verify: bool = True
    baud: int = BAUD


def flash(job: Job, how: How = How(), *, progress: Progress | None = None) -> Flashed:  # noqa: B008
    """Make the board a complete node in one connection: MicroPython, firmware, and settings and secrets where given.

    What the node has of its own is kept: NVS, settings, reports that wait. Only what differs is written. `progress`
    gets 0.0 to 1.0. Raises BoardError, ImageError, SettingError, PortError (nothing was written), NoAnswer, FlashError.
    """
    micropython = images.obtain(job.board, how.image)
    # What can be refused without a board is refused without one.
    node.of_image(job.board, micropython, identity=job.identity)
    return _flash(job, how, micropython, progress)


def flash_all(
    jobs: Sequence[Job],
    how: How = How(),
    *,
    progress: Callable[[str, float], None] | None = None,  # noqa: B008
) -> list[Flashed | BorneError]:
    """`flash` all of them at once; one's failure does not stop the others.

    Returns what became of each, in the order given. `progress` gets a port and 0.0 to 1.0, from several threads. Raises
    ImageError and SettingError before anything is written to any of them.
    """
    kinds = {job.board.name: job.board for job in jobs}
    loaded = {name: images.obtain(board, how.image) for name, board in kinds.items()}
    for job in jobs:
        node.of_image(job.board, loaded[job.board.name], identity=job.identity)

    def run(job: Job, follow: Progress) -> Flashed:
        return _flash(job, how, loaded[job.board.name], follow)

    return esptool.at_once(jobs, lambda job: job.port, run, progress)


def _flash(job: Job, how: How, micropython: MicroPython, progress: Progress | None) -> Flashed:
    def action(chip: Chip) -> Flashed:
        esptool.check_size(chip, job.board, max(partition.end for partition in micropython.partitions))
        if how.factory_reset:
            memory, regions = Memory(), _blank(job, micropython)
        else:
            memory = keeping.gather(chip, job.board, micropython, with_nvs=job.identity is not None)
            regions = _keeping(job, micropython, memory)
        guard = backup.rescue(keeping.folder(), memory.rescue(chip)) if memory.is_precious else nullcontext()
        written = esptool.complete(chip, regions, progress, how.verify, guard)
        keeping.forget(chip)
        chip.reset()
        kept = sorted(name for name in memory.files if job.identity is None or name != settings.FILE)
        done = esptool.result(chip, job.board, regions, written, kept, memory.notes)
        raw = node.settings_file(job.identity) if job.identity else memory.files.get(settings.FILE)
        return replace(done, settings=hashlib.sha256(raw).hexdigest() if raw else "")

    return esptool.attempt(job.port, action, baud=how.baud, board=job.board)


def _keeping(job: Job, micropython: MicroPython, memory: Memory) -> tuple[Region, ...]:
    """The regions of a node that has this memory, without those that hold what they shall, if in another order."""
    regions = {region.name: region for region in _carrying(job, micropython, memory)}
    if memory.is_current and _settings(job.identity) in (None, memory.files.get(settings.FILE)):
        del regions[node.FILESYSTEM]
    if node.NVS in regions and _same(nvs.read(memory.nvs_there), nvs.read(regions[node.NVS].data)):
        del regions[node.NVS]
    return tuple(regions.values())


def _carrying(job: Job, micropython: MicroPython, memory: Memory) -> tuple[Region, ...]:
    regions = node.of_image(job.board, micropython, identity=job.identity, keep=memory.kept)
    if job.identity is not None or not memory.records:
        return regions
    # Nobody gave new secrets, but the old ones have to move.
    where = micropython.nvs()
    carried = Region(node.NVS, where.offset, nvs.build(list(memory.records), where.size))
    return tuple(sorted((*regions, carried), key=lambda region: region.offset))


def _settings(identity: Identity | None) -> bytes | None:
    return None if identity is None else node.settings_file(identity)


def _same(left: list[Record], right: list[Record]) -> bool:
    return sorted(left, key=_name) == sorted(right, key=_name)


def _name(record: Record) -> tuple[str, str]:
    return record.namespace, record.key


def _blank(job: Job, micropython: MicroPython) -> tuple[Region, ...]:
    """The regions of a node that forgets everything: NVS blank where no secrets go into it, no old block of a file
    left.
    """
    made = node.of_image(job.board, micropython, identity=job.identity)
    whole = [replace(region, blocks=None) for region in made]
    where = micropython.nvs()
    if not any(region.name == node.NVS for region in whole):
        whole.append(Region(node.NVS, where.offset, b"\xff" * where.size))
    return tuple(sorted(whole, key=lambda region: region.offset))
