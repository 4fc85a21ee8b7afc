"""What a board says of itself, by its prompt or by its boot ROM."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from borne.boards import Board
from borne.errors import NoAnswer, ReplError
from borne.flashing import node, tree
from borne.flashing.chip import Chip
from borne.flashing.repl import Repl
from borne.fleet import identity
from borne_node.settings import FILE

_WHO_ARE_YOU: Final = "import machine,binascii\nprint(str(binascii.hexlify(machine.unique_id()),'ascii'))"


@dataclass(frozen=True)
class Seen:
    """What a board says of itself. `files` tells firmware builds apart; `settings` is its settings file."""

    mac: str
    firmware: str | None = None
    files: str | None = None
    board: str | None = None
    settings: bytes | None = None
    micropython: str | None = None


def prompt(port: str, stack: ExitStack, wait: float = 0.0) -> Repl | None:
    """The board's prompt, None where no MicroPython answers. Raises PortError.

    `wait`: seconds to go on knocking at a board that is just booting.
    """
    try:
        return stack.enter_context(Repl(port, wait=wait))
    except (NoAnswer, ReplError):
        return None


def ask(board: Repl) -> Seen:
    """Raises ReplError."""
    version = board.firmware() or {}
    try:
        about = json.loads(board.read_file(tree.BOARD_FILE) or b"{}")
    except ValueError:
        about = {}
    return Seen(
        identity.mac(board.run(_WHO_ARE_YOU).strip()),
        version.get("borne_node"),
        version.get("files"),
        about.get("board") if isinstance(about, dict) else None,
        board.read_file(FILE),
        board.implementation(),
    )


def ask_rom(port: str) -> Seen:
    """The MAC is all that a boot ROM knows. Restarts the board. Raises PortError, NoAnswer."""
    with Chip(port) as chip:
        return Seen(identity.mac(chip.identity.mac))


def name_in(settings: bytes | None) -> str | None:
    """The node's name in its settings file, None where that is none."""
    try:
        found: Any = json.loads(settings or b"null")
        return str(found["name"]) if isinstance(found, dict) and "name" in found else None
    except ValueError:
        return None


def files_of(kind: Board) -> str:
    """What `Seen.files` is on a board of this kind with the firmware of this borne."""
    version: dict[str, Any] = json.loads(node.node_files(kind)[tree.VERSION_FILE])
    return str(version["files"])
