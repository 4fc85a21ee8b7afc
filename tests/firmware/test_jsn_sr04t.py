from bus import FakeEcho
from clock import FakeClock
from silicon.jsn_sr04t import JSNSR04T as Silicon
from support import raises

from borne_node.chips.jsn_sr04t import JSNSR04T
from borne_node.errors import SensorFault


def ranger(distance):
    clock = FakeClock()
    driver = JSNSR04T(FakeEcho(Silicon(lambda t: distance), clock), clock)
    driver.start()
    return driver


def test_distances_follow_the_sensor():
    for distance in (220, 1000, 4470):
        driver = ranger(distance)
        for _ in range(5):
            assert abs(driver.ping() - distance) <= 18


def test_within_its_blind_zone_it_never_says_where():
    driver = ranger(60)
    for _ in range(20):
        # What comes through is a second or third way there and back: no value below 200 mm, and no value is 60.
        try:
            assert driver.ping() >= 200
        except SensorFault as fault:
            assert (fault.name, fault.reason) == ("JSN-SR04T", "out of range")


def test_its_long_pulse_without_an_echo_is_waited_out():
    driver = ranger(None)
    for _ in range(3):
        with raises(SensorFault) as caught:
            driver.ping()
        assert caught.value.reason == "out of range"
