"""The one thread that owns a virtual board's state, and the way for other threads to ask it for something."""

from __future__ import annotations

import os
import queue
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Service:
    """Waits for events on descriptors and runs what other threads hand in; a subclass says which and what then."""

    def __init__(self) -> None:
        self._commands: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._wakeup_read, self._wakeup_write = os.pipe()
        self._closing = False
        self._serving = True
        self._interest: list[tuple[int, int]] = []
        self._poll = select.poll()

    def _start_thread(self, name: str) -> None:
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _stop_thread(self) -> None:
        os.write(self._wakeup_write, b"x")
        self._thread.join()
        for descriptor in (self._wakeup_read, self._wakeup_write):
            os.close(descriptor)

    def _interests(self) -> list[tuple[int, int]]:
        """Descriptors to watch, with their poll events."""
        raise NotImplementedError

    def _on_event(self, descriptor: int) -> None:
        raise NotImplementedError

    def _seconds_left(self) -> float | None:
        """Until `_on_time` is to be called; None: only events matter."""
        raise NotImplementedError

    def _on_time(self) -> None:
        raise NotImplementedError

    def _on_close(self) -> None:
        raise NotImplementedError

    def _do(self, action: Callable[[], T]) -> T:
        """Run `action` in the service thread and give its result."""
        if self._closing or not self._serving:
            raise RuntimeError("this virtual board is closed")
        return self._post(action).result()

    def _post(self, action: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._commands.put((action, future))
        os.write(self._wakeup_write, b"x")
        return future

    def _serve(self) -> None:
        try:
            while not self._closing:
                for descriptor in self._wait_for_events():
                    if descriptor == self._wakeup_read:
                        self._run_commands()
                    else:
                        self._on_event(descriptor)
                if self._seconds_left() == 0:
                    self._on_time()
        finally:
            self._serving = False
            self._on_close()
            self._refuse_commands()

    def _wait_for_events(self) -> list[int]:
        interest = self._interests()
        if interest != self._interest:
            self._interest = interest
            self._poll = select.poll()
            for descriptor, events in [(self._wakeup_read, select.POLLIN), *interest]:
                self._poll.register(descriptor, events)
        seconds = self._seconds_left()
        return [
            descriptor for descriptor, _ in self._poll.poll(None if seconds is None else seconds * 1000 + 1)
        ]

    def _run_commands(self) -> None:
        os.read(self._wakeup_read, 4096)
        while True:
            try:
                action, future = self._commands.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(action())
            except BaseException as error:
                future.set_exception(error)

    def _refuse_commands(self) -> None:
        """Nobody may wait for ever for a thread that is gone."""
        while not self._commands.empty():
            self._commands.get()[1].set_exception(RuntimeError("this virtual board is closed"))
