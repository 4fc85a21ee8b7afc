"""What users and the data protection officer depend on, profile by profile, through whole wakes."""

from gated import FAULT, MIDNIGHT, Fill, Light, Parking, Street, cars
from store import PowerCut

from borne_node.errors import StorageError
from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate, Released
from borne_node.privacy.ledger import Ledger
from borne_node.report import codec, schema
from borne_node.report.schema import SUPPRESSED

HOUR = 3600
ZONE_WITHHELD = (SUPPRESSED, None)
BAY_WITHHELD = (SUPPRESSED,) * 8


def zone(*occupied, **more):
    return Street("parking", "zone", cars(*occupied), bays=len(occupied), **more)


def fill(level=50, temperature=12, tilt=None, fire=None, **more):
    return Street("fill", "fill", lambda now: Fill(level, temperature, tilt, fire), **more)


def light(triggers=40, lux=7, lamp=(None, None, None), **more):
    # Each window's triggers, and energy, are read on the boundary, with the last reading of the hour.
    def reading(now):
        within = now % HOUR
        state, dimming, energy = lamp
        return Light(lux, 0 if within else triggers, state, dimming, energy and (0 if within else energy))

    return Street("light", "light", reading, **more)


def running(street, windows=2):
    """Past the windows that were not seen whole or had no noise yet."""
    street.until(MIDNIGHT + windows * street.row.window_s + 240)
    street.sent.clear()
    return street


def schedule(street):
    # Bytes on air, not only values: encode as app.py does.
    return [
        (time, one.port, len(codec.encode(one.port, one.window, one.values, history_of(street, one))))
        for time, one in street.sent
    ]


def history_of(street, one):
    return street.past.history(one.port, one.window) if schema.row(one.port)[3] else None


# The schedule


