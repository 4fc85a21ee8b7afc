"""The node's filesystem as bytes: a LittleFS partition built from files, and files read out of one.

Reading asks for one block at a time, so that a filesystem can be read over a slow line without all of it; building
tells which blocks it touched, because the others may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

from littlefs import LittleFS
from littlefs.context import UserContext
from littlefs.errors import LittleFSError

from borne.errors import ImageError

# The flash's erase sector, and MicroPython's block (ports/esp32/esp32_partition.c, NATIVE_BLOCK_SIZE_BYTES).
BLOCK: Final = 4096
# What VfsLfs2 mounts with (extmod/vfs_lfs.c: defaults of readsize, progsize, lookahead).
_CACHE: Final = 32
# Disk version 2.0: MicroPython 1.20 declares a 2.1 image corrupted.
_DISK_VERSION: Final = 0x00020000
_NAME_MAX: Final = 255

# Block, offset in it, size -> bytes.
Fetch = Callable[[int, int, int], bytes]
Wanted = Callable[[str], bool]


class Volume(NamedTuple):
    """`data`: the whole partition; `blocks`: numbers of those that LittleFS looks at, among them the spare halves of
    directories. What the others hold does not matter: they are erased before they are used.
    """

    data: bytes
    blocks: frozenset[int]


class Unreadable(Exception):
    """There is a filesystem that does not mount, or breaks while it is read; the text says what LittleFS said."""


class _Watched(UserContext):
    """Memory that remembers which blocks were touched."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.touched: set[int] = set()

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        self.touched.add(block)
        found: bytearray = super().read(cfg, block, off, size)
        return found

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        self.touched.add(block)
        return int(super().prog(cfg, block, off, data))

    def erase(self, cfg: Any, block: int) -> int:
        self.touched.add(block)
        return int(super().erase(cfg, block))


class _Fetched(UserContext):
    """Bytes that come from elsewhere, each once, in grains of one size; nothing can be written."""

    def __init__(self, fetch: Fetch, grain: int) -> None:
        super().__init__(0)
        self._fetch = fetch
        self._grain = grain
        self._grains: dict[tuple[int, int], bytes] = {}
        self.error: BaseException | None = None

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        first, last = off // self._grain, (off + size - 1) // self._grain
        try:
            if self.error is None:
                joined = b"".join(self._get(block, number) for number in range(first, last + 1))
                return bytearray(joined[off - first * self._grain :][:size])
        except BaseException as error:
            # littlefs calls from C, which passes no exceptions on; whoever asked for the files raises this one.
            self.error = error
        return bytearray(size)

    def _get(self, block: int, number: int) -> bytes:
        if (block, number) not in self._grains:
            self._grains[block, number] = self._fetch(block, number * self._grain, self._grain)
        return self._grains[block, number]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        return -5  # LFS_ERR_IO

    def erase(self, cfg: Any, block: int) -> int:
        return -5


def build(content: Mapping[str, bytes], size: int) -> Volume:
    """A LittleFS partition of `size` bytes that holds these files (path to content). Same files, same bytes.

    Raises ImageError when they do not fit.
    """
    return _build(tuple(sorted(content.items())), size)


# One flash asks for the same filesystem up to three times, eight boards at once for eight times that.
@lru_cache(maxsize=4)
def _build(files: tuple[tuple[str, bytes], ...], size: int) -> Volume:
    memory = _Watched(size)
    try:
        system = _littlefs(memory, size, mount=True)
        for name, data in files:
            folder = PurePosixPath(name).parent
            if folder != PurePosixPath("."):
                system.makedirs(str(folder), exist_ok=True)
            with system.open(name, "wb") as file:
                file.write(data)
    except LittleFSError as error:
        total = sum(len(data) for _, data in files)
        raise ImageError(f"{total} bytes of files do not fit a filesystem of {size} bytes: {error}") from None
    return Volume(bytes(memory.buffer), frozenset(memory.touched))


def read(
    fetch: Fetch, size: int, wanted: Wanted = lambda name: True, *, grain: int = BLOCK
) -> dict[str, bytes]:
    """Files of a filesystem of `size` bytes, whose content `fetch` gives, `grain` bytes at a time: those whose path is
    `wanted`, as is each folder on their way, with a slash at its end.

    Nothing of the others is fetched but their directories. Raises Unreadable, and whatever `fetch` raises.
    """
    memory = _Fetched(fetch, grain)
    problem = ""
    found: dict[str, bytes] = {}
    try:
        system = _littlefs(memory, size, mount=False)
        system.mount()
        found = {name: _file(system, name) for name in _walk(system, "", wanted)}
    except LittleFSError as error:
        problem = str(error)
    if memory.error is not None:
        raise memory.error
    if problem:
        raise Unreadable(problem)
    return found


def _walk(system: LittleFS, folder: str, wanted: Wanted) -> Iterator[str]:
    for entry in sorted(system.scandir(folder or "/"), key=lambda entry: str(entry.name)):
        name = f"{folder}/{entry.name}" if folder else str(entry.name)
        if entry.type == 2:  # LFS_TYPE_DIR
            if wanted(name + "/"):
                yield from _walk(system, name, wanted)
        elif wanted(name):
            yield name


def _file(system: LittleFS, name: str) -> bytes:
    with system.open(name, "rb") as file:
        return bytes(file.read())


def _littlefs(context: UserContext, size: int, *, mount: bool) -> LittleFS:
    options: dict[str, Any] = {} if not mount else {"disk_version": _DISK_VERSION}
    return LittleFS(
        context=context,
        mount=mount,
        block_size=BLOCK,
        block_count=size // BLOCK,
        read_size=_CACHE,
        prog_size=_CACHE,
        lookahead_size=_CACHE,
        name_max=_NAME_MAX,
        **options,
    )
