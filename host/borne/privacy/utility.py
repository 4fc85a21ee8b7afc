"""What privacy costs: the error of what is released, with the gate and without it."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

from borne.privacy.attacks.laboratory import Laboratory
from borne.virtual.world import START, Container
from borne_node.privacy import policy
from borne_node.report import schema

ZONES = (8, 20, 30, 50)
PRESENCES = (15, 30, 100, 300)
_SEED = 5
_STEP_S = 3600
_row: Any = policy.row


@dataclass(frozen=True)
class Cost:
    """`without`: error of the sensor alone; `with_gate`: error of what is released, both in `unit`."""

    what: str
    unit: str
    without: float
    with_gate: float
    note: str = ""


def table(lab: Laboratory, draws: int) -> list[Cost]:
    """Every released quantity of the policy. `draws`: counts released for each line."""
    return [
        *(_zone(lab, bays, draws) for bays in ZONES),
        *(_presence(lab, people, draws) for people in PRESENCES),
        _fill(draws),
        _lux(),
    ]


def _zone(lab: Laboratory, bays: int, draws: int) -> Cost:
    given = {"kind": "parking", "profile": "zone", "top": bays, "low": 0, "draws": draws, "seed": _SEED}
    (told,) = lab.run("utility", heap="64M", **_any(given)).told
    nodes = -(-bays // 8)
    note = (
        f"{100 * told['several'] / bays:.1f} as {nodes} nodes of at most 8 bays" if nodes > 1 else "one node"
    )
    # A zone counts whole bays: without noise the count is exact, the sensor's own error apart.
    return Cost(f"zone of {bays} bays, occupancy", "points (RMS)", 0.0, 100 * told["one"] / bays, note)


def _presence(lab: Laboratory, people: int, draws: int) -> Cost:
    given = {"kind": "light", "profile": "light", "top": people, "low": people, "draws": draws, "seed": _SEED}
    (told,) = lab.run("utility", heap="64M", **_any(given)).told
    note = f"{100 * told['hidden']:.1f} % suppressed" if told["hidden"] else ""
    return Cost(f"presence, {people} triggers a window", "% (RMS)", 0.0, 100 * told["one"] / people, note)


def _any(given: dict[str, object]) -> dict[str, Any]:
    return dict(given)


def _fill(draws: int) -> Cost:
    """Levels of a simulated container, hour by hour, in the steps that the policy releases."""
    container = Container(_SEED, "fill", "")
    step = _row("fill", "fill").step
    count = min(draws, 2_000)
    levels = [container.level(START + n * _STEP_S) for n in range(count)]
    read = [
        container.offset_mm + container.depth_mm - container.distance(START + n * _STEP_S)
        for n in range(count)
    ]
    sensed = [max(0, min(100, round(100 * one / container.depth_mm))) for one in read]
    released = [(one + step // 2) // step * step for one in sensed]
    return Cost(
        "fill, level",
        "points (RMS)",
        _rms([a - b for a, b in zip(sensed, levels, strict=True)]),
        _rms([a - b for a, b in zip(released, levels, strict=True)]),
        "steps of 5 alone give at most 2.5",
    )


def _lux() -> Cost:
    """The middle of a class against what the class may stand for, at most, as a factor."""
    bounds = schema.LUX_BOUNDS
    worst = max(sqrt(high / low) for low, high in zip(bounds, bounds[1:], strict=False))
    return Cost("lux", "factor (at most)", 1.0, worst, "classes of about half a decade")


def _rms(errors: list[float]) -> float:
    return sqrt(sum(one * one for one in errors) / len(errors))
