"""What goes wrong with a server, planted by the number of the call: each server of the networks' tests asks here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

# "lost": the call is carried out, and its answer never arrives. "cut": the line breaks before.
FAULTS = ("busy", "down", "lost", "cut", "denied", "refused")


@dataclass
class Faults:
    """`plan` maps the number of a call, from 0, to what befalls it; `rule` decides by the call's name and content."""

    plan: dict[int, str] = field(default_factory=dict)
    rule: Callable[[str, str], str | None] = lambda name, content: None
    calls: list[str] = field(default_factory=list)
    retry_after: int = 7

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def next(self, name: str, content: str = "") -> str | None:
        with self._lock:
            number = len(self.calls)
            self.calls.append(name)
        return self.plan.get(number) or self.rule(name, content)


class Waits:
    """A clock for Pace: time passes only by sleeping. `slept` are the waits in seconds."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.time += seconds
