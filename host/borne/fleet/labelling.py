"""The label of a node as soon as it is provisioned: a file, and into the printer that takes files."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

from borne.errors import DeviceError, SettingError
from borne.fleet import files
from borne.fleet.commission import Done
from borne.fleet.labels import artwork, sheets, stock
from borne.fleet.registry import nodes
from borne.fleet.registry.store import Registry

_PRINT_SECONDS: Final = 30


class Labels:
    """Writes each node's label into `folder`; runs `command` with the file's name behind it.

    Raises SettingError for a stock or a command that is none.
    """

    def __init__(self, registry: Registry, folder: Path, paper: str, command: str | None = None) -> None:
        self._registry = registry
        self._folder = folder
        self._paper = stock.named(paper)
        try:
            self._command = shlex.split(command or "")
        except ValueError as error:
            raise SettingError(f"print: {command!r}: {error}") from None

    def __call__(self, done: Done) -> None:
        """Raises UserError, DeviceError; the node is provisioned all the same."""
        with self._registry.reading() as db:
            node = nodes.get(db, done.asset).node
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', node.name)}.pdf"
        files.write(path, sheets.pdf([artwork.draw(node, self._paper)], self._paper))
        if self._command:
            self._print(path)

    def _print(self, path: Path) -> None:
        try:
            done = subprocess.run(
                [*self._command, str(path)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PRINT_SECONDS,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceError(f"label {path}: {self._command[0]}: {error}") from None
        if done.returncode:
            said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
            raise DeviceError(f"label {path}: {self._command[0]}: {said}")
