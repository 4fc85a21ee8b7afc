"""One board after another, several at once: each that is plugged in becomes the node of the list's next asset."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sql

from borne.errors import BorneError, NoAnswer, PortError
from borne.flashing import ports
from borne.fleet.commission import Bench, Done, commission, next_free
from borne.fleet.registry import nodes
from borne.fleet.registry.assets import Filter
from borne.fleet.registry.nodes import Standing

# What a USB hub has, and what one computer's USB carries.
AT_ONCE: Final = 8
_LOOK_SECONDS: Final = 0.5

_FOREIGN: Final = "not a board, or one that sleeps: unplug it; hold BOOT while you plug in a board"

Kind = Literal["step", "done", "failed", "foreign", "gone"]


@dataclass(frozen=True)
class Event:
    """What happens on a port. `step` is the step, the outcome, or why it failed; `fraction` how far it is, 0 to 1.

    "foreign" is a port that nobody named and at which no board was found: said once, and no failure.
    """

    port: str
    kind: Kind
    step: str = ""
    asset: str = ""
    fraction: float = 0.0


@dataclass(frozen=True)
class Tally:
    """Boards that are done and that failed, and assets that have none yet; those that were so already are neither."""

    done: int
    failed: int
    left: int


class _Stopped(Exception):
    """Ends the work on a board at its next step; registry, vault and node are such that it can go on."""


def _ended(port: str, done: Done) -> Event:
    if done.is_sound:
        return Event(port, "done", done.outcome, done.asset, 1.0)
    failed = "; ".join(f"{one.name}: {one.detail}" for one in done.checks if one.ok is False)
    return Event(port, "failed", f"{done.outcome}, but its self-test failed: {failed}", done.asset)


class Batch:
    """Watches the computer's ports, or works off those that are `given` once each.

    A port that is watched may be a modem's, or busy for the moment that the system takes to probe it: the first is
    left alone until it is unplugged, the second is tried until it opens; neither counts as a board that failed.

    `told` gets every event with the count, in the thread of `run`. `then` is called in the board's thread when it is
    done: labels are printed there.
    """

    def __init__(
        self,
        bench: Bench,
        site: str | None,
        board: str | None = None,
        given: Collection[str] | None = None,
        told: Callable[[Event, Tally], None] | None = None,
        then: Callable[[Done], None] | None = None,
        listed: Callable[[], Iterable[str]] = ports.listed,
    ) -> None:
        self._bench = bench
        self._site = site
        self._board = board
        self._given = given
        self._told = told or (lambda event, tally: None)
        self._then = then or (lambda done: None)
        self._listed = listed
        self._choose = next_free(site, board)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stop = threading.Event()
        # Ports whose board is worked on, or was and is still plugged in.
        self._seen: dict[str, Future[None]] = {}
        # Ports that do not open, and why.
        self._shut: dict[str, str] = {}
        self._tally: Tally | None = None
        self.finished: list[Done] = []
        self.failures: list[tuple[str, BorneError]] = []

    def tally(self) -> Tally:
        new = [one for one in self.finished if one.outcome != "already so" or not one.is_sound]
        done = sum(one.is_sound for one in new)
        return Tally(done, len(self.failures) + len(new) - done, self._left())

    def run(self, count: int | None = None) -> None:
        """Until `count` boards are done, no asset is left, or the ports given are worked off; or until Ctrl-C.

        Ctrl-C ends each board at its next step. What is not done then goes on when its board is plugged in again.
        """
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="board") as pool:
            try:
                while not self._is_over(count):
                    self._look(pool)
                    self._tell_all(_LOOK_SECONDS)
            finally:
                self._stop.set()
        self._tell_all(0.0)
        for one in self._seen.values():
            # What was no BorneError is a defect, and must not pass for a board that is done.
            one.result()

    def _is_over(self, count: int | None) -> bool:
        if any(one.done() and one.exception() for one in self._seen.values()):
            return True
        working = any(not one.done() for one in self._seen.values())
        if self._given is not None:
            return len(self._seen) == len(set(self._given)) and not working
        enough = count is not None and self.tally().done >= count
        return (enough or not self._left()) and not working

    def _look(self, pool: ThreadPoolExecutor) -> None:
        there = set(self._given if self._given is not None else self._listed())
        again = {port for port in list(self._shut) if self._seen[port].done()}
        for port in sorted(there - (self._seen.keys() - again)):
            self._seen[port] = pool.submit(self._work, port)
        for port in [port for port, one in self._seen.items() if port not in there and one.done()]:
            del self._seen[port]
            self._shut.pop(port, None)
            self._events.put(Event(port, "gone"))

    def _work(self, port: str) -> None:
        asset, is_board = "", False

        def choose(db: sql.Connection, mac: str) -> Standing:
            nonlocal asset, is_board
            is_board = True
            self._shut.pop(port, None)
            found = self._choose(db, mac)
            asset = found.asset.asset
            return found

        def tell(step: str, fraction: float) -> None:
            if self._stop.is_set():
                raise _Stopped
            if port in self._shut:
                return
            self._events.put(Event(port, "step", step, asset, fraction))

        try:
            done = commission(self._bench, port, choose, tell)
            self.finished.append(done)
            self._then(done)
            self._events.put(_ended(port, done))
        except _Stopped:
            pass
        except BorneError as error:
            why = str(error).removeprefix(f"{port}: ")
            if self._given is None and not is_board and isinstance(error, NoAnswer | PortError):
                self._leave(port, why if isinstance(error, PortError) else None)
                return
            self.failures.append((port, error))
            self._events.put(Event(port, "failed", why, asset))

    def _leave(self, port: str, shut: str | None) -> None:
        """No board was found at a port, or it does not open (why); said once until something else is the matter."""
        said = self._shut.pop(port, None)
        if shut is not None:
            self._shut[port] = shut
        if said is None or said != shut:
            self._events.put(Event(port, "foreign", shut or _FOREIGN))

    def _tell_all(self, seconds: float) -> None:
        """Pass on what happened; wait for something to happen for so long."""
        try:
            event = self._events.get(timeout=seconds) if seconds else self._events.get_nowait()
            while True:
                self._told(event, self._known_tally(event))
                event = self._events.get_nowait()
        except queue.Empty:
            pass

    def _known_tally(self, event: Event) -> Tally:
        if event.kind != "step" or self._tally is None:
            self._tally = self.tally()
        return self._tally

    def _left(self) -> int:
        with self._bench.registry.reading() as db:
            return nodes.count_unfinished(db, Filter(site=self._site))
