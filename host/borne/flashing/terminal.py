"""A terminal on a board: keys go to it, what it prints comes back, Ctrl-] leaves. POSIX; Windows has pyserial's."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import serial

from borne.errors import ReplError, UserError
from borne.flashing import entering

LEAVE: Final = b"\x1d"  # Ctrl-]


def attach(port: str, tell: Callable[[str], None]) -> None:
    """Connect this terminal with a board until Ctrl-]; `tell` gets how to leave, and that it was left.

    Raises UserError without a terminal, PortError, ReplError.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UserError(
            "console: needs a terminal; to run code there is borne exec, to listen borne logs --follow"
        )
    line = entering.open_quietly(port)
    tell(f"{port}: Ctrl-C for the prompt, Ctrl-D there starts the node anew, Ctrl-] leaves")
    try:
        if os.name == "nt":
            _windows(line)
        else:
            _posix(line, port)
    finally:
        line.close()
    tell(f"\n{port}: left; the node goes on with what it does")


def _posix(line: serial.Serial, port: str) -> None:
    ended_read, ended_write = os.pipe()
    leaving = threading.Event()
    broken: list[Exception] = []

    def show() -> None:
        try:
            while not leaving.is_set():
                data = line.read(max(1, line.in_waiting))
                if data:
                    os.write(sys.stdout.fileno(), data)
        except (serial.SerialException, OSError) as error:
            broken.append(error)
        os.write(ended_write, b"x")

    shower = threading.Thread(target=show, daemon=True)
    try:
        with _raw(sys.stdin.fileno()):
            shower.start()
            _type(line, ended_read)
    except (serial.SerialException, OSError) as error:
        broken.append(error)
    finally:
        leaving.set()
        shower.join(1)
        os.close(ended_read)
        os.close(ended_write)
    if broken:
        raise ReplError(f"{port}: the link broke: check the cable and try again") from broken[0]


def _type(line: serial.Serial, ended: int) -> None:
    """Hand keys on until Ctrl-], the end of input, or the end of the other direction."""
    keys = sys.stdin.fileno()
    while True:
        ready = select.select([keys, ended], [], [])[0]
        if ended in ready:
            return
        data = os.read(keys, 1024)
        before, leave, _ = data.partition(LEAVE)
        if before:
            line.write(before)
        if leave or not data:
            return


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _windows(line: serial.Serial) -> None:
    from serial.tools import miniterm

    terminal = miniterm.Miniterm(line, echo=False, eol="cr", filters=["direct"])
    terminal.exit_character = LEAVE.decode()
    terminal.set_rx_encoding("UTF-8")
    terminal.set_tx_encoding("UTF-8")
    terminal.start()
    terminal.join(True)
    terminal.stop()
