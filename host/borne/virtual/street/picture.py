"""A street as people see it: a table that lives, lines for a pipe, and a summary in words."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from borne.decoding import listen
from borne.decoding.listen import Shown, shown
from borne.errors import UserError
from borne.virtual import world
from borne.virtual.street.events import Ended, Event, Passed, Progress, Ready, Reported
from borne.virtual.street.network import Radio
from borne.virtual.street.summary import Line, Measure, Summary
from borne.virtual.world import Asset
from borne_node.privacy import policy
from borne_node.report import schema

# The firmware carries no annotations.
_ROWS: Any = policy.TABLE
_PROFILES: dict[int, str] = {row.port: row.profile for row in _ROWS}
# Title, header, legend and the lines between them and the rows of the table.
_AROUND = 6
_SVG_WIDTH = 100
_BAR_WIDTH = 24
# Below, the table leaves out the bytes of the last frame and shortens its bars.
_WIDE = 100
_NARROW_BAR = 6
_WRAP = 100


@dataclass
class _Row:
    """What is known of one node so far. `kind` is its profile once it has reported, which says more."""

    kind: str
    ready: Ready | None = None
    step: str = "wait"
    fraction: float = 0.0
    frames: int = 0
    bytes: int = 0
    last: Reported | None = None
    radio: Radio | None = None


class Picture:
    """Follows a street's events and can be shown at any time, by rich; `days` is what was asked for."""

    def __init__(self, assets: Iterable[Asset], days: float) -> None:
        self._rows = {asset.name: _Row(asset.kind) for asset in assets}
        self._days = days
        self._now = world.START
        self._summary: Summary | None = None

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """The same events, each noted before it is passed on."""
        for event in events:
            self._note(event)
            yield event

    def _note(self, event: Event) -> None:
        match event:
            case Progress(name, step, fraction):
                self._rows[name].step, self._rows[name].fraction = step, fraction
            case Ready(asset):
                self._rows[asset.name].ready = event
            case Reported(asset, received, heard):
                row = self._rows[asset.name]
                row.frames, row.bytes = row.frames + 1, row.bytes + len(heard.payload)
                row.radio = event.radio
                self._now = received
                # Health comes once a day and would hide what the node is there for.
                if heard.port != schema.HEALTH or row.last is None:
                    row.last = event
                    row.kind = _PROFILES.get(heard.port, row.kind)
            case Passed(now):
                self._now = now
            case Ended(summary):
                self._summary = summary

    def opening(self, seed: int) -> str:
        """The first line for a pipe."""
        nodes = f"{len(self._rows)} node{'s' * (len(self._rows) != 1)}"
        return f"street of {nodes}, seed {seed}, {_days(self._days)} from {_clock(world.START)} UTC"

    def line(self, event: Event) -> str | None:
        """One event as a line of plain text, None for those that are no news or that no two runs share."""
        match event:
            case Ready(asset, chip, mac, size, firmware):
                done = f"{size} bytes flashed and verified; provisioned and read back, firmware {firmware}"
                return f"{asset.name:<10}  {chip}, MAC {mac}: {done}"
            case Reported(asset, received, heard):
                if heard.report is None:
                    return listen.line(heard, received).plain
                head = f"{_clock(received)}  {asset.name:<10}  {heard.report.kind:<12}"
                by_radio = f", SF{event.radio.sf}" if event.radio else ""
                return f"{head}  {listen.marked(self._shown(event)).plain}  {len(heard.payload)} B{by_radio}"
            case Ended(summary):
                return "\n".join(["", *words(summary)])
        return None

    def save(self, path: Path) -> None:
        """Write the picture as it stands to an SVG file. Raises UserError."""
        console = Console(
            record=True, width=_SVG_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
        )
        console.print(self)
        try:
            console.save_svg(str(path), title="borne street")
        except OSError as error:
            raise UserError(f"svg: {path}: {error.strerror}") from None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(3, (options.height or console.height) - _AROUND) if self._summary is None else None
        wide = options.max_width >= _WIDE
        parts: list[RenderableType] = [self._title(), self._table(room, wide), legend()]
        if self._summary is not None:
            parts += ["", _table_of(self._summary), Text(_notes(self._summary), "dim")]
        yield Group(*parts)

    def _title(self) -> Table:
        title = Table.grid(padding=(0, 1))
        share = (self._now - world.START) / (self._days * 86_400)
        made = sum(row.ready is not None for row in self._rows.values())
        state = _clock(self._now) if made == len(self._rows) else f"making nodes: {made} of {len(self._rows)}"
        title.add_row(Text("rue des Lilas", "bold"), Text(state), ProgressBar(1.0, share, _BAR_WIDTH))
        return title

    def _table(self, room: int | None, wide: bool) -> Table:
        table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
        table.add_column("asset", no_wrap=True, style="bold")
        table.add_column("kind", no_wrap=True)
        table.add_column("sent", no_wrap=True)
        table.add_column("released values", ratio=1)
        numbers = (*["bytes"] * wide, "frames", "link", "air s", "duty")
        for name in numbers:
            table.add_column(name, justify="right", no_wrap=True)
        rows = list(self._rows.items())
        for name, row in rows[:room]:
            sent, values, *cells = self._cells(row, wide)
            table.add_row(name, row.kind, sent, values, *cells[-len(numbers) :])
        if room is not None and len(rows) > room:
            table.add_row("...", "", "", Text(f"and {len(rows) - room} more", "dim"), *[""] * len(numbers))
        return table

    def _cells(self, row: _Row, wide: bool) -> tuple[RenderableType, ...]:
        if row.last is not None:
            heard = row.last.heard
            values = listen.marked(self._shown(row.last, brief=True))
            if heard.report is None:
                values = Text(f"not decoded: {heard.reason}", "red")
            sent = time.strftime("%H:%M", time.gmtime(row.last.received))
            return sent, values, str(len(heard.payload)), str(row.frames), *_radio_cells(row.radio)
        if row.ready is not None:
            return "", Text("provisioned and read back; no report yet", "dim"), "", "0", "", "", ""
        bar = Table.grid(padding=(0, 1))
        length = _BAR_WIDTH if wide else _NARROW_BAR
        bar.add_row(f"{row.step:<9}", ProgressBar(1.0, row.fraction, length), f"{row.fraction:>4.0%}")
        return "", bar, *5 * [""]

    def _shown(self, event: Reported, *, brief: bool = False) -> Iterator[Shown]:
        """Values for people. `brief` leaves out those that nothing measures."""
        report = event.heard.report
        for one in shown(report) if report else ():
            if one.name == "settings_hash":
                # It covers the broker's port, which differs from run to run: what counts is whether it is
                # right.
                ready = self._rows[event.asset.name].ready
                right = ready is not None and one.text == ready.settings_hash
                yield replace(one, name="settings", text="as provisioned" if right else "not as provisioned")
            elif not (brief and one.mark == "unknown"):
                yield one


