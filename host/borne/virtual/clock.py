"""Time for virtual boards: one simulated clock for a whole street, or the wall's for a board on the desk."""

from __future__ import annotations

import threading
import time
from typing import Protocol

from borne.errors import DeviceError


class Sleeper(Protocol):
    """A board, as its clock sees it."""

    number: int
    due_us: int | None
    progress: int

    def resume(self, at_us: int) -> None: ...
    def wait_until_settled(self, seconds: float) -> bool: ...
    def hang(self) -> None: ...


# A board that neither asks for time nor ends within this real time spins without touching its hardware.
_HANG_S = 20.0
_LAST = 1 << 30  # after any board's number


class SimClock:
    """One simulated clock. It moves only in `run_until`, which resumes sleeping boards in order of (time, number),
    one at a time; so every run is repeatable, and a board that sleeps costs nothing.

    Times are microseconds since 1970. A board may be a little ahead of the clock (it has booted, or its bus was
    busy), never behind. Call it from one thread.
    """

    def __init__(self, start: float = 1_790_000_000) -> None:
        self.now_us = int(start * 1_000_000)
        self._boards: list[Sleeper] = []
        self._count = 0
        self._lock = threading.Lock()
        self._running: Sleeper | None = None
        self._horizon = (0, 0)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.now_us / 1_000_000

    def add(self, board: Sleeper) -> int:
        with self._lock:
            self._boards.append(board)
            self._count += 1
            return self._count

    def remove(self, board: Sleeper) -> None:
        with self._lock:
            if board in self._boards:
                self._boards.remove(board)

    def run_until(self, t_unix: float) -> None:
        """Let all boards live until then (seconds since 1970)."""
        end_us = int(t_unix * 1_000_000)
        while self.step(end_us):
            pass
        self.now_us = max(self.now_us, end_us)

    def run_for(self, seconds: float) -> None:
        self.run_until(self.now + seconds)

    def step(self, end_us: int | None = None) -> bool:
        """Resume the one board that is due next, until it sleeps again; False if none is due by `end_us`."""
        for board in list(self._boards):
            self._settle(board)
        due = [board for board in self._boards if board.due_us is not None]
        if not due:
            return False
        first, *others = sorted((board.due_us or 0, board.number, board) for board in due)
        at_us, _, board = first
        if end_us is not None and at_us > end_us:
            return False
        self.now_us = max(self.now_us, at_us)
        self._horizon = min([(at_us, number) for at_us, number, _ in others[:1]] + [(end_us or at_us, _LAST)])
        self._running = board
        board.resume(at_us)
        self._settle(board)
        self._running = None
        return True

    def pass_to(self, board: Sleeper, due_us: int) -> bool:
        """Called by the board that runs: it need not stop for a wait at whose end it would be next anyway."""
        if board is not self._running or (due_us, board.number) > self._horizon:
            return False
        self.now_us = max(self.now_us, due_us)
        return True

    def hasten(self, sleeper: Sleeper) -> None:
        """Called when `sleeper` has become due earlier because of what the running board does: it may be next."""
        if sleeper.due_us is not None:
            self._horizon = min(self._horizon, (sleeper.due_us, sleeper.number))

    def seconds_until(self, due_us: int) -> float | None:
        """Real seconds until then: unknown, somebody has to run the clock."""
        return None

    @staticmethod
    def _settle(board: Sleeper) -> None:
        progress = -1
        while progress != board.progress:
            progress = board.progress
            if board.wait_until_settled(_HANG_S):
                return
        board.hang()
        if not board.wait_until_settled(_HANG_S):
            raise DeviceError(f"virtual board {board.number} hangs and cannot be stopped")


class WallClock:
    """Real time, or `speed` times as fast: for a virtual board that somebody uses by hand."""

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self._speed = speed
        self._started = time.monotonic()
        self._start_us = int((time.time() if start is None else start) * 1_000_000)
        self._count = 0

    @property
    def now_us(self) -> int:
        return self._start_us + int((time.monotonic() - self._started) * self._speed * 1_000_000)

    @property
    def now(self) -> float:
        return self.now_us / 1_000_000

    def add(self, board: Sleeper) -> int:
        self._count += 1
        return self._count

    def remove(self, board: Sleeper) -> None:
        pass

    def pass_to(self, board: Sleeper, due_us: int) -> bool:
        return False

    def seconds_until(self, due_us: int) -> float | None:
        return max(0.0, (due_us - self.now_us) / 1_000_000 / self._speed)


Clock = SimClock | WallClock
