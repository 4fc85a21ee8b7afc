"""Calls to a server as fast as it likes: a rate that is kept, waits that it asks for, and attempts that end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from borne.errors import NetworkError
from borne.fleet.networks.errors import Busy

T = TypeVar("T")

ATTEMPTS: Final = 6
# Doubled each time from one second: six attempts take half a minute.
_FIRST_S: Final = 1.0
_LONGEST_S: Final = 60.0
# Who asks for more than that is to be asked again later, by a person.
_PATIENCE_S: Final = 900.0


class Pace:
    """Calls one after another, at most `rate` a second (0: as fast as it goes); `sleep` and `now` in seconds.

    `tell` hears why something waits.
    """

    def __init__(
        self,
        rate: float = 0.0,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._gap = 1 / rate if rate > 0 else 0.0
        self._sleep, self._now, self._draw = sleep, now, draw
        self._tell = tell
        self._next: float | None = None

    def __call__(self, call: Callable[[], T]) -> T:
        """What `call` gives. Repeats it while it raises Busy; raises NetworkError when that does not end."""
        for attempt in range(ATTEMPTS):
            self._keep_rate()
            try:
                return call()
            except Busy as busy:
                last = busy
            if attempt + 1 < ATTEMPTS:
                self._wait(last, attempt)
        raise NetworkError(
            f"{last}; given up after {ATTEMPTS} attempts: run it again later, it goes on from here"
        )

    def _wait(self, busy: Busy, attempt: int) -> None:
        if busy.after is not None:
            wait = max(0.0, busy.after)
            if wait > _PATIENCE_S:
                raise NetworkError(f"{busy}; it asks for {wait:.0f} s of rest: run it again then")
        else:
            # Half of it by chance, so that many who were cut off together do not come back together.
            wait = min(_LONGEST_S, _FIRST_S * 2**attempt) * (0.5 + self._draw() / 2)
        if self._tell:
            self._tell(f"{busy}; again in {wait:.0f} s")
        self._sleep(wait)

    def _keep_rate(self) -> None:
        if not self._gap:
            return
        now = self._now()
        if self._next is not None and self._next > now:
            self._sleep(self._next - now)
            now = self._next
        self._next = now + self._gap
