"""What an attack found, and what it is drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Series:
    """Points (x, y) of one line of bars in a plot."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Plot:
    """Bars over `x`; a line across at `limit`, in the unit of `y`, where there is one."""

    x: str
    y: str
    series: tuple[Series, ...]
    limit: float | None = None


@dataclass(frozen=True)
class Finding:
    """`held`: whether what was `measured` keeps to the `bound`. `samples` counts what `unit` names.

    `value` and `limit` are the figures behind the two texts, in the same unit.
    """

    attack: str
    criterion: str
    samples: int
    unit: str
    bound: str
    limit: float
    measured: str
    value: float
    held: bool
    plot: Plot
    notes: tuple[str, ...] = field(default=())

    def line(self) -> str:
        """One line for a terminal."""
        verdict = "holds" if self.held else "BROKEN"
        return (
            f"{self.attack}: {verdict}; {self.measured} (bound: {self.bound}; {self.samples:,} {self.unit})"
        )
