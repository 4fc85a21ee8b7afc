"""When frames leave, whatever was measured."""

from gated import HOUR, MIDNIGHT, Street, cars, fill, light, running, schedule, zone

from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report.schema import SUPPRESSED


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
