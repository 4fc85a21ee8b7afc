"""The report of a run: JSON for machines, one HTML page without any outside asset for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from borne.privacy.attacks.finding import Finding, Plot
from borne.privacy.utility import Cost
from borne_node.privacy import policy

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 560, 180, 56, 34
_COLOURS = ("#23527c", "#c0562f", "#4c7a34")
_digest: Any = policy.digest

_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>borne: privacy report</title><style>
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:left;
vertical-align:top}.held{color:#2d6a1e}.broken{color:#b3261e;font-weight:bold}section{margin:2.5rem 0}
svg{max-width:100%;height:auto}small{color:#666}</style></head><body>"""


@dataclass(frozen=True)
class Planted:
    """What an attack says of a build with a planted fault; `seen` must be true."""

    attack: str
    fault: str
    seen: bool
    measured: str


@dataclass(frozen=True)
class Run:
    """`form` is "short" or "long"."""

    version: str
    form: str
    findings: tuple[Finding, ...]
    planted: tuple[Planted, ...]
    costs: tuple[Cost, ...]

    @property
    def held(self) -> bool:
        return all(one.held for one in self.findings) and all(one.seen for one in self.planted)


def as_json(run: Run) -> str:
    found = {
        "version": run.version,
        "form": run.form,
        "policy_sha256": _digest().hex(),
        "held": run.held,
        "attacks": [asdict(one) for one in run.findings],
        "planted_faults": [asdict(one) for one in run.planted],
        "utility": [asdict(one) for one in run.costs],
    }
    return json.dumps(found, indent=2) + "\n"


def as_html(run: Run) -> str:
    return "\n".join(_page(run)) + "\n"


def _page(run: Run) -> Iterator[str]:
    yield _HEAD
    yield "<h1>Privacy report</h1>"
    yield f"<p>borne {escape(run.version)}, {run.form} form, policy SHA-256 <code>{_digest().hex()}</code></p>"
    yield _table(
        ("attack", "criterion", "samples", "bound", "measured", ""),
        [
            (
                one.attack,
                one.criterion,
                f"{one.samples:,} {one.unit}",
                one.bound,
                one.measured,
                _verdict(one.held),
            )
            for one in run.findings
        ],
    )
    for one in run.findings:
        yield f"<section><h2>{escape(one.attack)}</h2><p>{escape(one.measured)}</p>{svg(one.plot)}"
        yield f"<p><small>{escape('; '.join(one.notes))}</small></p></section>"
    yield "<h2>Planted faults</h2>"
    rows = [
        (one.attack, one.fault, one.measured, _verdict(one.seen, "seen", "MISSED")) for one in run.planted
    ]
    yield _table(("attack", "fault", "what the attack finds", ""), rows)
    yield "<h2>Utility</h2>"
    costs = [
        (one.what, one.unit, f"{one.without:.2f}", f"{one.with_gate:.2f}", one.note) for one in run.costs
    ]
    yield _table(("what", "error in", "without the gate", "with the gate", ""), costs)
    yield "</body></html>"


def _verdict(good: bool, yes: str = "holds", no: str = "BROKEN") -> str:
    return f'<span class="{"held" if good else "broken"}">{yes if good else no}</span>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{_cell(one)}</{tag}>" for one in cells) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(one, "td") for one in rows) + "</table>"


def _cell(text: str) -> str:
    return text if text.startswith("<span class=") else escape(text)


def svg(plot: Plot) -> str:
    """Bars, one colour a series, with the axes named and the limit as a dashed line."""
    values = [y for series in plot.series for _, y in series.points] + [plot.limit or 0.0]
    top = max([*values, 1e-9]) * 1.1
    across = sorted({x for series in plot.series for x, _ in series.points})
    return "".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(plot.y)}">',
            *_bars(plot, across, top),
            *_axes(plot, across, top),
            "</svg>",
        ]
    )


def _bars(plot: Plot, across: Sequence[float], top: float) -> Iterator[str]:
    slot = (_WIDTH - _LEFT - 8) / max(1, len(across))
    width = 0.8 * slot / max(1, len(plot.series))
    for n, series in enumerate(plot.series):
        colour = _COLOURS[n % len(_COLOURS)]
        for x, y in series.points:
            left = _LEFT + slot * (across.index(x) + 0.1) + n * width
            tall = (_HEIGHT - _BOTTOM - 8) * max(0.0, y) / top
            yield (
                f'<rect x="{left:.1f}" y="{_HEIGHT - _BOTTOM - tall:.1f}" width="{width:.1f}" height="{tall:.1f}" '
                f'fill="{colour}"><title>{escape(series.name)} {x:g}: {y:.6g}</title></rect>'
            )


def _axes(plot: Plot, across: Sequence[float], top: float) -> Iterator[str]:
    floor = _HEIGHT - _BOTTOM
    yield f'<path d="M{_LEFT} 4V{floor}H{_WIDTH - 4}" stroke="#666" fill="none"/>'
    yield f'<text x="{_LEFT - 4}" y="14" font-size="11" text-anchor="end">{top / 1.1:.3g}</text>'
    yield f'<text x="{_LEFT - 4}" y="{floor}" font-size="11" text-anchor="end">0</text>'
    slot = (_WIDTH - _LEFT - 8) / max(1, len(across))
    for n, x in enumerate(across):
        if n % max(1, len(across) // 12) == 0:
            yield (
                f'<text x="{_LEFT + slot * (n + 0.5):.1f}" y="{floor + 13}" font-size="11" '
                f'text-anchor="middle">{x:g}</text>'
            )
    legend = ", ".join(
        f'<tspan fill="{_COLOURS[n % len(_COLOURS)]}">{escape(series.name)}</tspan>'
        for n, series in enumerate(plot.series)
    )
    yield f'<text x="{_LEFT}" y="{_HEIGHT - 6}" font-size="11">{escape(plot.x)} | {escape(plot.y)}: {legend}</text>'
    if plot.limit is not None:
        y = floor - (floor - 8) * plot.limit / top
        yield f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - 4}" stroke="#b3261e" stroke-dasharray="5 4"/>'
