"""A fall of the level that stays is an emptying; an echo that went astray is none."""

from store import FakeStore

from borne_node import RELEASED
from borne_node.sense.emptied import SIZE, Emptied

HOUR = 3600
START = RELEASED + 86400
BIN = {"name": "bin-7", "slot": "a", "container": "wheels", "depth_mm": 1100, "offset_mm": 150}


def see(emptied, *levels, now=START):
    for level in levels:
        emptied.see(level, now)
        now += HOUR
    return emptied


def test_a_fall_that_two_readings_find():
    emptied = see(Emptied(BIN), 80, 81)
    assert emptied.at is None
    see(emptied, 4, now=START + 2 * HOUR)
    assert emptied.at is None
    see(emptied, 5, now=START + 3 * HOUR)
    assert emptied.at == START + 2 * HOUR
    # It stays so until the next one.
    see(emptied, *range(6, 60), now=START + 4 * HOUR)
    assert emptied.at == START + 2 * HOUR


def test_one_echo_that_went_astray_empties_nothing():
    for levels in (
        (80, 80, 3, 80, 81),
        (30, 30, 100, 30, 31),
        (80, 3, 80, 3, 80, 3),
        (10, 100, 10, 10, 100, 10),
    ):
        assert see(Emptied(BIN), *levels).at is None, levels


def test_a_heap_that_settles_empties_nothing():
    assert see(Emptied(BIN), 80, 80, 61, 61).at is None
    assert see(Emptied(BIN), 80, 80, 60, 60).at == START + 2 * HOUR
    # 15 points from one reading to the next, for ever: nobody empties a container like that, but it went down by 30.
    assert see(Emptied(BIN), 90, 80, 70, 62, 55).at is None


def test_what_is_thrown_in_at_once_hides_nothing_of_what_fell():
    assert see(Emptied(BIN), 95, 96, 2, 40).at == START + 2 * HOUR


def test_rtc_memory_carries_it_over_sleep():
    emptied, state = None, None
    for n, level in enumerate((70, 72, 3, 4, 5)):
        emptied = see(Emptied(BIN, state), level, now=START + n * HOUR)
        state = emptied.state()
        assert len(state) == SIZE
    assert emptied.at == START + 2 * HOUR


def test_nvs_keeps_the_last_one_over_a_power_cut():
    store = FakeStore()
    see(Emptied(BIN, None, store), 70, 72, 3, 4)
    assert store.commits == 1
    assert Emptied(BIN, None, store.reboot()).at == START + 2 * HOUR


def test_another_container_or_another_depth_is_learned_anew():
    store = FakeStore()
    state = see(Emptied(BIN, None, store), 70, 72, 3, 4).state()
    for change in (
        {"name": "bin-8"},
        {"slot": "b"},
        {"depth_mm": 900},
        {"offset_mm": 200},
        {"container": "bin"},
    ):
        other = dict(BIN)
        other.update(change)
        assert Emptied(other, state, store).at is None, change


def test_state_and_records_of_anything_are_borne():
    for state in (b"", b"x", bytes(SIZE), b"\xff" * SIZE, bytes(99)):
        store = FakeStore()
        store.write("emptied", state)
        store.commit()
        assert Emptied(BIN, state, store).at is None


def test_a_store_that_fails_costs_the_record_only():
    store = FakeStore(cut_after=None)

    def refuse(name, data):
        raise OSError(28)

    store.write = refuse
    assert see(Emptied(BIN, None, store), 70, 72, 3, 4).at == START + 2 * HOUR


def test_a_clock_that_is_not_set_or_set_back_dates_nothing_wrongly():
    emptied = see(Emptied(BIN), 80, 80, 3, 3, now=1000)
    assert emptied.at is None
    emptied = see(Emptied(BIN), 80, 80, now=START + 20 * HOUR)
    see(emptied, 3, 3, now=START)
    assert emptied.at is None
    see(emptied, 60, 60, 2, 2, now=START + 2 * HOUR)
    assert emptied.at == START + 4 * HOUR
    # An emptying never lies ahead of the clock.
    see(emptied, 10, now=START + HOUR)
    assert emptied.at == START + HOUR
