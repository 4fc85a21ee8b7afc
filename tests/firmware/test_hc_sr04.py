from bus import FakeEcho
from clock import FakeClock
from silicon import Misuse
from silicon.hc_sr04 import HCSR04 as Silicon
from support import raises

from borne_node.chips.hc_sr04 import HCSR04
from borne_node.errors import SensorFault


def ranger(distance):
    clock = FakeClock()
    silicon = Silicon(distance if callable(distance) else lambda t: distance)
    driver = HCSR04(FakeEcho(silicon, clock), clock)
    driver.start()
    return driver, silicon, clock


def fault_of(driver):
    with raises(SensorFault) as caught:
        driver.ping()
    assert caught.value.name == "HC-SR04"
    return caught.value.reason


def test_the_pulse_of_the_user_guide_is_a_metre():
    # Centimetres are microseconds over 58; the guide's 58 is the air's of 19 degrees or so.
    clock = FakeClock()
    driver = HCSR04(lambda trigger_us, limit_us: 5800, clock)
    assert abs(driver.ping() - 1000) <= 5


def test_distances_follow_the_sensor():
    for distance in (25, 100, 800, 2345, 3980):
        driver, _, _ = ranger(distance)
        for _ in range(5):
            assert abs(driver.ping() - distance) <= 6


def test_each_ping_measures_anew():
    there = [500]
    driver, _, _ = ranger(lambda t: there[0])
    assert abs(driver.ping() - 500) <= 6
    there[0] = 1500
    assert abs(driver.ping() - 1500) <= 6


def test_no_echo_is_out_of_range_and_the_next_one_counts():
    there = [None]
    driver, _, _ = ranger(lambda t: there[0])
    assert fault_of(driver) == "out of range"
    there[0] = 4300
    assert fault_of(driver) == "out of range"
    there[0] = 1000
    assert abs(driver.ping() - 1000) <= 6


def test_a_pin_that_never_moves_is_named():
    driver, silicon, clock = ranger(1000)
    for mode, reason in (("silent", "no answer"), ("stuck", "stuck")):
        silicon.fail(mode)
        before = clock.slept_ms
        assert fault_of(driver) == reason
        assert clock.slept_ms - before < 250
    silicon.fail(None)
    assert abs(driver.ping() - 1000) <= 6


def test_cold_air_makes_it_seem_farther():
    driver, silicon, _ = ranger(1000)
    silicon.celsius = -15
    assert abs(driver.ping() - 1066) <= 8


def test_the_simulated_chip_refuses_what_the_guide_forbids():
    silicon = Silicon(lambda t: 1000)
    silicon.trigger(1, 0)
    with raises(Misuse):
        silicon.trigger(0, 9)
    silicon = Silicon(lambda t: 1000)
    silicon.trigger(1, 0)
    silicon.trigger(0, 10)
    silicon.trigger(1, 40_000)
    with raises(Misuse):
        silicon.trigger(0, 40_010)
    with raises(Misuse):
        silicon.level(5)
