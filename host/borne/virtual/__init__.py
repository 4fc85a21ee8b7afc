"""Virtual boards: real tools in front, real MicroPython inside, simulated chips on simulated buses."""

from borne.virtual.board import VirtualBoard
from borne.virtual.clock import SimClock, WallClock
from borne.virtual.wiring import Wiring

__all__ = ["SimClock", "VirtualBoard", "WallClock", "Wiring"]
