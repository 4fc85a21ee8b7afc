"""What is not released: windows not seen whole, without randomness, with a clock that was set."""

from gated import FAULT, HOUR, MIDNIGHT, Street, cars, fill, light, running, zone

from borne_node.privacy import policy
from borne_node.privacy.gate import Gate, Released
from borne_node.report import codec, schema
from borne_node.report.schema import SUPPRESSED

ZONE_WITHHELD = (SUPPRESSED, None)
BAY_WITHHELD = (SUPPRESSED,) * 8


def test_a_window_not_seen_whole_is_withheld_on_schedule():
    street = zone(1, 1, 1, 1, now=MIDNIGHT + 100)
    released = street.until(MIDNIGHT + 2 * HOUR)
    assert [one.values == ZONE_WITHHELD for one in released[:4]] == [True, False, False, False]


def test_seeded_at_the_first_wake_the_second_window_has_noise():
    assert [
        one.values != BAY_WITHHELD
        for one in Street("parking", "bay", cars(1), bays=1).until(MIDNIGHT + 16 * HOUR)
    ][1:] == [True, True, True]


def test_without_a_seed_there_is_never_data():
    for street in (zone(1, 1, 1, 1), fill(), light()):
        street.seeding = False
        released = street.until(MIDNIGHT + 86400)
        assert len({one.values for one in released}) == 1 and len(released) > 4
        assert released[0].values[0] is SUPPRESSED


def test_bad_sources_leave_only_withheld_frames():
    for broken in (
        lambda size: bytes(size),
        lambda size: b"\xaa" * size,
        lambda size: (b"abc" * size)[:size],
    ):
        street = zone(1, 1, 1, 1)
        street.entropy.broken = broken
        assert {one.values for one in street.until(MIDNIGHT + 3 * 86400)} == {ZONE_WITHHELD}


def test_a_source_that_dies_ends_the_data_at_the_next_reseed():
    street = running(zone(1, 1, 1, 1))
    street.entropy.broken = lambda size: bytes(size)
    street.until(MIDNIGHT + 26 * HOUR)
    released = street.until(MIDNIGHT + 48 * HOUR)
    assert {one.values for one in released} == {ZONE_WITHHELD} and len(released) > 80
    street.entropy.broken = None
    street.until(MIDNIGHT + 49 * HOUR)
    assert ZONE_WITHHELD not in {one.values for one in street.until(MIDNIGHT + 52 * HOUR)}


def test_without_any_reading_the_release_is_the_fault():
    def bad(now):
        raise FAULT

    for street, kind in ((Street("parking", "zone", bad, bays=4), 0), (Street("fill", "fill", bad), 2)):
        released = street.until(MIDNIGHT + 86400)
        assert {one.port for one in released} == {schema.FAULT}
        assert {one.values for one in released} == {(kind, None, 0)}
        assert released[1].window == MIDNIGHT // 900
        codec.encode(*released[0])


def test_a_fault_says_which_bay_if_it_knows():
    def bad(now):
        fault = type(FAULT)("QMC5883L", "stuck")
        fault.position = 3
        raise fault

    assert Street("parking", "zone", bad, bays=4).until(MIDNIGHT + HOUR)[0].values == (0, 3, 3)


def test_missed_windows_are_never_made_up():
    street = running(zone(1, 1, 1, 1))
    street.until(MIDNIGHT + 5 * 900)
    street.now = MIDNIGHT + 9 * 900 + 500
    street.until(MIDNIGHT + 13 * 900)
    windows = [one.window - MIDNIGHT // 900 for _, one in street.sent]
    assert windows == [2, 3, 4, 9, 10, 11]
    by_window = {one.window - MIDNIGHT // 900: one.values for _, one in street.sent}
    assert by_window[9] == ZONE_WITHHELD and by_window[10] != ZONE_WITHHELD


def test_a_reset_that_keeps_its_memory_makes_the_window_partial():
    # machine.reset() keeps RTC memory on MicroPython 1.25, but nothing was counted meanwhile.
    street = running(light(40), 7)
    street.until(MIDNIGHT + 10 * HOUR + 1)
    street.slept = False
    street.now = MIDNIGHT + 10 * HOUR + 700
    street.until(MIDNIGHT + 13 * HOUR)
    by_hour = {one.window % 24: one.values[0] for _, one in street.sent}
    assert by_hour[10] is SUPPRESSED and by_hour[11] is not SUPPRESSED


def test_corrupt_memory_is_as_good_as_none():
    street = running(zone(1, 1, 1, 1))
    street.wake()
    good = street.memory
    for at in range(0, len(good), 7):
        bad = bytearray(good)
        bad[at] ^= 0x20
        for memory in (bytes(bad), good[:at], b"", None):
            gate = Gate(street.row, street.settings, None, None, memory)
            assert not gate._whole and gate._start == 0
    assert Gate(street.row, street.settings, None, None, good)._start == MIDNIGHT + 1800


def test_memory_of_another_policy_is_as_good_as_none():
    street = running(zone(1, 1, 1, 1))
    street.wake()
    changed = list(street.row)
    changed[policy.COLUMNS.index("epsilon")] = (2, 1)
    assert Gate(policy.Row(*changed), street.settings, None, None, street.memory)._start == 0


def test_with_the_clock_unset_nothing_is_released():
    street = zone(1, 1, 1, 1, now=946684800 + 50)
    for _ in range(40):
        street.wake()
        before = street.now
        street.sleep()
        assert before < street.now <= before + 300
    assert not street.sent and not street.store.durable.get("ledger0")


def test_the_window_in_which_the_clock_is_set_is_withheld():
    street = zone(1, 1, 1, 1, now=946684800 + 50)
    street.wake()
    street.now = MIDNIGHT + 310
    released = street.until(MIDNIGHT + HOUR)
    assert released[0] == Released(10, MIDNIGHT // 900, ZONE_WITHHELD) and released[1].values != ZONE_WITHHELD


def test_a_clock_set_back_repeats_no_window():
    street = running(zone(1, 1, 1, 1))
    street.until(MIDNIGHT + 10 * 900)
    said = {one.window for _, one in street.sent}
    street.now -= 5 * 900
    again = street.until(MIDNIGHT + 14 * 900)
    assert not said & {one.window for one in again}
    windows = [one.window - MIDNIGHT // 900 for one in again]
    assert windows and windows == sorted(set(windows))


def test_a_clock_set_back_within_the_window_makes_it_partial():
    street = running(zone(1, 1, 1, 1))
    street.until(MIDNIGHT + 3 * 900 + 850)
    street.sent.clear()
    street.now = MIDNIGHT + 3 * 900 + 550
    by_window = {one.window - MIDNIGHT // 900: one.values for one in street.until(MIDNIGHT + 6 * 900)}
    assert by_window[3] == ZONE_WITHHELD and by_window[4] != ZONE_WITHHELD


def test_setting_the_clock_by_seconds_harms_nothing():
    street = running(zone(1, 1, 1, 1))
    for step in (-20, 15, -40, 30) * 5:
        street.now += step
        street.until(street.now + 1200)
    windows = [one.window for _, one in street.sent]
    assert windows == list(range(windows[0], windows[0] + len(windows)))
    assert ZONE_WITHHELD not in {one.values for _, one in street.sent}
