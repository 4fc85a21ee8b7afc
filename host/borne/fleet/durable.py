"""Files that outlive a power cut: whole or not there, for their owner only, one writer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

OWN: Final = 0o600


def write_new(path: Path, data: bytes) -> None:
    """A new file with this content, on the disk when this returns. Raises FileExistsError, OSError."""
    part = _part(path, data)
    try:
        try:
            # A link, unlike a rename, never replaces what another process has just put there.
            os.link(part, path)
        finally:
            part.unlink()
    except PermissionError:
        # A filesystem without links (FAT on a memory stick); the caller holds the lock.
        if path.exists():
            raise FileExistsError(path) from None
        part = _part(path, data)
        part.replace(path)
    sync_folder(path.parent)


def replace(path: Path, data: bytes) -> None:
    """The file with this content, or as it was. Raises OSError."""
    part = _part(path, data)
    part.replace(path)
    sync_folder(path.parent)


def _part(path: Path, data: bytes) -> Path:
    part = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return part


def append(path: Path, line: bytes) -> None:
    """A line at the end; several processes may do so at once. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, OWN)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """The names in a folder onto the disk, where the system knows such a thing (fsync(2))."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock that the file `path` stands for; waits for another process to let go of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWN)
    try:
        if os.name == "posix":
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:  # pragma: no cover
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        yield
    finally:
        # Also lets go of the lock, as the end of the process would.
        os.close(descriptor)
