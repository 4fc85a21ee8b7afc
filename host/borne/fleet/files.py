"""Files for people and for other programs: there whole or not at all, those with keys in them 0600."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from borne.errors import UserError
from borne.fleet import durable


def write(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replace `path` at once. `private`: 0600 from its first byte on, whatever an older file there had.

    It keeps the owner of the file that it replaces: a broker that cannot read its password file any more lets nobody
    in. Raises UserError that names the path, never what was to be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat() if path.exists() else None
        if path.is_dir():
            raise IsADirectoryError(21, "is a folder")
        durable.replace(path, data)
        if before and hasattr(os, "chown") and os.geteuid() == 0:
            os.chown(path, before.st_uid, before.st_gid)
        if not private:
            mask = os.umask(0)
            os.umask(mask)
            path.chmod(0o666 & ~mask)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Nobody else changes `path` between our reading and our `write` of it, if they take this too; waits for them.

    What is locked is `.NAME.lock` beside it, which stays: `path` itself is another file after each `write`.
    Raises UserError.
    """
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(durable.locked(lock))
        except OSError as error:
            raise UserError(f"{lock}: {error.strerror}") from None
        yield
