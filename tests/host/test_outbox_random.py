"""The outbox against a model of itself: any order of puts, deliveries, reboots, cuts and damage."""

from __future__ import annotations

from disk import FakeFolder, PowerCut
from hypothesis import given
from hypothesis import strategies as st

from borne_node.outbox import Outbox

STEPS = st.lists(
    st.tuples(st.just("put"), st.binary(max_size=51))
    | st.tuples(st.just("deliver"), st.integers(0, 7))
    | st.tuples(st.just("reboot"), st.just(0))
    | st.tuples(st.just("cut"), st.integers(0, 3)),
    max_size=40,
)


def payloads(outbox: Outbox) -> list[bytes]:
    return [payload for _, _, payload in outbox]


@given(STEPS, st.integers(1, 6))
def test_it_holds_what_the_model_holds(steps: list[tuple[str, object]], slots: int) -> None:
    folder = FakeFolder()
    outbox = Outbox("outbox", slots, folder=folder)
    waiting: list[bytes] = []
    dropped = 0
    for step, value in steps:
        before = (list(waiting), dropped)
        try:
            if step == "put":
                waiting.append(value)  # type: ignore[arg-type]
                dropped += len(waiting) > slots
                waiting = waiting[-slots:]
                outbox.put(10, value)
            elif step == "deliver" and waiting:
                position = value % len(waiting)  # type: ignore[operator]
                del waiting[position]
                outbox.delivered(list(outbox)[position][0])
            elif step == "reboot":
                outbox = Outbox("outbox", slots, folder=folder)
            elif step == "cut":
                folder.cut_after = value
        except PowerCut:
            folder.cut_after = None
            outbox = Outbox("outbox", slots, folder=folder)
            assert (payloads(outbox), outbox.dropped) in (before, (waiting, dropped))
            waiting, dropped = payloads(outbox), outbox.dropped
        assert (payloads(outbox), outbox.dropped, len(outbox)) == (waiting, dropped, len(waiting))


@given(st.dictionaries(st.sampled_from(["00", "01", "02", "lost", "reserve", "zz"]), st.binary(max_size=100)))
def test_any_files_are_survived(files: dict[str, bytes]) -> None:
    folder = FakeFolder()
    folder.files = dict(files)
    outbox = Outbox("outbox", 3, folder=folder)
    outbox.put(10, b"new")
    assert payloads(Outbox("outbox", 3, folder=folder))[-1] == b"new"
