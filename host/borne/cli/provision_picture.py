"""What a technician sees while boards are provisioned: a line a port, the count below, and a bell."""

from __future__ import annotations

from types import TracebackType
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from borne.fleet.batch import Event, Tally

_BAR_WIDTH: Final = 20
_STYLES: Final = {"done": "bold green", "failed": "bold red", "foreign": "yellow", "step": "", "gone": "dim"}
_BELLS: Final = {"done": 1, "failed": 3}


class Picture:
    """Follows a batch: as a table that lives on a terminal, as lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, Event] = {}
        self._tally = Tally(0, 0, 0)
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None

    def __enter__(self) -> Picture:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def note(self, event: Event, tally: Tally) -> None:
        """One event, from the thread of the batch."""
        before = self._rows.get(event.port)
        self._rows[event.port] = event
        self._tally = tally
        if event.kind == "gone":
            del self._rows[event.port]
        if self._live is None:
            if event.kind != "step" or before is None or before.step != event.step:
                self._console.print(self._text(event), soft_wrap=True)
            return
        for _ in range(_BELLS.get(event.kind, 0)):
            self._console.bell()
        self._live.update(self._table())

    def _text(self, event: Event) -> Text:
        head = f"{event.port}  {event.asset}  " if event.asset else f"{event.port}  "
        text = Text(head).append(event.step, _STYLES[event.kind])
        if event.kind in _BELLS:
            text.append(f"   {_counts(self._tally)}", "dim")
        return text

    def _table(self) -> RenderableType:
        table = Table("port", "asset", "", "", box=None)
        for event in self._rows.values():
            bar = ProgressBar(1.0, event.fraction, width=_BAR_WIDTH) if event.kind == "step" else ""
            table.add_row(event.port, event.asset, bar, Text(event.step, _STYLES[event.kind]))
        return Group(table, Text(_counts(self._tally), "bold"))


def _counts(tally: Tally) -> str:
    return f"{tally.done} done, {tally.failed} failed, {tally.left} left"
