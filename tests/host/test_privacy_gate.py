"""The gate against all that happens to a node: late wakes, resets, power cuts, wrong clocks, dead sensors."""

from __future__ import annotations

from typing import Any

from gated import FAULT, MIDNIGHT, Fill, Light, Parking, Street
from hypothesis import example, given, settings
from hypothesis import strategies as st
from store import PowerCut

from borne_node.privacy import policy
from borne_node.report import codec, schema

# As gate.py: less than that before its last wake is a sleep clock put right, and the windows go on.
SLEW_S = 60

KINDS = st.sampled_from([("parking", "zone"), ("parking", "bay"), ("light", "light"), ("fill", "fill")])
EVENTS = st.one_of(
    st.tuples(st.just("sleep"), st.integers(1, 12)),
    st.tuples(st.just("late"), st.integers(1, 40_000)),
    st.tuples(st.just("off"), st.integers(0, 40_000)),
    st.tuples(st.just("cut"), st.integers(0, 6)),
    st.tuples(st.just("set"), st.integers(-100_000, 100_000)),
    st.tuples(st.just("fault"), st.integers(1, 6)),
    st.tuples(st.just("forget"), st.just(0)),
    st.tuples(st.just("dead"), st.integers(0, 1)),
)


class Watched(Street):
    """A Street that knows which windows were seen whole: by slots read since the last break."""

    def __init__(self, kind: str, profile: str, data: list[int]) -> None:
        super().__init__(kind, profile, self._read, bays=4 if kind == "parking" else 0)
        self.data = data
        self.turn = 0
        self.failing = 0
        self.read: dict[int, set[int]] = {}
        self.broken: set[int] = {policy.window(self.row, self.now)[0]}

    def _read(self, now: int) -> Any:
        if self.failing:
            self.failing -= 1
            raise FAULT
        self.turn += 1
        start, _ = policy.window(self.row, now)
        self.read.setdefault(start, set()).add((now - start) // self.row.period_s)
        value = self.data[self.turn % len(self.data)]
        if self.row.kind == "parking":
            return Parking([value >> bay & 1 for bay in range(4)], ())
        return (
            Light(value, value, None, None, None)
            if self.row.kind == "light"
            else Fill(value % 101, value % 30, 0, 0)
        )

    def snap(self, at: int) -> None:
        """Nothing of the window open `at` may be said any more; a clock set back may have left it behind already."""
        start = policy.window(self.row, at)[0]
        if start not in {start_of(self, released) for _, released in self.sent}:
            self.broken.add(start)

    def wake(self) -> Any:
        if self.memory is None:
            self.begin_again()
        return super().wake()

    def begin_again(self) -> None:
        """It knows nothing of what was before: by what its clock says now, the windows after this one come whole."""
        start = policy.window(self.row, self.now)[0]
        told = {start_of(self, released) for _, released in self.sent}
        self.broken = {one for one in self.broken if one < start or one in told}
        self.snap(self.now)

    def live(self, wakes: int) -> None:
        for _ in range(wakes):
            self.wake()
            self.sleep()


def play(street: Watched, events: list[tuple[str, int]]) -> None:
    for event, amount in events:
        if event == "sleep":
            street.live(amount)
        elif event == "late":
            street.now += amount
        elif event == "off":
            street.snap(street.now - 1)
            street.power_off(amount)
        elif event == "cut":
            street.store.cut_after = amount
            try:
                street.live(4)
            except PowerCut:
                street.snap(street.now)
                street.power_off(1)
            street.store.cut_after = None
        elif event == "set":
            street.now = max(MIDNIGHT, street.now + amount)
            if street.now < street.woken - SLEW_S:
                street.begin_again()
        elif event == "fault":
            street.failing = amount
        elif event == "forget":
            street.memory = None
            street.snap(street.now - 1)
        elif event == "dead":
            street.entropy.broken = (lambda size: bytes(size)) if amount else None
    street.live(4)


def start_of(street: Watched, released: Any) -> int:
    return released.window * schema.row(released.port)[1]


def says_something(released: Any) -> bool:
    return any(isinstance(value, int) for value in released.values)


@given(KINDS, st.lists(st.integers(0, 255), min_size=1, max_size=9), st.lists(EVENTS, max_size=12))
@example(("parking", "zone"), [0], [("sleep", 5), ("off", 0), ("set", -214), ("sleep", 2)])
def test_whatever_happens(kind: tuple[str, str], data: list[int], events: list[tuple[str, int]]) -> None:
    street = Watched(*kind, data)
    play(street, events)
    starts = [start_of(street, released) for _, released in street.sent]
    assert len(starts) == len(set(starts)), "a window was released twice"
    for (time, released), start in zip(street.sent, starts, strict=True):
        codec.encode(released.port, released.window, released.values)
        assert time >= policy.window(street.row, start)[1], "released before its end"
        if released.port == street.row.port and says_something(released):
            assert len(street.read.get(start, ())) >= street.row.need
            assert start not in street.broken, "said something of a window that was not seen whole"


@settings(max_examples=30)
@given(
    KINDS,
    st.lists(st.integers(0, 255), min_size=1),
    st.lists(st.integers(0, 255), min_size=1),
    st.integers(0, 99),
)
def test_no_data_change_the_traffic(
    kind: tuple[str, str], one: list[int], other: list[int], seed: int
) -> None:
    traffic = []
    for data in (one, other):
        street = Watched(*kind, data)
        street.entropy.seed = seed
        street.live(60)
        assert len(street.sent) > 2
        traffic.append(
            [
                (time, released.port, len(codec.encode(released.port, released.window, released.values)))
                for time, released in street.sent
            ]
        )
    assert traffic[0] == traffic[1]
