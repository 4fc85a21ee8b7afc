"""The serial line between a host and a virtual board: a pty, and the faults of a cable."""

from __future__ import annotations

import errno
import os
import random
import select
import termios
import tty
from dataclasses import dataclass, field
from pathlib import Path

# A USB bridge's driver keeps about this much for a host that does not read; a UART loses what comes after.
_BACKLOG = 1 << 20


@dataclass
class Fault:
    """What happens to bytes on the line, both ways. Probabilities are per byte, from a seeded stream."""

    drop: float = 0.0
    flip: float = 0.0
    cut_after: int | None = None
    seed: int = 0
    passed: int = 0
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def apply(self, data: bytes) -> bytes:
        if self.cut_after is not None:
            data = data[: max(0, self.cut_after - self.passed)]
        self.passed += len(data)
        if not self.drop and not self.flip:
            return data
        out = bytearray()
        for byte in data:
            if self.random.random() < self.drop:
                continue
            if self.random.random() < self.flip:
                byte ^= 1 << self.random.randrange(8)
            out.append(byte)
        return bytes(out)

    @property
    def is_cut(self) -> bool:
        return self.cut_after is not None and self.passed >= self.cut_after


def attach(link: Path, slave: int) -> str:
    """Give a pty a name of its own; `detach` takes it away, before the pty goes.

    Numbers of ptys are reused at once, by any process: a host that comes back after a pulled cable, as esptool does,
    would find somebody else's board behind the old number.
    """
    detach(link)
    link.symlink_to(os.ttyname(slave))
    return str(link)


def detach(link: Path) -> None:
    link.unlink(missing_ok=True)


class Line:
    """The board's end. `port`, a link at the given path, is what a host opens; nobody here holds that end open, so a
    hang-up is seen.
    """

    def __init__(self, link: Path) -> None:
        self._fault: Fault | None = None
        self._backlog = bytearray()
        self._link = link.absolute()
        self.port = ""
        self._open()

    def _open(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave, termios.TCSANOW)
        self.port = attach(self._link, slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        # Edge-triggered, because a line nobody has opened is "hung up" for ever and would wake a level poll at once.
        self._watch = select.epoll()
        self._watch.register(
            self._master, select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP | select.EPOLLET
        )

    def fileno(self) -> int:
        """A descriptor that becomes readable when something has happened on the line."""
        return self._watch.fileno()

    def fault(
        self, *, drop: float = 0.0, flip: float = 0.0, cut_after: int | None = None, seed: int = 0
    ) -> None:
        """Damage the line from now on; without arguments it is whole again.

        `drop` and `flip`: probability per byte; `cut_after`: the cable is pulled after so many bytes (see `replug`).
        """
        self._fault = Fault(drop, flip, cut_after, seed) if drop or flip or cut_after is not None else None

    def replug(self) -> str:
        """Put a new cable in."""
        self.close()
        self._fault = None
        self._open()
        return self.port

    @property
    def connected(self) -> bool:
        """True while a host has the port open."""
        if self._master < 0:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def read(self) -> tuple[bytes, bool]:
        """What the host has sent, and whether it has hung up."""
        if self._master < 0:
            return b"", True
        self._watch.poll(0)
        self._flush()
        data = bytearray()
        hung_up = False
        while True:
            try:
                piece = os.read(self._master, 65536)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                hung_up = True
                break
            if not piece:
                break
            data += piece
        if hung_up:
            self._backlog.clear()
        if self._fault is not None and data:
            data = bytearray(self._fault.apply(bytes(data)))
            hung_up = self._cut() or hung_up
        return bytes(data), hung_up

    def write(self, data: bytes) -> None:
        """To the host; lost where none listens, as on a wire."""
        if not data or not self.connected:
            return
        if self._fault is not None:
            data = self._fault.apply(data)
        self._backlog += data[: _BACKLOG - len(self._backlog)]
        self._flush()
        if self._fault is not None:
            self._cut()

    @property
    def is_gone(self) -> bool:
        """The cable is pulled; see `replug`."""
        return self._master < 0

    @property
    def congested(self) -> bool:
        return len(self._backlog) > _BACKLOG // 2

    def close(self) -> None:
        self._pull()
        self._watch.close()
        self._backlog.clear()

    def _cut(self) -> bool:
        if self._fault is None or not self._fault.is_cut:
            return False
        self._pull()
        return True

    def _pull(self) -> None:
        if self._master >= 0:
            detach(self._link)
            os.close(self._master)
            self._master = -1

    def _flush(self) -> None:
        try:
            while self._backlog:
                del self._backlog[: os.write(self._master, self._backlog)]
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            self._backlog.clear()
