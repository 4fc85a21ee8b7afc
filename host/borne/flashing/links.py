"""The two ways to run code on a board: mpremote's serial transport, and ampy's.

mpremote (MIT) uses MicroPython's raw-paste mode, which waits for the board and is fast. ampy (MIT) uses the plain raw
mode, 256 bytes every 10 ms, which gets through where a bridge or a server garbles raw paste.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, Protocol, cast

import serial
from ampy.pyboard import Pyboard, PyboardError  # type: ignore[import-untyped]
from mpremote import transport_serial  # type: ignore[import-untyped]
from mpremote.transport import TransportError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from borne.flashing import ports

Via = Literal["mpremote", "ampy"]
VIAS: Final = ("mpremote", "ampy")


# mpremote prints what it did not expect: that may be what was sent, with a secret in it.
transport_serial.print = lambda *_: None


class LinkError(Exception):
    """The board did not keep to the protocol. Holds nothing of what was sent."""


class Link(Protocol):
    """What both have: a port that is open, and code to run on the board behind it."""

    serial: serial.Serial

    def exec_raw(
        self, command: str | bytes, timeout: float, data_consumer: Callable[[bytes], None] | None = None
    ) -> tuple[bytes, bytes]: ...
    def exec_raw_no_follow(self, command: str) -> None: ...
    def exit_raw_repl(self) -> None: ...
    def close(self) -> None: ...


class _Ampy(Pyboard):  # type: ignore[misc]
    """ampy's Pyboard on a port that pyserial opened: its own constructor knows no socket:// and no rfc2217://."""

    def __init__(self, line: serial.Serial) -> None:
        self.serial = line


def open_link(via: Via, port: str, baud: int, timeout: float) -> Link:
    """Open a port. Raises PortError; what a cable breaks meanwhile is pyserial's error."""
    with ports.opening(port):
        if via == "ampy":
            line = ports.patiently(
                lambda: serial.serial_for_url(port, baudrate=baud, timeout=timeout, exclusive=True)
            )
            return cast(Link, _Ampy(line))
        try:
            return cast(Link, SerialTransport(port, baudrate=baud, timeout=timeout))
        except TransportError:
            # mpremote keeps the reason to itself; asking again finds it, or finds it gone.
            ports.diagnose(port)
            return cast(Link, SerialTransport(port, baudrate=baud, timeout=timeout))


@contextmanager
def protocol() -> Iterator[None]:
    """Turn both tools' complaints about the protocol into a LinkError."""
    try:
        yield
    except (TransportError, PyboardError) as error:
        # PyboardError is a BaseException. Its text quotes the board, which may repeat what was sent.
        raise LinkError from error
