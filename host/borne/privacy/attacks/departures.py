"""Singling out: somebody saw a car arrive and guesses from the frames when it left."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne.virtual.world import START, ParkingRow
from borne_node.privacy import policy
from borne_node.report import schema

# What the attacker may miss by: of the departure; the arrival was seen to the nearest of these steps.
TOLERANCE_S = 900
STEP_S = 300
_LONGEST_S = 16 * 3600
# Points of success that frames may add to what anybody guesses who knows the street's habits.
LIMIT = 5.0
_WEIGHTS = (0.0, 0.3, 1.0)
# A quiet street has so much less demand: there a stay is seldom followed by another.
QUIET = 0.1
_DAY_S = 86_400
_row: Any = policy.row
# Streets that an attacker learns on and then tries: the profiles were tuned on the first pair, the other nobody saw.
_TUNED, _FRESH = (11, 12), (21, 22)

ONE_MINUTE_STREAM = (
    Patch(
        "privacy/gate.py",
        "if self._row.port == schema.LIVE:\n            return self._live",
        'if self._row.kind == "parking":\n            return self._live',
    ),
    Patch(
        "privacy/gate.py",
        "if self._row.port == schema.LIVE or not self._start",
        'if self._row.kind == "parking" or not self._start',
    ),
    Patch(
        "privacy/policy.py",
        'Row("parking", "zone", 10, 900, 0, 300,',
        'Row("parking", "zone", 10, 60, 0, 60,',
    ),
)


@dataclass(frozen=True)
class _Stay:
    bay: int
    arrive: int  # as it was seen
    leave: float

    def candidates(self) -> range:
        return range(self.arrive + STEP_S, self.arrive + _LONGEST_S, STEP_S)


@dataclass(frozen=True)
class _Street:
    """What happened, and what was released: {start of the window: values}, or for live a list of changes.

    `window_s` is that of `bay`, whose windows are of four hours or of a day.
    """

    stays: tuple[_Stay, ...]
    zone: dict[int, list[int]]
    bay: dict[int, list[int]]
    window_s: int
    live: list[tuple[int, list[int]]]
    known: dict[tuple[int, int], Any] = field(default_factory=dict)

    def symbol(self, bay: int, t: int) -> Any:
        """What the frames show of a departure from `bay` at `t`; None where they show nothing."""
        if (bay, t) not in self.known:
            self.known[bay, t] = self._symbol(bay, t)
        return self.known[bay, t]

    def _symbol(self, bay: int, t: int) -> Any:
        if self.live:
            return self._bit(bay, t - STEP_S), self._bit(bay, t + STEP_S)
        if self.bay:
            start = t - t % self.window_s
            shares = [self.bay.get(start + n * self.window_s, [None] * 8)[bay] for n in (-1, 0, 1)]
            return (*shares, (t - start) // max(900, self.window_s // 8))
        window = t - t % 900
        before = [self.zone[w][0] for w in (window - 900, window - 1800) if w in self.zone]
        after = [self.zone[w][0] for w in (window + 900, window + 1800) if w in self.zone]
        return sum(after) - sum(before) if len(before) == len(after) == 2 else None

    def _bit(self, bay: int, t: int) -> Any:
        low, high = 0, len(self.live)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.live[middle][0] <= t else (low, middle)
        return self.live[low - 1][1][bay] if low else None


def every_profile(lab: Laboratory, days: int) -> Finding:
    """That of the anonymous profile that gives away most, on a busy street or, by the day, on a quiet one.

    What `live` gives away, and `bay` where it is not meant for, stands in the notes.
    """
    held = [
        departure(lab, days),
        *(departure(lab, days, "bay", streets=streets) for streets in (_TUNED, _FRESH)),
        *(departure(lab, 2 * days, "day", QUIET, streets) for streets in (_TUNED, _FRESH)),
    ]
    notes = [departure(lab, days, "live"), departure(lab, 2 * days, "bay", QUIET)]
    worst = max(held, key=lambda one: one.value)
    return replace(worst, notes=tuple(f"{one.attack}: {one.measured}" for one in (*held, *notes)))


def departure(
    lab: Laboratory,
    days: int,
    profile: str = "zone",
    demand: float = 1.0,
    streets: tuple[int, int] = _TUNED,
) -> Finding:
    """Naive Bayes over what frames show before, at and after each possible departure, learnt on another street.

    `demand`: of the street's usual one; `streets`: seeds of the one it is learnt on, and of the one it is tried on.
    """
    training, trial = (_street(lab, profile, seed, days, demand) for seed in streets)
    habits = _Habits(training)
    blind, seen = (
        100 * sum(_right(stay, habits.guess(stay, view)) for stay in trial.stays) / len(trial.stays)
        for view in (None, trial)
    )
    gain = seen - blind
    return Finding(
        f"parking singling-out, {profile}{'' if demand == 1 else ', quiet street'}{_unseen(streets)}",
        "singling out",
        len(trial.stays),
        f"departures in {days} days on 8 bays",
        f"at most {LIMIT:g} points above the no-data guess",
        LIMIT,
        f"{seen:.1f} % against {blind:.1f} % without frames: {gain:+.1f} points",
        gain,
        gain <= LIMIT,
        Plot(
            "0: no data, 1: with frames",
            "% right within 15 min",
            (Series("success", ((0, blind), (1, seen))),),
            blind + LIMIT,
        ),
    )


def _unseen(streets: tuple[int, int]) -> str:
    return "" if streets == _TUNED else ", street not tuned on"


def _right(stay: _Stay, guess: int) -> bool:
    return abs(guess - stay.leave) <= TOLERANCE_S


class _Habits:
    """What a street teaches: lengths of stay by the hour of arrival, and what frames show while a car stays or goes."""

    def __init__(self, street: _Street) -> None:
        self.lengths: dict[int, Counter[int]] = {}
        stays: Counter[Any] = Counter()
        goes: Counter[Any] = Counter()
        for stay in street.stays:
            step = round((stay.leave - stay.arrive) / STEP_S)
            self.lengths.setdefault(_hour(stay.arrive), Counter())[step] += 1
            for t in stay.candidates():
                if t > stay.leave + STEP_S / 2:
                    break
                leaving = abs(t - stay.leave) <= STEP_S / 2
                (goes if leaving else stays)[street.symbol(stay.bay, t)] += 1
        kinds = len({*stays, *goes})
        self.ratio = {
            symbol: (goes[symbol] + 0.5)
            / (goes.total() + 0.5 * kinds)
            / ((stays[symbol] + 0.5) / (stays.total() + 0.5 * kinds))
            for symbol in {*stays, *goes}
        }
        self.weight = 0.0
        # Frames of one window answer for several steps: how much to believe them is learnt as well.
        self.weight = max(_WEIGHTS, key=lambda weight: self._successes(street, weight))

    def _successes(self, street: _Street, weight: float) -> int:
        self.weight = weight
        return sum(_right(stay, self.guess(stay, street)) for stay in street.stays)

    def guess(self, stay: _Stay, view: _Street | None) -> int:
        """The departure whose surroundings of the tolerance hold most of the probability."""
        times = list(stay.candidates())
        chances = list(self._chances(stay, times, view))
        sums = [0.0, *accumulate(chances)]
        reach = TOLERANCE_S // STEP_S

        def around(n: int) -> float:
            return sums[min(len(times), n + reach + 1)] - sums[max(0, n - reach)]

        return times[max(range(len(times)), key=around)]

    def _chances(self, stay: _Stay, times: list[int], view: _Street | None) -> Iterator[float]:
        """Of each departure: it has not left before, and leaves now. What frames show scales the odds of leaving."""
        there = 1.0
        for t, hazard in zip(times, self._hazards(stay, len(times)), strict=True):
            odds = hazard / (1 - hazard)
            if view is not None:
                odds *= self.ratio.get(view.symbol(stay.bay, t), 1.0) ** self.weight
            leaves = odds / (1 + odds)
            yield there * leaves
            there *= 1 - leaves

    def _hazards(self, stay: _Stay, count: int) -> Iterator[float]:
        lengths = self.lengths.get(_hour(stay.arrive), Counter())
        # A little of every length, so that no departure is thought impossible; neighbours lend to each other.
        shares = [
            sum(lengths[step + n] / (1 + abs(n)) for n in (-2, -1, 0, 1, 2)) + 0.01
            for step in range(1, count + 1)
        ]
        left = sum(shares) + 0.01
        for share in shares:
            yield share / left
            left -= share


def _hour(t: float) -> int:
    return int(t % _DAY_S // 3600)


def _street(lab: Laboratory, profile: str, seed: int, days: int, demand: float) -> _Street:
    row = ParkingRow(seed, f"parking-{seed}", "", 8, demand)
    end = START + days * _DAY_S
    happened = [[(one.arrive, one.leave) for one in row.stays(bay, START, end)] for bay in range(8)]
    file = lab.folder / f"stays-{seed}-{days}-{demand:g}.json"
    file.write_text(json.dumps({"start": START, "end": end, "bays": happened}))
    zone, bay, live, window_s = {}, {}, [], _window_s(profile)
    for now, port, window, values in lab.run("stays", file=str(file), profile=profile, seed=seed).told:
        if port == schema.ZONE and values[0] >= 0:
            zone[window * 900] = values
        elif port in (schema.BAY, schema.DAY) and values[0] is not None and values[0] >= 0:
            bay[window * window_s] = values
        elif port == schema.LIVE:
            live.append((now, values))
    stays = tuple(
        _Stay(n, round(arrive / STEP_S) * STEP_S, leave)
        for n, one in enumerate(happened)
        for arrive, leave in one
        if arrive > START + 7200 and leave < min(end - 7200, arrive + _LONGEST_S - 1800)
    )
    return _Street(stays, zone, bay, window_s, live)


def _window_s(profile: str) -> int:
    return int(_row("parking", profile).window_s)
