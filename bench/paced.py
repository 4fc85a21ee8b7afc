"""A serial line in front of a virtual board that is as slow as a wire: each byte takes ten bits at the speed that is
set.

It counts the bytes of each speed, so that a run at one speed tells what it would have taken at another.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from collections import Counter
from pathlib import Path

from borne.virtual.line import attach, detach

_SPEEDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit() and name != "B0"
}
_IDLE_S = 0.002
_PIECE = 2048


class PacedLine:
    """`port` is what a host opens; behind it is the board's own port."""

    def __init__(self, behind: str, link: Path) -> None:
        self._behind = behind
        self._link = link
        self._stop = threading.Event()
        self._outer, slave = os.openpty()
        tty.setraw(slave)
        self.port = attach(link, slave)
        os.close(slave)
        self.bytes: Counter[int] = Counter()
        # When the board was last spoken to, and how much time its answers have cost since: an emulator is slower than
        # the chip, whose loader works while the next bytes are on the wire. That time is given back.
        self._asked = 0.0
        self._credit = 0.0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> PacedLine:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        detach(self._link)
        os.close(self._outer)

    def _serve(self) -> None:
        while not self._stop.is_set():
            if self._hung_up():
                time.sleep(_IDLE_S)
                continue
            inner = os.open(self._behind, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(inner)
            try:
                self._session(inner)
            finally:
                os.close(inner)

    def _hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._outer, 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _session(self, inner: int) -> None:
        back = threading.Thread(target=self._pump, args=(inner, self._outer), daemon=True)
        self._over = threading.Event()
        back.start()
        self._pump(self._outer, inner)
        self._over.set()
        back.join()

    def _pump(self, source: int, sink: int) -> None:
        """One direction. What comes while a piece is on the wire waits in the pty, as in a driver's buffer."""
        due = 0.0
        while not self._stop.is_set() and not (source != self._outer and self._over.is_set()):
            if not select.select([source], [], [], 0.05)[0]:
                if source == self._outer and self._hung_up():
                    return
                continue
            try:
                data = os.read(source, _PIECE)
            except OSError:
                return
            if not data:
                return
            speed = _SPEEDS.get(termios.tcgetattr(self._outer)[5], 115200)
            self.bytes[speed] += len(data)
            if source != self._outer and self._asked:
                self._credit += time.monotonic() - self._asked
                self._asked = 0.0
            wire = len(data) * 10 / speed
            given = min(wire, self._credit)
            self._credit -= given
            due = max(due, time.monotonic()) + wire - given
            time.sleep(max(0.0, due - time.monotonic()))
            with contextlib.suppress(OSError):
                while data:
                    data = data[os.write(sink, data) :]
            if source == self._outer:
                self._asked = time.monotonic()