def _radio_cells(radio: Radio | None) -> tuple[str, str, str]:
    """SF, seconds of airtime so far, fullest hour as a share of what the law allows."""
    if radio is None:
        return "Wi-Fi", "", ""
    return f"SF{radio.sf}", f"{radio.airtime_s:.1f}", f"{radio.duty:.1%}"


def legend() -> Text:
    text = Text("~ noised", listen.STYLES["noised"])
    text.append("   ≈ coarsened", listen.STYLES["coarse"])
    return text.append("   suppressed: withheld by the gate", listen.STYLES["suppressed"])


def _clock(t: int) -> str:
    return time.strftime("%a %Y-%m-%d %H:%M", time.gmtime(t))


def words(summary: Summary) -> list[str]:
    """The summary as lines of plain text."""
    lines = [_heading(summary)]
    for line in summary.lines:
        lines.append(f"  {line.asset.name:<10}  {_traffic(line, summary.days)}")
        if line.radio:
            lines.append(f"{'':14}{_on_the_air(line.radio, summary.days)}")
        lines += [f"{'':14}{sentence}" for sentence in map(_sentence, line.measures)]
    lines += [f"  against the law: {what}" for what in summary.broken]
    return [*lines, "", *wrap(_notes(summary), _WRAP)]


def _table_of(summary: Summary) -> Table:
    """The same for a terminal of any width."""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, title=_heading(summary), title_justify="left", title_style="bold"
    )
    table.add_column("asset", no_wrap=True)
    table.add_column("released, against the truth", ratio=1)
    for line in summary.lines:
        sentences = Text("\n").join([Text(_sentence(one)) for one in line.measures])
        sentences.append(f"\n{_traffic(line, summary.days)}", "dim")
        if line.radio:
            sentences.append(f"\n{_on_the_air(line.radio, summary.days)}", "dim")
        table.add_row(Text(line.asset.name, "bold"), sentences)
    for what in summary.broken:
        table.add_row(Text("law", "bold red"), Text(what, "red"))
    return table


def _heading(summary: Summary) -> str:
    return f"Released against what truly happened: seed {summary.seed}, {_days(summary.days)}"


def _days(days: float) -> str:
    return "1 day" if days == 1 else f"{days:g} days"


def _traffic(line: Line, days: float) -> str:
    frames, size = line.frames / days, line.bytes / days
    parts = [
        f"{line.profile}: {frames:.0f} frames and {size:.0f} bytes a day",
        f"{line.windows} whole windows",
    ]
    parts += [f"{line.faults} faults"] * bool(line.faults)
    return ", ".join(parts + [f"{line.undecodable} not decoded"] * bool(line.undecodable))


def _on_the_air(radio: Radio, days: float) -> str:
    joins = "joined once" if radio.joins == 1 else f"joined {radio.joins} times"
    return (
        f"LoRaWAN: {joins}, {radio.heard} of {radio.frames} frames heard, SF{radio.sf} in the end, "
        f"{radio.airtime_s / days:.1f} s of airtime a day, fullest hour {radio.duty:.1%} of the law's limit"
    )


def _sentence(one: Measure) -> str:
    told = f"{len(one.pairs)} released"
    told += f", {one.suppressed} suppressed" * bool(one.suppressed)
    told += f", {one.unknown} unknown" * bool(one.unknown)
    if one.error is None:
        return f"{one.what}: {told}"
    if one.what == "presence":
        told += f"; {one.released_total:.0f} in all, truly {one.true_total:.0f}"
    return f"{one.what}: off by {one.error:.2f} {one.unit} on average ({one.expected}); {told}"


def _notes(summary: Summary) -> str:
    """What the gate did, from the policy that the nodes ran."""
    profiles = {(line.asset.kind, line.profile) for line in summary.lines}
    noised = [
        f"{row.profile} with epsilon {row.epsilon[0] / row.epsilon[1]:g} per {row.unit} and window"
        for row in _ROWS
        if row.epsilon and (row.kind, row.profile) in profiles
    ]
    laplace = (
        f"Discrete Laplace noise: {'; '.join(noised)}; what spans several windows, as a long stay does, counts in "
        "each. It is drawn on the node before it sends: a count says how busy the street was, and not whether one "
        "car or one person was there. "
    )
    withheld = (
        "Suppressed are counts below the policy's threshold, and windows that the node did not see whole."
    )
    return (laplace if noised else "") + withheld
