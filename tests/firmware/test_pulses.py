from bus import FakePin
from clock import FakeClock
from silicon.pir import Pir
from support import raises

from borne_node.chips.pulses import Pulses, settle


def scene(*seconds, refractory_s=30, **more):
    clock = FakeClock()
    pir = Pir([clock.now() + s for s in seconds])
    pin = FakePin(pir, clock)
    return clock, pir, pin, Pulses(pin, clock, refractory_s, **more)


def test_interrupts_count_one_trigger_in_a_refractory_time():
    _, _, pin, pulses = scene(5, 10, 20, 36, 100, 129)
    pulses.attach()
    pin.sleep(200_000)
    assert pulses.take() == 3  # at 5, 36 and 100 s
    assert pulses.edges == 6
    assert pulses.take() == 0


def test_polling_counts_the_same():
    clock, _, _, pulses = scene(5, 10, 20, 36, 100, 129)
    for _ in range(200):
        clock.sleep_ms(1000)
        pulses.poll()
    assert pulses.take() == 3


def test_a_level_that_stays_high_is_one_edge():
    clock, _, _, pulses = scene(*range(5, 95))
    for _ in range(100):
        clock.sleep_ms(1000)
        pulses.poll()
    assert pulses.edges == 1


def test_the_refractory_time_outlives_a_sleep():
    clock, _, pin, pulses = scene()
    pulses.trigger()
    assert pulses.take() == 1
    clock.sleep_ms(29_000)
    woken = Pulses(pin, clock, 30, pulses.last)
    woken.trigger()
    assert woken.take() == 0
    clock.sleep_ms(1000)
    woken.trigger()
    assert woken.take() == 1


def test_a_clock_set_back_silences_nothing():
    clock, _, _, pulses = scene()
    pulses.trigger()
    clock.set(clock.now() - 3600)
    pulses.trigger()
    assert pulses.take() == 2


def test_triggers_that_nobody_took_are_carried_over():
    _, _, _, pulses = scene(unread=2)
    pulses.trigger()
    assert pulses.unread() == 3
    assert pulses.take() == 3


def test_settle_waits_for_low_and_gives_up_at_its_limit():
    clock, pir, pin, _ = scene(1)
    clock.sleep_ms(1000)
    assert pin.value() == 1
    assert settle(pin, clock)
    assert pin.value() == 0
    assert 1950 <= clock.slept_ms - 1000 <= 2050
    pir.fail("stuck")
    before = clock.slept_ms
    assert not settle(pin, clock)
    assert clock.slept_ms - before <= 10_050


def test_the_simulated_sensor_stays_high_while_somebody_moves():
    pir = Pir(iter([10, 11, 12.5, 40]))
    assert pir.next_edge(0) == 10_000_000
    assert pir.level(9_999_999) == 0
    assert pir.level(10_000_000) == 1
    assert pir.next_edge(10_000_000) == 14_500_000
    assert pir.level(14_499_999) == 1
    assert pir.level(14_500_000) == 0
    assert pir.next_edge(14_500_000) == 40_000_000
    assert pir.next_edge(50_000_000) is None
    pir.fail("stuck")
    assert pir.level(60_000_000) == 1
    pir.fail("silent")
    assert pir.level(60_000_000) == 0
    assert pir.next_edge(60_000_000) is None
    with raises(ValueError):
        pir.fail("checksum")
