"""Each window leaves once and is paid for, whenever the power goes; what the gate remembers."""

from gated import HOUR, MIDNIGHT, Street, cars, fill, light, running, zone
from store import PowerCut

from borne_node.errors import StorageError
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report import schema


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
