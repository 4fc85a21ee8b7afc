"""Files for people and for other programs: there whole or not at all, those with keys in them 0600."""

from __future__ import annotations

import os
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
