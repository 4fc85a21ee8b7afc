"""What is released of parking bays, through whole wakes."""

from gated import FAULT, HOUR, MIDNIGHT, Parking, Street, cars, running, silence, zone

from borne_node.privacy import policy
from borne_node.report import schema
from borne_node.report.schema import SUPPRESSED

ZONE_WITHHELD = (SUPPRESSED, None)


def test_a_zone_gives_the_noised_count_and_the_bays_that_work():
    street = running(zone(1, 0, 1, 0, 0, None))
    released = street.until(MIDNIGHT + 2 * 86400)
    counts = [one.values[0] for one in released]
    assert all(one.values[1] == 5 for one in released)
    assert min(counts) == 0 and max(counts) <= 6
    # 191 draws around 2, clamped at 0 on one side: the mean lies within five standard errors of 2.2.
    assert abs(sum(counts) / len(counts) - 2.2) < 5 * 1.4 / len(counts) ** 0.5
    assert len(set(counts)) > 4


def test_zeros_are_noised_too():
    street = running(zone(0, 0, 0, 0))
    assert any(one.values[0] for one in street.until(MIDNIGHT + 6 * HOUR))


def without_noise(street, windows=8):
    """Every window's noise is taken to be 0, so that what is under it shows."""
    sent = []
    while street.now < MIDNIGHT + windows * street.row.window_s:
        street.wake()
        silence(street)
        street.memory = street.gate.state()
        street.sleep()
    for _, one in street.sent:
        if one.values[0] is not SUPPRESSED:
            sent.append(one.values)
    return sent


def test_a_bay_counts_when_it_was_taken_at_most_samples():
    # Slot by slot: bay 1 always, bay 2 in two slots, bay 3 in one, bay 4 never.
    def slots(now):
        slot = now % 900 // 300
        return Parking((1, int(slot != 1), int(slot == 1), 0), (100,) * 4)

    street = Street("parking", "zone", slots, bays=4)
    assert set(without_noise(street)) == {(2, 4)}


