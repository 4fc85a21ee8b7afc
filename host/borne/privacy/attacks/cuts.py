"""Power cuts anywhere in ledger, outbox and send: is a window released twice with other bytes, or unpaid?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from borne.decoding.report import Value, decode
from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne_node.report import schema

# Changes of NVS, flash and air that a wake makes are below this: the kill points wander over all of them.
_STEP = 60
_PARTS = 2
# Without the rest of a node a kill costs a hundredth: so many at least, also in the short form.
_LEAST = 400

SEND_THEN_DEBIT = (
    Patch(
        "privacy/gate.py",
        "        return (_released(frame),) if self._ledger.pay(start, self._row.epsilon, self._policy) else ()\n",
        "        self._last = frame\n        return (_released(frame),)\n",
    ),
    Patch(
        "privacy/gate.py",
        "        if self._next_drawn or not self._drbg.ready:\n",
        "        if self._last != [0]:\n"
        "            port, window = self._last[:2]\n"
        "            self._ledger.pay(window * schema.row(port)[1], self._row.epsilon, self._policy)\n"
        "        if self._next_drawn or not self._drbg.ready:\n",
    ),
)


def power(lab: Laboratory, points: int) -> Finding:
    """`points` power cuts or watchdog resets of a whole parking node, at changes that wander through its wakes; and as
    many, or 400, of ledger, outbox and send alone: at each change of each wake in turn.
    """

    def play(part: int) -> tuple[int, int, int, int]:
        (told,) = lab.run("power", seed=part + 1, points=points // _PARTS, step=_STEP).told
        return told["cuts"], told["unpaid"], len(told["frames"]), sum(conflicts(told["frames"]))

    def dense() -> tuple[int, int, int, int]:
        (told,) = lab.run("kills", seed=1, points=max(points, _LEAST)).told
        return told["cuts"], told["unpaid"], told["frames"], told["twice"]

    with ThreadPoolExecutor(_PARTS) as pool:
        parts = [*pool.map(play, range(_PARTS)), dense()]
    cuts, unpaid, frames, twice = (sum(column) for column in zip(*parts, strict=True))
    bars = ((0.0, float(twice)), (1.0, float(unpaid)))
    return Finding(
        "power cuts",
        "composition",
        cuts,
        f"kill points, {parts[-1][0]:,} of them at every change of ledger, outbox and send",
        "0 windows released twice with different bytes, 0 under-debits",
        0,
        f"{twice} windows twice, {unpaid} unpaid of {frames} frames",
        twice + unpaid,
        twice + unpaid == 0 and frames > 0,
        Plot("0: twice, 1: unpaid", "windows", (Series("found", bars),), 0),
    )


def conflicts(frames: list[str]) -> Iterator[int]:
    """1 for every time that a frame says other values of a window than an earlier frame, by itself or as history."""
    said: dict[int, tuple[Value, ...]] = {}
    window = 0
    for frame in frames:
        report = decode(bytes.fromhex(frame), schema.ZONE)
        assert report.window is not None
        # The index comes round after 42 days, and ten thousand cuts take longer; no frame waits for half of that.
        turn = 1 << report.layout.window_bits
        window += (report.window - window + turn // 2) % turn - turn // 2
        yield _again(said, window, report.values)
        for back, values in enumerate(report.history, 1):
            if any(value is not None for value in values):
                yield _again(said, window - back, values)


def _again(said: dict[int, tuple[Value, ...]], window: int, values: tuple[Value, ...]) -> int:
    return int(said.setdefault(window, values) != values)
