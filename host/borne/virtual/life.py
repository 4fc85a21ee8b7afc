"""One life of the emulated chip's software: a MicroPython process, its terminal and its door to the hardware."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import termios
import tty

from borne.virtual import processes
from borne.virtual.shim import _ops as ops

_REQUEST = struct.Struct("<BBHI")
_ANSWER = struct.Struct(f"<BBHQ{ops.PIECE}s")
_MAX = 1 << 14


class Life:
    """Starts the process; `descriptor` is its flash, `heap` its limit in bytes."""

    def __init__(self, descriptor: int, heap: int) -> None:
        self.console, slave = os.openpty()
        _prepare(slave)
        self.door, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        self.door.setblocking(False)
        self.door_descriptor = self.door.fileno()
        os.set_blocking(self.console, False)
        arguments = [
            processes.shim(),
            "micropython",
            "-X",
            f"heapsize={heap}",
            "-i",
            "-c",
            "__import__('_board')",
        ]
        try:
            self._pid = processes.micropython().spawn([slave, theirs.fileno(), descriptor], arguments)
        finally:
            os.close(slave)
            theirs.close()
        self._backlog = b""
        self._ended = False

    def receive(self) -> tuple[int, int, int, bytes] | None:
        """The next call: operation, sequence, microseconds spent, payload; None if there is none now."""
        try:
            message = self.door.recv(_MAX)
        except (BlockingIOError, ConnectionError):
            return None
        if not message:
            return None
        op, sequence, _, spent = _REQUEST.unpack_from(message)
        return op, sequence, spent, message[_REQUEST.size :]

    def answer(self, sequence: int, status: int, ticks_us: int, payload: bytes) -> None:
        # It may just have died; its terminal tells.
        with contextlib.suppress(ConnectionError):
            self.door.send(_ANSWER.pack(sequence, status, len(payload), ticks_us, payload))

    def read(self) -> bytes | None:
        """What it has printed; None when it has ended."""
        try:
            return os.read(self.console, 65536)
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def write(self, data: bytes) -> None:
        # Ctrl-C must not queue behind input that nobody reads: on the chip it is seen as it arrives.
        at = data.rfind(b"\x03")
        if at >= 0:
            self._backlog, data = b"", data[at:]
        self._backlog += data
        self.flush()

    def flush(self) -> None:
        try:
            while self._backlog:
                self._backlog = self._backlog[os.write(self.console, self._backlog) :]
        except BlockingIOError:
            pass
        except OSError:
            self._backlog = b""

    @property
    def congested(self) -> bool:
        return bool(self._backlog)

    def end(self, kill: bool) -> int:
        """Make sure that it has ended; its exit status, negative for a signal."""
        if self._ended:
            return 0
        self._ended = True
        server = processes.micropython()
        status = server.kill(self._pid) if kill else server.wait(self._pid)
        self.door.close()
        os.close(self.console)
        return status


class RomSession:
    """The boot ROM's loader at work: a process that speaks SLIP on one side of a socket."""

    def __init__(self, descriptor: int, chip: str, mac: bytes) -> None:
        self.line, theirs = socket.socketpair()
        try:
            self._pid = processes.rom().spawn([theirs.fileno(), descriptor], [chip, mac.hex()])
        finally:
            theirs.close()

    def end(self) -> None:
        self.line.close()
        processes.rom().kill(self._pid)


def _prepare(slave: int) -> None:
    """Raw, but with the kernel's own Ctrl-C: MicroPython has it off while its prompt reads, and on while code runs.

    So Ctrl-C interrupts exactly when it does on the chip. NOFLSH: what was typed after it stays.
    """
    tty.setraw(slave, termios.TCSANOW)
    mode = termios.tcgetattr(slave)
    mode[1] = 0
    mode[3] = termios.ISIG | termios.NOFLSH
    control = mode[6]
    for name in (termios.VQUIT, termios.VSUSP):
        control[name] = b"\0"
    control[termios.VINTR] = b"\x03"
    termios.tcsetattr(slave, termios.TCSANOW, mode)


assert _REQUEST.size == ops.REQUEST and _ANSWER.size == ops.ANSWER + ops.PIECE
