"""Emptyings of the virtual street: each that can be seen is found and dated, none is made up."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from borne.virtual.world import START, Container
from borne_node.sense.emptied import Emptied

HOUR, DAYS = 3600, 28
# What can be seen: 20 points, what a heap moves a reading by twice (20 mm of 1100, thrice the deviation), and what is
# thrown in within the two hours.
PLAIN = 35
GEOMETRY = {"name": "bin", "slot": "a", "container": "column", "depth_mm": 1100, "offset_mm": 150}


def readings(container: Container, days: int) -> list[tuple[int, int]]:
    """(time, level in percent) once an hour, off by what the heap and the ping are off by."""
    found = []
    for t in range(START, START + days * 86_400, HOUR):
        share = (container.offset_mm + container.depth_mm - container.distance(t)) / container.depth_mm
        found.append((t, max(0, min(100, round(100 * share)))))
    return found


def dates(levels: list[tuple[int, int]]) -> list[int]:
    """When the node says that it was emptied, each date once."""
    emptied, state, told = None, None, []
    for now, level in levels:
        emptied = Emptied(GEOMETRY, state)
        emptied.see(level, now)
        state = emptied.state()
        if emptied.at and (not told or told[-1] != emptied.at):
            told.append(int(emptied.at))
    return told


@settings(max_examples=12)
@given(st.integers(0, 2**31))
def test_what_the_truck_took_is_dated_within_the_hour(seed: int) -> None:
    container = Container(seed, "bin", "")
    end = START + DAYS * 86_400 - 3 * HOUR
    told = dates(readings(container, DAYS))
    truth = container.emptied(START + 3 * HOUR, end)
    for at in truth:
        if container.level(at - 1) >= PLAIN:
            assert any(at <= one < at + HOUR for one in told), at
    for one in told:
        assert any(one - HOUR < at <= one for at in container.emptied(START, end)), one


@given(
    st.lists(st.integers(0, 100), min_size=4, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 100)), max_size=6),
)
def test_lone_wild_readings_make_no_emptying(steps: list[int], wild: list[tuple[int, int]]) -> None:
    # A level that never falls, with echoes that went astray and have three good readings on either side.
    levels = sorted(steps)
    last = -4
    for at, level in sorted(wild):
        if at >= last + 4 and at < len(levels):
            levels[at], last = level, at
    assert dates([(START + n * HOUR, level) for n, level in enumerate(levels)]) == []
