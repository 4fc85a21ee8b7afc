"""Which board is on a port: by the node's own board file, by USB ids that one board alone has, or a choice of few."""

from __future__ import annotations

import json
from dataclasses import dataclass

from serial.tools import list_ports

from borne import boards
from borne.boards import Board
from borne.errors import BoardError
from borne.flashing import esptool, keeping, node, tree, volume
from borne.flashing.chip import BAUD, Chip, Identity


@dataclass(frozen=True)
class Found:
    """`board`: None where several fit; `fitting`: their names, the likeliest first."""

    port: str
    identity: Identity
    flash_mb: int
    board: Board | None
    fitting: tuple[str, ...]

    def sure(self) -> Board:
        """The board. Raises BoardError that lists what it could be."""
        if self.board is None:
            raise BoardError(f"{self.doubt()}: say which, as in `borne flash {self.fitting[0]}`")
        return self.board

    def doubt(self) -> str:
        what = f"{self.port}: an {self.identity.name} with {self.flash_mb} MB of flash"
        return (
            f"{what} could be {', '.join(self.fitting)}"
            if self.fitting
            else f"{what} is no board that borne knows"
        )


def find(port: str, baud: int = BAUD) -> Found:
    """Ask the bootloader on a port, and the filesystem behind it. Raises BoardError, PortError, NoAnswer,
    FlashError.
    """
    return esptool.attempt(port, _find, baud=baud)


def _find(chip: Chip) -> Found:
    flash_mb = chip.flash_bytes >> 20
    known = [boards.load(name) for name in boards.names()]
    able = [
        board
        for board in known
        if board.silicon.title == chip.identity.name and (not flash_mb or board.flash_mb <= flash_mb)
    ]
    was = next((board for board in able if board.name == _own_name(chip)), None)
    usb = _usb_id(chip.port)
    likely = [board for board in able if usb in board.usb]
    found = was or (likely[0] if len(likely) == 1 and _tells(usb, known) else None)
    rest = [board for board in able if board not in likely]
    if found is None and len(able) == 1:
        found = able[0]
    if not able:
        raise BoardError(Found(chip.port, chip.identity, flash_mb, None, ()).doubt())
    chip.reset()
    return Found(chip.port, chip.identity, flash_mb, found, tuple(board.name for board in (*likely, *rest)))


def _own_name(chip: Chip) -> str | None:
    """What board.json on a node says; None on a board that is no node."""
    vfs = next((part for part in keeping.partitions(chip) if part.name == node.FILESYSTEM), None)
    if vfs is None or (chip.flash_bytes and vfs.end > chip.flash_bytes):
        return None
    try:
        files = keeping.read_files(chip, vfs, {}, lambda name: name == tree.BOARD_FILE)
        name = json.loads(files.get(tree.BOARD_FILE, b"{}")).get("board")
    except (volume.Unreadable, ValueError, AttributeError):
        return None
    return name if isinstance(name, str) else None


def _usb_id(port: str) -> str:
    for one in list_ports.comports():
        if one.device == port and one.vid is not None and one.pid is not None:
            return f"{one.vid:04x}:{one.pid:04x}"
    return ""


def _tells(usb: str, known: list[Board]) -> bool:
    """Whether this id is a board's own and not that of a bridge, or of the chip, which many boards have."""
    return usb.partition(":")[0] not in _BRIDGES and sum(usb in board.usb for board in known) == 1


# USB vendor ids of makers of bridges and chips, not of boards: Silicon Labs, WCH, FTDI, Prolific, Espressif.
_BRIDGES = frozenset({"10c4", "1a86", "0403", "067b", "303a"})
