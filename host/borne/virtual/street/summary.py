"""What was released against what truly happened on the street."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import exp
from statistics import mean, median_low
from typing import Any, NamedTuple

from borne.decoding.listen import Heard
from borne.decoding.report import SUPPRESSED, Report, Value
from borne.virtual.street.network import Radio
from borne.virtual.world import Asset, Container, LampPost, ParkingRow
from borne_node.privacy import policy
from borne_node.report import schema

# The firmware carries no annotations: these are the types of what is called.
_row: Callable[[str, str], Any] = policy.row
_window: Callable[[Any, int], tuple[int, int]] = policy.window
_lux_class: Callable[[float], int] = schema.lux_class

_DAY_S = 86_400
# A truth that is no average (a level, a class of light) is looked at this often within a window.
_LOOK_S = 300


class Pair(NamedTuple):
    """One released number and what it should have been."""

    released: float
    truth: float


@dataclass(frozen=True)
class Measure:
    """One kind of value of one asset: how far what was released lies from the truth, on average."""

    what: str
    unit: str
    pairs: tuple[Pair, ...]
    suppressed: int
    unknown: int
    expected: str

    @property
    def error(self) -> float | None:
        """Mean absolute error, None where nothing was released."""
        return mean(abs(one.released - one.truth) for one in self.pairs) if self.pairs else None

    @property
    def released_total(self) -> float:
        return sum(one.released for one in self.pairs)

    @property
    def true_total(self) -> float:
        return sum(one.truth for one in self.pairs)


@dataclass(frozen=True)
class Line:
    """One asset over the whole run. `windows` is how many of its profile's lie in the run as a whole."""

    asset: Asset
    profile: str
    windows: int
    frames: int
    bytes: int
    faults: int
    undecodable: int
    measures: tuple[Measure, ...]
    radio: Radio | None = None


@dataclass(frozen=True)
class Summary:
    """`days` may be a fraction; `lines` in the order of the street. `broken`: frames against the law of the band."""

    seed: int
    days: float
    lines: tuple[Line, ...]
    broken: tuple[str, ...] = ()

    @property
    def frames_a_day(self) -> float:
        """Of one node, on average."""
        return mean(line.frames for line in self.lines) / self.days

    @property
    def bytes_a_day(self) -> float:
        return mean(line.bytes for line in self.lines) / self.days


@dataclass
class Tally:
    """Collects what one asset sent from `start` to `end`, for its Line. `settings` are its node's, validated."""

    asset: Asset
    settings: dict[str, Any]
    start: int
    end: int
    frames: int = 0
    bytes: int = 0
    faults: int = 0
    undecodable: int = 0
    # By the start of the window: a report is there once, whatever a later one repeats of it.
    reports: dict[int, Report] = field(default_factory=dict)

    def add(self, received: int, heard: Heard) -> None:
        self.frames += 1
        self.bytes += len(heard.payload)
        if heard.report is None:
            self.undecodable += 1
            return
        self.faults += heard.port == schema.FAULT
        started = heard.report.started(received)
        if heard.port == self.row.port and started is not None:
            self.reports.setdefault(started, heard.report)

    def line(self) -> Line:
        measures = tuple(_MEASURES[self.row.profile](self))
        windows = sum(1 for _ in self._windows())
        counts = (self.frames, self.bytes, self.faults, self.undecodable)
        return Line(self.asset, self.row.profile, windows, *counts, measures)

    @property
    def row(self) -> Any:
        return _row(self.asset.kind, self.settings["profile"])

    def _windows(self) -> Iterator[int]:
        """Start of each window that lies in the run as a whole, its frame included."""
        start, end = _window(self.row, self.start)
        while end + self.row.jitter_s <= self.end:
            if start >= self.start:
                yield start
            start, end = _window(self.row, end)

    def measure(
        self, name: str, unit: str, truth: Callable[[int, int, Value], float], expected: str, scale: float = 1
    ) -> Measure:
        """Compare one value of every report with `truth(start, end of the window, the value)`."""
        pairs, suppressed, unknown = [], 0, 0
        for started, report in sorted(self.reports.items()):
            value = report.value(name)
            if value is SUPPRESSED:
                suppressed += 1
            elif not isinstance(value, int):
                unknown += 1
            else:
                _, end = _window(self.row, started)
                pairs.append(Pair(value * scale, truth(started, end, value)))
        return Measure(name.replace("_", " "), unit, tuple(pairs), suppressed, unknown, expected)


def noise_error(row: Any) -> float:
    """The mean of the absolute value of the noise of a policy row: discrete Laplace with scale 1/x.

    Canonne, Kamath, Steinke (arXiv 2004.00010), definition 25: P(k) is proportional to p ** |k|, p =
    exp(-x); the mean of |k| is then 2 p / (1 - p ** 2).
    """
    p = exp(-row.epsilon[0] / row.epsilon[1] / row.sensitivity)
    return 2 * p / (1 - p * p)


def _zone(tally: Tally) -> Iterator[Measure]:
    asset = tally.asset
    assert isinstance(asset, ParkingRow)
    expected = f"the noise alone gives {noise_error(tally.row):.2f}"
    yield tally.measure(
        "occupied", f"of {asset.bays} bays", lambda start, end, value: asset.mean_count(start, end), expected
    )


def _shares(tally: Tally) -> Iterator[Measure]:
    asset = tally.asset
    part = 100 * tally.row.step / tally.row.top
    assert isinstance(asset, ParkingRow)
    each = []
    for bay in range(asset.bays):

        def share(start: int, end: int, value: Value, bay: int = bay) -> float:
            return 100 * asset.occupied_share(bay, start, end)

        each.append(tally.measure(f"share_{bay + 1}", "points", share, "", part))
    pairs = tuple(pair for one in each for pair in one.pairs)
    suppressed, unknown = sum(one.suppressed for one in each), sum(one.unknown for one in each)
    yield Measure("share", "points", pairs, suppressed, unknown, f"steps alone give up to {part / 2:g}")


def _live(tally: Tally) -> Iterator[Measure]:
    return iter(())


def _light(tally: Tally) -> Iterator[Measure]:
    asset = tally.asset
    assert isinstance(asset, LampPost)
    refractory = tally.settings["refractory_s"]
    expected = f"the noise alone gives {noise_error(tally.row):.2f}"
    yield tally.measure(
        "presence", "triggers", lambda start, end, value: asset.presences(start, end, refractory), expected
    )
    yield tally.measure("lux_class", "classes", lambda *window: _nearest_class(asset, *window), "0 is exact")


def _nearest_class(asset: LampPost, start: int, end: int, value: Value) -> float:
    """The class of light of the window that is nearest to the released one: it is read once in a window."""
    assert isinstance(value, int)
    classes = {_lux_class(asset.lux(t)) for t in range(start, end + 1, _LOOK_S)}
    return float(min(classes, key=lambda one: abs(one - value)))


def _fill(tally: Tally) -> Iterator[Measure]:
    asset = tally.asset
    assert isinstance(asset, Container)

    def level(start: int, end: int, value: Value) -> float:
        # As the gate: the lower median of what is read once an hour.
        return median_low([asset.level(t) for t in range(start, end, tally.row.period_s)])

    yield tally.measure("level", "points", level, "steps of 5 % give up to 2.5")


_MEASURES: dict[str, Callable[[Tally], Iterator[Measure]]] = {
    "zone": _zone,
    "bay": _shares,
    "day": _shares,
    "live": _live,
    "light": _light,
    "fill": _fill,
}
