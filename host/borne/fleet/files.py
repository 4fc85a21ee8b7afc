"""Files that are there whole or not at all; those with keys in them for their owner's eyes only (0600)."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from borne.errors import UserError


def write(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replace `path` at once. `private`: 0600 from its first byte on, whatever an older file there had.

    Raises UserError that names the path, never what was to be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes it 0600.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if not private:
            mask = os.umask(0)
            os.umask(mask)
            Path(name).chmod(0o666 & ~mask)
        os.replace(name, path)  # noqa: PTH105 - a name, not a Path
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        if isinstance(error, OSError):
            raise UserError(f"{path}: {error.strerror}") from None
        raise
