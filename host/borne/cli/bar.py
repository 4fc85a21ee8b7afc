"""A progress bar on stderr, for somebody who watches."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """A context manager whose `follow` takes 0.0 to 1.0. It shows from the first step on, and only on a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bars: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def follow(self, fraction: float) -> None:
        if self._bars is None and fraction < 1 and sys.stderr.isatty():
            self._bars = self._start()
        if self._bars:
            self._bars.update(self._bars.task_ids[0], completed=fraction)

    def _start(self) -> Progress:
        # As large as all the rest of a deploy; whoever pipes its output somewhere needs none of it.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        bars = Progress(*columns, console=Console(stderr=True), transient=True)
        bars.add_task(self._what, total=1.0)
        bars.start()
        return bars