def test_a_vehicle_that_moves_counts_once():
    # It stands in each bay in turn, one slot each, and in one bay for two: never counted twice.
    for plan in ((0, 1, 2), (0, 0, 1), (1, 0, 1), (2, 2, 2)):
        street = Street(
            "parking",
            "zone",
            lambda now, plan=plan: Parking([int(bay == plan[now % 900 // 300]) for bay in range(4)], ()),
            bays=4,
        )
        assert {count for count, _ in without_noise(street)} <= {0, 1}


def test_a_second_reading_in_a_slot_is_not_counted():
    street = running(zone(0, 0, 0, 0))
    street.wake()
    street.reading = cars(1, 1, 1, 1)
    for _ in range(5):
        street.now += 1
        street.wake()
    assert street.gate._counts[:4] == [0, 0, 0, 0]


def test_a_zone_with_one_unread_slot_still_counts_and_with_two_does_not():
    for failing, withheld in ((1, False), (2, True)):

        def reading(now, failing=failing):
            if now % 900 // 300 < failing:
                raise FAULT
            return Parking((1, 1, 1, 1), ())

        street = running(Street("parking", "zone", reading, bays=4))
        released = street.until(MIDNIGHT + 6 * HOUR)
        assert {one.values == ZONE_WITHHELD for one in released} == {withheld}


def shares(profile, bays, reading, windows=4, **more):
    """What leaves of the first bays, without the noise, in the windows that are not withheld."""
    street = Street("parking", profile, reading, bays=bays, **more)
    return {values[:bays] for values in without_noise(street, windows) if values[0] is not None}


def test_a_bay_gives_quarters_of_four_hours():
    for minutes, quarters in (
        (0, 0),
        (15, 0),
        (30, 1),
        (60, 1),
        (75, 1),
        (90, 2),
        (150, 3),
        (210, 4),
        (240, 4),
    ):

        def reading(now, minutes=minutes):
            return Parking((int(now % 14400 < 60 * minutes), 0), ())

        assert shares("bay", 2, reading) == {(quarters, 0)}, minutes


def test_a_quiet_street_s_bay_gives_eighths_of_the_day():
    for hours, eighths in ((0, 0), (1, 0), (2, 1), (4, 1), (5, 2), (22, 7), (24, 8)):

        def reading(now, hours=hours):
            return Parking((int(now % 86400 < hours * HOUR), 0), ())

        assert shares("day", 2, reading) == {(eighths, 0)}, hours


def test_a_quarter_of_an_hour_more_moves_a_bay_by_one_before_the_noise():
    row = policy.row("parking", "bay")
    counts = []
    for minutes in range(0, 241, 15):
        street = Street(
            "parking", "bay", lambda now, m=minutes: Parking((int(now % 14400 < 60 * m),), ()), bays=1
        )
        street.until(MIDNIGHT + 2 * row.window_s - 1)
        counts.append(street.gate._counts[0])
    assert counts == list(range(17)) and row.sensitivity == 1 and row.top == 16


def test_each_bay_has_a_noise_of_its_own():
    street = running(Street("parking", "bay", cars(*(1, 0) * 4), bays=8))
    released = street.until(MIDNIGHT + 20 * 86400)
    assert all(len(set(one.values)) > 1 for one in released)
    full, empty = ([one.values[bay] for one in released] for bay in (0, 1))
    # Coarsened to quarters of sixteen slots, a noise of scale 1 shows now and then.
    assert {3, 4} <= set(full) <= {2, 3, 4} and {0, 1} <= set(empty) <= {0, 1, 2}
    assert 0.02 < empty.count(1) / len(empty) < 0.25
    assert [one.values[0] for one in released] != [4 - one.values[1] for one in released]


def test_withheld_bays_never_leave():
    assert shares("bay", 3, cars(1, 1, 0), withheld_bays=(2,)) == {(4, SUPPRESSED, 0)}


def test_a_bay_read_too_seldom_is_unknown():
    def reading(now):
        return Parking((1, 1 if now % 14400 // 900 < 11 else None), ())

    assert shares("bay", 2, reading) == {(4, None)}


def test_a_bay_s_share_is_of_the_readings_that_there_are():
    def reading(now):
        return Parking((1, 1 if now % 14400 // 900 < 12 else None), ())

    assert shares("bay", 2, reading) == {(4, 4)}


def live(*occupied):
    return Street("parking", "live", cars(*occupied), bays=len(occupied))


def test_live_says_each_change_at_once_and_nothing_else():
    street = live(0, 0)
    street.until(MIDNIGHT + 600)
    assert [one.values for _, one in street.sent] == [(0, 0)]
    street.reading = cars(0, 1)
    street.until(MIDNIGHT + 1200)
    assert [(time - MIDNIGHT, one.values) for time, one in street.sent[1:]] == [(600, (0, 1))]
    assert street.sent[-1][1].window == (MIDNIGHT + 600) // 60


def test_live_says_hourly_that_it_is_alive():
    street = live(1, 1)
    street.until(MIDNIGHT + 5 * HOUR)
    assert len(street.sent) in (5, 6) and {one.values for _, one in street.sent} == {(1, 1)}


def test_live_sends_at_most_once_a_minute():
    street = live(0)
    for second in range(120):
        street.now = MIDNIGHT + second
        street.reading = cars(second % 2)
        street.wake()
    assert len(street.sent) == 2


def test_live_says_a_fault_once_and_then_the_bays_again():
    street = live(1)
    street.until(MIDNIGHT + 300)

    def bad(now):
        raise FAULT

    street.reading = bad
    street.until(MIDNIGHT + 600)
    street.reading = cars(1)
    street.until(MIDNIGHT + 900)
    assert [one.port for _, one in street.sent] == [schema.LIVE, schema.FAULT, schema.LIVE]
