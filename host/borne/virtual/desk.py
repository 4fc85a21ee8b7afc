"""A virtual board to play with: real time, one kind of sensor attached, its flash kept in a folder."""

from __future__ import annotations

import time
from pathlib import Path

import platformdirs

from borne.boards import Board
from borne.errors import UserError
from borne.virtual import world
from borne.virtual.board import VirtualBoard
from borne.virtual.clock import WallClock
from borne.virtual.street import nodes
from borne.virtual.wiring import Wiring

# An open network; whoever tries the board gives `--wifi-ssid desk` and no password.
ACCESS_POINTS = {"desk": ""}
_SEED = 1


def home(board: Board) -> Path:
    """Where the flash of such a board is kept unless told otherwise."""
    return platformdirs.user_data_path("borne") / "virtual" / board.name


def place(board: Board, kind: str | None, folder: Path | None = None, *, speed: float = 1.0) -> VirtualBoard:
    """A virtual board like `board`, with the sensors of a node of `kind` (None: none), not powered yet.

    Its network is ACCESS_POINTS. `speed`: how many times as fast as the wall's its clock runs.
    """
    if speed <= 0:
        raise UserError(f"a clock cannot run at {speed} times the speed of the wall's")
    return VirtualBoard(
        folder or home(board),
        chip=board.chip,
        flash_size=board.flash_bytes,
        wiring=_wiring(board, kind) if kind else Wiring(),
        clock=WallClock(speed),
        access_points=ACCESS_POINTS,
    )


def _wiring(board: Board, kind: str) -> Wiring:
    kinds = {asset.kind: asset for asset in world.assets(_SEED, 3)}
    if kind not in kinds:
        raise UserError(f"no node is of kind {kind}; there are: {', '.join(sorted(kinds))}")
    return nodes.wiring(_SEED, kinds[kind], board, int(time.time()))
