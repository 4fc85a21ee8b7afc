"""borne console: a terminal on a node."""

from __future__ import annotations

from borne.cli import attach
from borne.flashing import terminal


def console(port: attach.Port) -> None:
    """Connect this terminal with a node: its log and, after Ctrl-C, its prompt. Ctrl-D starts it anew."""
    terminal.attach(port, attach.tell)
