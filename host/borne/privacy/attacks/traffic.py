"""Singling out by traffic: an empty street and a saturated one, same seed, heard by somebody without any key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch

PROFILES = ("zone", "bay", "day", "light", "fill")
_SEED = 7
# Parking wakes every five minutes: a fourth of the time gives more messages than the others have.
_FASTER = 4

EVENT_DRIVEN = Patch(
    "privacy/gate.py",
    "self._pending = [self._end + self._jitter, self._start, frame]",
    "changed = any(one not in (0, None) for one in frame[2:])\n"
    "        self._pending = [self._end + (0 if changed else self._jitter), self._start, frame]",
)


def schedule(lab: Laboratory, hours: int) -> Finding:
    """Every message of whole nodes of each profile: time, port, size, confirmed."""
    heard = streets(lab, hours)
    differing, messages, points = 0, 0, []
    for profile in PROFILES:
        empty, full = (heard[(profile, busy)]["air"] for busy in (False, True))
        differing += sum(a != b for a, b in zip(empty, full, strict=False)) + abs(len(empty) - len(full))
        messages += len(empty) + len(full)
        points.append((profile, empty, full))
    return Finding(
        "traffic",
        "singling out",
        messages,
        f"messages of {len(PROFILES)} profiles over {hours} h",
        "identical list of (time, port, size, confirmed)",
        0,
        f"{differing} messages differ",
        differing,
        differing == 0 and messages > 0,
        _plot(points),
    )


@lru_cache(maxsize=8)
def streets(lab: Laboratory, hours: int) -> dict[tuple[str, bool], dict[str, Any]]:
    """By profile and whether the street is saturated: {"air": [...], "payloads": [[port, hex], ...]}."""
    tasks = [(profile, busy) for profile in PROFILES for busy in (False, True)]

    def play(task: tuple[str, bool]) -> dict[str, Any]:
        profile, busy = task
        # The daily report rides on the frames of every profile; a day of it is enough where wakes are few.
        span = hours if profile in ("light", "fill") else -(-hours // _FASTER)
        (told,) = lab.run("street", profile=profile, seed=_SEED, hours=span, busy=busy).told
        return dict(told)

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(tasks, pool.map(play, tasks), strict=True))


def _plot(points: list[tuple[str, Any, Any]]) -> Plot:
    """How late after the quarter of an hour each message of the first profile left."""
    _, empty, full = points[0]
    return Plot(
        "message",
        "seconds after the quarter of an hour",
        (
            Series("empty", tuple((float(n), float(one[0] % 900)) for n, one in enumerate(empty[:40]))),
            Series("saturated", tuple((float(n), float(one[0] % 900)) for n, one in enumerate(full[:40]))),
        ),
    )