def test_one_release_a_window_whatever_was_measured():
    for make in (lambda: zone(1, 0, 1, 1), fill, lambda: Street("parking", "bay", cars(1, 0), bays=2)):
        street = make()
        street.until(MIDNIGHT + 86400)
        windows = [one.window for _, one in street.sent]
        first = (MIDNIGHT - 7) // street.row.window_s
        assert windows == list(range(first, first + len(windows)))
        assert len(windows) in (86400 // street.row.window_s, 86400 // street.row.window_s + 1)


def test_a_release_comes_within_the_jitter_of_its_window():
    for street in (zone(1, 0, 1, 1), fill(), light()):
        street.until(MIDNIGHT + 2 * 86400)
        delays = set()
        for time, one in street.sent:
            start = one.window * street.row.window_s
            delays.add(time - policy.window(street.row, start)[1])
        assert min(delays) >= 0 and max(delays) < street.row.jitter_s
        assert len(delays) > 4, "no jitter"


def test_an_empty_and_a_saturated_street_send_alike():
    pairs = (
        (zone(0, 0, 0, 0, 0, 0), zone(1, 1, 1, 1, 1, 1)),
        (fill(0), fill(100)),
        (light(0, 0), light(500, 100000)),
        (Street("parking", "bay", cars(0, 0), bays=2), Street("parking", "bay", cars(1, 1), bays=2)),
    )
    for empty, full in pairs:
        empty.until(MIDNIGHT + 86400)
        full.until(MIDNIGHT + 86400)
        assert schedule(empty) == schedule(full) and len(empty.sent) > 4
        assert [one for _, one in empty.sent] != [one for _, one in full.sent]


def test_noise_and_jitter_do_not_know_the_data():
    # The same seed gives the same noise: only the count differs, by exactly the difference of the data.
    def light_with(count):
        street = light(count)
        return [one.values[0] for one in street.until(MIDNIGHT + 22 * HOUR)]

    several, one_more = light_with(100), light_with(101)
    differences = {b - a for a, b in zip(several, one_more) if a is not SUPPRESSED}  # noqa: B905
    assert differences == {1}


def test_the_next_release_is_known_before_there_is_data():
    street = running(zone(1, 1, 0, 0))
    street.wake()
    expected = street.gate.next_release(street.now)
    street.until(expected)
    assert not street.sent
    street.until(expected + 1)
    assert [time for time, _ in street.sent] == [expected]


def test_nothing_is_drawn_between_measuring_and_sending():
    street = running(zone(1, 1, 0, 0))
    at = street.gate.next_release(street.now)
    street.until(at)
    seed = street.store.durable["drbg"]
    drbg = Drbg(street.entropy, street.store)
    gate = Gate(street.row, street.settings, drbg, Ledger(street.store), street.memory)
    assert gate.add(street.reading(at), at) and street.store.durable["drbg"] == seed
    gate.prepare()
    assert street.store.durable["drbg"] != seed


def test_two_wakes_a_slot_at_most():
    street = zone(1, 0, 1, 0)
    wakes = 0
    while street.now < MIDNIGHT + 86400:
        street.wake()
        street.sleep()
        wakes += 1
    assert wakes < 86400 // 300 + 96


def test_waking_early_changes_nothing():
    punctual, early = running(zone(1, 1, 1, 0)), running(zone(1, 1, 1, 0))
    punctual.until(MIDNIGHT + 3 * HOUR)
    while early.now < MIDNIGHT + 3 * HOUR:
        early.now -= 20
        for _ in range(2):
            early.wake()
            early.sleep()
    assert early.sent == punctual.sent and len(early.sent) == 9


def test_a_late_wake_releases_late_and_once():
    street = running(zone(1, 1, 1, 0))
    street.until(MIDNIGHT + 4 * 900 - 1)
    before = len(street.sent)
    street.now = MIDNIGHT + 4 * 900 + 299
    street.wake()
    assert [one.window for _, one in street.sent[before:]] == [MIDNIGHT // 900 + 3]
    street.wake()
    assert len(street.sent) == before + 1


# What is released


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


def silence(street):
    street.gate._noise, street.gate._next_noise = [0] * 8, [0] * 8


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


def test_light_counts_each_trigger_in_the_window_it_came_in():
    # 40 triggers between 10h and 11h, read by pin wakes.
    street = light(0)
    street.until(MIDNIGHT + 9 * HOUR + 600)
    left = [20, 20]
    street.reading = lambda now: Light(
        7, left.pop() if left and now > MIDNIGHT + 10 * HOUR else 0, None, None, None
    )
    released = {}
    while street.now < MIDNIGHT + 13 * HOUR:
        street.wake()
        silence(street)
        street.memory = street.gate.state()
        for _, one in street.sent:
            released[one.window % 24] = one.values[0]
        following = street.gate.next_wake(street.now)
        if 10 * HOUR < street.now - MIDNIGHT < 11 * HOUR:
            street.now = min(following, street.now + 900)
        else:
            street.now = following
    assert (released[9], released[10], released[11]) == (SUPPRESSED, 40, SUPPRESSED)


def test_light_below_eleven_is_suppressed_after_the_noise():
    street = running(light(8), 7)
    values = [one.values[0] for one in street.until(MIDNIGHT + 5 * 86400)]
    numbers = [value for value in values if value is not SUPPRESSED]
    # Noise lifts some of the eights over the threshold; none below it is ever said.
    assert numbers and min(numbers) >= 11 and len(numbers) < len(values) // 2


def test_light_is_clamped_to_its_field():
    street = running(light(5000), 7)
    released = street.until(MIDNIGHT + 20 * HOUR)
    assert max(one.values[0] for one in released) == 1020
    for one in released:
        codec.encode(one.port, one.window, one.values)


def test_light_says_what_its_lamp_did():
    street = running(light(40, 150, (2, 62, 30)), 7)
    released = street.until(MIDNIGHT + 20 * HOUR)
    assert {one.values[2:] for one in released} == {(2, 62, 30)}
    assert codec.decode(20, codec.encode(20, *released[0][1:])).values[2:] == (2, 60, 30)


def test_the_energy_of_a_night_is_the_sum_of_its_hours():
    street = running(light(40, 0, (1, 100, 50)), 7)
    nights = [one for one in street.until(MIDNIGHT + 2 * 86400 + 7 * HOUR) if one.window % 24 == 22]
    assert {one.values[4] for one in nights} == {400}


def test_a_lamp_defective_once_is_defective_in_that_window_only():
    street = running(light(40), 7)
    street.reading = lambda now: Light(
        7, 0, 4 if 9 * HOUR <= now - MIDNIGHT < 10 * HOUR else 1, 100, None if now % HOUR else 20
    )
    by_hour = {one.window % 24: one.values[2] for one in street.until(MIDNIGHT + 20 * HOUR)}
    assert by_hour[9] == 4 and by_hour[8] == 1 and by_hour[11] == 1


def test_energy_that_was_not_measured_throughout_is_unknown():
    street = running(light(40), 7)
    street.reading = lambda now: Light(
        7, 0, 1, 100, None if now - MIDNIGHT == 12 * HOUR else 0 if now % HOUR else 20
    )
    by_hour = {one.window % 24: one.values[4] for one in street.until(MIDNIGHT + 20 * HOUR)}
    assert by_hour[11] is None and by_hour[10] == 20 and by_hour[13] == 20


def test_light_says_the_lux_class_and_nothing_of_a_lamp_without_a_meter():
    street = running(light(40, 150), 7)
    assert {one.values[1:] for one in street.until(MIDNIGHT + 20 * HOUR)} == {(5, None, None, None)}
    street = running(light(40, None), 7)
    assert {one.values[1:] for one in street.until(MIDNIGHT + 20 * HOUR)} == {(None, None, None, None)}


def test_the_night_is_one_light_window():
    street = running(light(40), 7)
    released = street.until(MIDNIGHT + 2 * 86400 + 7 * HOUR)
    hours = [one.window % 24 for one in released]
    assert set(hours) == set(range(6, 23)) and hours.count(22) == 2


def test_a_light_that_listened_with_a_gap_is_withheld():
    street = running(light(40), 7)
    street.until(MIDNIGHT + 10 * HOUR + 300)
    street.now = MIDNIGHT + 11 * HOUR + 1800
    street.until(MIDNIGHT + 14 * HOUR)
    by_hour = {one.window % 24: one.values[0] for _, one in street.sent}
    assert by_hour[10] is SUPPRESSED and by_hour[11] is SUPPRESSED
    assert by_hour[9] is not SUPPRESSED and by_hour[12] is not SUPPRESSED


def test_a_light_sensor_that_failed_once_has_lost_triggers():
    street = running(light(40), 7)
    street.until(MIDNIGHT + 10 * HOUR + 300)
    street.now = MIDNIGHT + 10 * HOUR + 400
    good = street.reading

    def bad(now):
        raise FAULT

    street.reading = bad
    street.wake()
    street.reading = good
    street.sleep()
    street.until(MIDNIGHT + 13 * HOUR)
    by_hour = {one.window % 24: one.values[0] for _, one in street.sent}
    assert by_hour[10] is SUPPRESSED and by_hour[11] is not SUPPRESSED


def reports(street, end):
    return [one.values for one in street.until(end) if one.port == schema.FILL]


def alarms(street, end):
    """(time, alarm) of what left at once."""
    street.sent.clear()
    street.until(end)
    return [(time, one.values) for time, one in street.sent if one.port == schema.ALARM]


def test_tilt_and_fire_once_are_told_of_that_window():
    street = running(fill(50, 12, 0, 0))
    street.reading = lambda now: Fill(50, 12, 1 if now % 14400 // 3600 == 1 else None, 0)
    assert set(reports(street, MIDNIGHT + 86400)) == {(50, 12, 1, 0, None)}
    street = running(fill(50, 12, 0, 0))
    street.reading = lambda now: Fill(50, 12, 0, 1 if 8 * HOUR <= now - MIDNIGHT < 9 * HOUR + 300 else 0)
    fires = [values[3] for values in reports(street, MIDNIGHT + 86400)]
    assert fires.count(1) == 1 and set(fires) == {0, 1}


def test_an_alarm_leaves_at_once_and_once():
    street = running(fill(50, 12, 0, 0))
    begins = MIDNIGHT + 13 * HOUR
    street.reading = lambda now: Fill(50, 12, int(now >= begins), 0)
    ((time, values),) = alarms(street, MIDNIGHT + 5 * 86400)
    assert begins <= time < begins + HOUR and values == (2, 0)
    # It stood up again, and fell again: that is told again, once the window in between has gone by.
    again = begins + 6 * 86400
    street.reading = lambda now: Fill(50, 12, int(now >= again), int(now >= again))
    assert [values for _, values in alarms(street, MIDNIGHT + 8 * 86400)] == [(2, 0), (2, 1)]


def test_an_alarm_between_two_readings_of_a_slot_leaves_too():
    street = running(fill(50, 12, 0, 0))
    street.wake()
    street.now += 1
    read = street.gate._read
    street.reading = lambda now: Fill(50, 12, 1, 0)
    assert [one.values for one in street.wake() if one.port == schema.ALARM] == [(2, 0)]
    assert street.gate._read == read


def test_a_storm_of_alarms_is_one_a_window_at_most():
    street = running(fill(50, 12, 0, 0))
    flaps = [0]

    def reading(now):
        flaps[0] ^= 1
        return Fill(50, 12, flaps[0], 0)

    street.reading = reading
    for _ in range(400):
        street.wake()
        street.now = min(street.now + 60, street.gate.next_wake(street.now))
    told = [one for _, one in street.sent if one.port == schema.ALARM]
    assert len(told) == 1


def test_an_alarm_is_not_told_by_what_is_no_container():
    for street in (zone(1, 1, 1, 1), light(50, lamp=(1, 100, 40))):
        street.until(MIDNIGHT + 86400)
        assert schema.ALARM not in {one.port for _, one in street.sent}


def test_an_alarm_leaves_without_a_level():
    street = running(fill(None, 12, 1, 0))
    released = [one for one in street.until(MIDNIGHT + 86400) if one.port == schema.FILL]
    assert {one.values for one in released} == {(None, 12, 1, 0, None)}
    assert codec.decode(94, codec.encode(*released[0])).values == (None, 12, 1, 0, None)


def test_an_emptying_is_told_in_windows():
    street = running(fill(5, 12, 0, 0))
    emptied = street.now // 14400 * 14400 + 4 * 14400 + 2 * HOUR
    street.reading = lambda now: Fill(5, 12, 0, 0, emptied if now > emptied + HOUR else None)
    told = [values[4] for values in reports(street, emptied + 4 * 14400)]
    assert told[-4:] == [0, 1, 2, 3] and set(told[:-4]) == {None}
    # Whatever the second was within its window, the bytes are the same.
    for late in (1, 1799, 7199):
        other = running(fill(5, 12, 0, 0))
        other.reading = lambda now, at=emptied + late: Fill(5, 12, 0, 0, at if now > emptied + HOUR else None)
        assert [values[4] for values in reports(other, emptied + 4 * 14400)] == told


def test_an_emptying_that_nobody_can_date_is_held_to_the_field():
    for emptied, said in ((MIDNIGHT + 99 * 86400, 0), (MIDNIGHT - 99 * 86400, schema.OVERFLOW), (None, None)):
        street = running(fill(5, 12, 0, 0))
        street.reading = lambda now, at=emptied: Fill(5, 12, 0, 0, at)
        released = [one for one in street.until(MIDNIGHT + 3 * 86400) if one.port == schema.FILL]
        assert len(released) > 6
        for one in released:
            assert codec.decode(one.port, codec.encode(*one)).values[4] == said


def test_fill_is_the_median_in_steps_of_five():
    levels = {0: 71, 1: 3, 2: 74, 3: 72}
    street = Street("fill", "fill", lambda now: Fill(levels[now % 14400 // 3600], None, None, None))
    running(street)
    assert {one.values for one in street.until(MIDNIGHT + 86400)} == {(70, None, None, None, None)}
    for level, step in (
        (0, 0),
        (2, 0),
        (3, 5),
        (52, 50),
        (53, 55),
        (98, 100),
        (100, 100),
        (130, 100),
        (-9, 0),
    ):
        street = running(fill(level, -12))
        assert {one.values for one in street.until(MIDNIGHT + 86400)} == {(step, -12, None, None, None)}


def test_a_lamp_that_follows_people_says_only_that_it_fails():
    for state, said in ((1, None), (2, None), (4, 4)):
        street = running(light(50, lamp=(state, 30, 11), dimmer="pwm"), 10)
        assert {one.values[2:] for one in street.until(MIDNIGHT + 20 * HOUR)} == {(said, None, None)}


def test_the_energy_of_a_window_withheld_is_told_by_the_next():
    street = running(light(50, lamp=(1, 100, 11)), 9)
    street.until(MIDNIGHT + 12 * HOUR + 300)
    broken = street.gate._drawn
    street.gate._drawn = False  # as where the generator failed
    street.memory = street.gate.state()
    street.until(MIDNIGHT + 16 * HOUR + 300)
    energies = {one.window % 24: one.values[4] for _, one in street.sent}
    assert broken and (energies[11], energies[12], energies[13], energies[14]) == (11, None, 22, 11)


def test_every_release_can_be_encoded():
    streets = (zone(1, 0, 1, None), fill(), light(), Street("parking", "bay", cars(1), bays=1))
    for street in streets + (Street("parking", "live", cars(1, None), bays=2),):
        street.until(MIDNIGHT + 86400)
        for _, one in street.sent:
            frame = codec.decode(one.port, codec.encode(one.port, one.window, one.values))
            assert frame.values[: len(one.values)] == one.values


# What is not


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


# Once, and paid


def test_no_window_leaves_twice_whatever_operation_loses_its_power():
    for cut in range(30):
        street = running(zone(1, 1, 1, 1))
        street.store.cut_after = cut
        cuts = 0
        while street.now < MIDNIGHT + 10 * 900:
            try:
                street.wake()
                street.sleep()
            except PowerCut:
                cuts += 1
                street.power_off(1)
        windows = [one.window for _, one in street.sent]
        assert cuts == (cut < 28) and windows == sorted(set(windows)) and len(windows) >= 6, (cut, windows)


def test_a_release_is_paid_before_it_is_handed_out():
    street = running(zone(1, 1, 1, 1))
    while not street.sent:
        street.wake()
        street.sleep()
    start = street.sent[0][1].window * 900
    slots = [street.store.durable["ledger%d" % slot][:4] for slot in (0, 1)]
    assert start.to_bytes(4, "little") in slots


def test_what_cannot_be_paid_is_not_handed_out():
    street = running(zone(1, 1, 1, 1))

    def fail():
        raise StorageError("worn out")

    street.store.commit = fail
    assert street.until(MIDNIGHT + 2 * HOUR) == []


def test_forgetting_a_wake_after_its_release_does_not_repeat_it():
    # The wake crashed after sending, before its memory was kept: the next one begins with the old memory.
    street = running(zone(1, 1, 1, 1))
    street.until(MIDNIGHT + 4 * 900 - 1)
    old, count = street.memory, len(street.sent)
    street.until(MIDNIGHT + 4 * 900 + 240)
    assert len(street.sent) == count + 1
    street.memory = old
    street.wake()
    assert len(street.sent) == count + 1


# Memory


def test_waking_from_memory_is_the_same_as_staying_awake():
    for make in (lambda: zone(1, 0, 1, None), lambda: light(40), lambda: fill(33)):
        asleep, awake = make(), make()
        asleep.until(MIDNIGHT + 86400)
        gate = None
        while awake.now < MIDNIGHT + 86400:
            drbg = Drbg(awake.entropy, awake.store)
            if gate is None:
                gate = Gate(awake.row, awake.settings, drbg, Ledger(awake.store), None, awake.now)
            gate._drbg = drbg  # as after deep sleep: each wake begins from the saved seed
            awake.sent.extend((awake.now, one) for one in gate.add(awake.reading(awake.now), awake.now))
            if drbg.due(awake.now):
                drbg.reseed(awake.now)
            gate.prepare()
            awake.now = gate.next_wake(awake.now)
        assert asleep.sent == awake.sent


def test_memory_is_small():
    streets = (zone(*(1,) * 8), light(900), fill(), Street("parking", "bay", cars(*(None,) * 8), bays=8))
    for street in streets:
        most = 0
        while street.now < MIDNIGHT + 2 * 86400:
            street.wake()
            most = max(most, len(street.memory))
            street.sleep()
        assert most < 800, (street.row.profile, most)


def test_history_is_what_was_released_newest_first():
    street = running(zone(1, 0, 1, 1))
    released = street.until(MIDNIGHT + 15 * 900)
    last = released[-1]
    history = street.past.history(last.port, last.window)
    assert history == [one.values for one in released[-2:-9:-1]]
    assert street.past.history(schema.BAY, last.window) == []


def test_history_keeps_its_place_over_windows_without_a_release():
    street = running(light(40), 7)
    street.until(MIDNIGHT + 86400 + 7 * HOUR + 300)
    morning = street.sent[-1][1]
    assert morning.window % 24 == 6
    history = street.past.history(schema.LIGHT, morning.window)
    assert history[:7] == [None] * 7 and len(history) == 14
    assert history[7] == street.sent[-2][1].values  # the night
    assert street.past.history(schema.LIGHT, morning.window + 1000) == []


# Live


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
