"""The file of --new-app-key: there from before the node has the key, and not where no node has it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from borne.errors import SettingError


def refuse_old(path: Path) -> None:
    """Raises SettingError where the file for a new key is there already: the key in it may be a node's."""
    if os.path.lexists(path):
        raise SettingError(
            f"new_app_key: {path}: is there already; to use the key in it: --app-key-file {path}"
        )


class KeyFile:
    """A new file with a new key, as a context manager around provisioning whose steps it follows.

    It is written (0600) right before the node gets the key, for a key that only the node knows is of no use to
    anybody; and removed where the node did not get it. Once the settings that name the key are on their way, the
    node may have it whatever is raised: then the file stays, and that is said.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._is_ours = False
        self._step = ""

    def __enter__(self) -> KeyFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or not self._is_ours:
            return
        if self._step == "secrets":
            self._path.unlink(missing_ok=True)
        else:
            print(
                f"borne: the node may have its new key, so {self._path} stays; "
                f"go on with --app-key-file {self._path}",
                file=sys.stderr,
            )

    def follow(self, step: str) -> None:
        """A step begins. Raises SettingError: the file cannot be written, and the node is as it was."""
        self._step = step
        if step == "secrets":
            self._write()

    def _write(self) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._is_ours = True
            with os.fdopen(descriptor, "wb") as file:
                file.write(self._key + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SettingError(f"new_app_key: {self._path}: {error.strerror}") from None
