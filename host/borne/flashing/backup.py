"""A node's memory as a file: NVS and the files of its filesystem, for another day or another board.

The file is a ZIP archive that any tool opens: `node.json` (of which chip, SHA-256 of every member), `nvs.bin`, and
`files/...`. It holds the node's secrets and is readable by its owner only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from borne.errors import ImageError

_MANIFEST: Final = "node.json"
_NVS: Final = "nvs.bin"
_FILES: Final = "files/"
_VERSION: Final = 1
_OWNER_ONLY: Final = 0o600
# The earliest time that ZIP can express: the same memory makes the same file.
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Backup:
    """`chip` is a family as Chip.title of the board files, `mac` lower case, `board` the name in the node's
    board.json.
    """

    chip: str
    mac: str
    board: str = ""
    nvs: bytes = field(default=b"", repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def save(self, path: Path) -> None:
        """Write the file as a whole or not at all, 0600 from its first byte on, and read it back.

        Raises ImageError.
        """
        data = self._packed()
        partial = path.with_name(path.name + ".part")
        try:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if load(partial) != self:
                raise ImageError(f"{path}: does not hold what was written to it; is the disk sound?")
            partial.replace(path)
        except OSError as error:
            raise ImageError(f"{path}: {error.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()

    def _packed(self) -> bytes:
        members = {_NVS: self.nvs, **{_FILES + name: data for name, data in self.files.items()}}
        manifest = {
            "borne_backup": _VERSION,
            "chip": self.chip,
            "mac": self.mac,
            "board": self.board,
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(members.items())},
        }
        packed = BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in [
                (_MANIFEST, json.dumps(manifest, indent=1).encode()),
                *sorted(members.items()),
            ]:
                archive.writestr(zipfile.ZipInfo(name, _NO_TIME), data, zipfile.ZIP_DEFLATED)
        return packed.getvalue()


def load(path: Path) -> Backup:
    """Read a backup and compare every hash in it. Raises ImageError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _unpacked(path, archive)
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        KeyError,
        TypeError,
        EOFError,
        NotImplementedError,
    ) as error:
        raise ImageError(f"{path}: is no backup of a node, or damaged ({error})") from None


def _unpacked(path: Path, archive: zipfile.ZipFile) -> Backup:
    manifest: dict[str, Any] = json.loads(archive.read(_MANIFEST))
    if manifest["borne_backup"] != _VERSION:
        raise ImageError(
            f"{path}: is a backup of form {manifest['borne_backup']}; this borne knows {_VERSION}"
        )
    members = {name: archive.read(name) for name in manifest["sha256"]}
    for name, data in members.items():
        if hashlib.sha256(data).hexdigest() != manifest["sha256"][name]:
            raise ImageError(f"{path}: {name} in it is damaged")
    files = {name.removeprefix(_FILES): data for name, data in members.items() if name.startswith(_FILES)}
    return Backup(str(manifest["chip"]), str(manifest["mac"]), str(manifest["board"]), members[_NVS], files)


@contextlib.contextmanager
def rescue(folder: Path, memory: Backup) -> Iterator[None]:
    """Keep a node's memory on this computer for as long as its board is being written.

    It goes when all went well; after a pulled cable it stays, and the next flash of that board finds it.
    """
    path = rescued(folder, memory.mac)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ImageError(
            f"{folder}: {error.strerror}: no place to keep the node's settings meanwhile"
        ) from None
    memory.save(path)
    yield
    with contextlib.suppress(OSError):
        path.unlink()


def rescued(folder: Path, mac: str) -> Path:
    """Where the memory of the board with this MAC address is kept meanwhile."""
    return folder / f"{mac.replace(':', '')}.zip"
