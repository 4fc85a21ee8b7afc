"""What is released of lamps and containers, through whole wakes."""

from gated import FAULT, HOUR, MIDNIGHT, Fill, Light, Street, cars, fill, light, running, silence, zone

from borne_node.report import codec, schema
from borne_node.report.schema import SUPPRESSED


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
