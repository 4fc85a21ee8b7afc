from bus import FakeUart
from clock import FakeClock
from silicon import Misuse
from silicon.mb7389 import MB7389 as Silicon
from support import raises

from borne_node.chips.mb7389 import MB7389
from borne_node.errors import SensorFault


class Line:
    """A sensor that sends what the test wrote down, all at once."""

    baudrate = 9600

    def __init__(self, data):
        self._data = data

    def output(self, now_us):
        data, self._data = self._data, b""
        return data


def ranger(device, **uart):
    clock = FakeClock()
    driver = MB7389(FakeUart(device, clock, **uart), clock)
    return driver, clock


def fault_of(driver):
    with raises(SensorFault) as caught:
        driver.ping()
    assert caught.value.name == "MB7389"
    return caught.value.reason


def test_the_reading_of_the_datasheet():
    driver, _ = ranger(Line(b"R1234\r"))
    assert driver.poll() == 1234


def test_distances_follow_the_sensor():
    for distance in (310, 999, 1000, 2345, 4990):
        driver, _ = ranger(Silicon(lambda t, distance=distance: distance))
        driver.start()
        for _ in range(3):
            assert abs(driver.ping() - distance) <= 4


def test_it_falls_into_step_in_the_middle_of_a_reading():
    for noise in (b"234\r", b"R12", b"R12345\r", b"R12 4\r", b"\r\r", b"RR1", b"R\r"):
        driver, _ = ranger(Line(noise + b"R0987\r"))
        assert driver.poll() == 987


def test_the_ends_of_the_scale_are_no_distances():
    for distance in (100, 299, None, 6000):
        driver, _ = ranger(Silicon(lambda t, distance=distance: distance))
        driver.start()
        assert fault_of(driver) == "out of range"


def test_failures_are_named_within_the_limit():
    silicon = Silicon(lambda t: 1000)
    driver, clock = ranger(silicon)
    driver.start()
    for mode, reason in (("silent", "no answer"), ("checksum", "bad checksum")):
        silicon.fail(mode)
        before = clock.slept_ms
        assert fault_of(driver) == reason
        assert clock.slept_ms - before < 600
    silicon.fail(None)
    driver.start()
    assert abs(driver.ping() - 1000) <= 4


def test_the_wrong_speed_is_no_reading():
    driver, _ = ranger(Silicon(lambda t: 1000), baudrate=115200)
    driver.start()
    assert fault_of(driver) == "bad checksum"


def test_a_ping_is_fresh_even_after_a_long_pause():
    clock = FakeClock()
    began = clock.now()
    driver = MB7389(FakeUart(Silicon(lambda t: 500 if t < began + 30 else 2000), clock), clock)
    driver.start()
    assert abs(driver.ping() - 500) <= 4
    clock.sleep_ms(31_000)
    driver.start()
    assert abs(driver.ping() - 2000) <= 4


def test_it_takes_no_bytes():
    driver, clock = ranger(Silicon(lambda t: 500))
    with raises(Misuse):
        driver._uart.write(b"R")
