from bus import FakeUart
from clock import FakeClock
from silicon.a02yyuw import A02YYUW as Silicon
from support import raises

from borne_node.chips.a02yyuw import A02YYUW
from borne_node.errors import SensorFault


class Line:
    """A sensor that sends what the test wrote down, the bytes of each item 100 ms apart."""

    baudrate = 9600

    def __init__(self, *frames):
        self._frames = [bytes(frame) for frame in frames]
        self._from_us = None

    def output(self, now_us):
        if self._from_us is None:
            self._from_us = now_us
        if self._frames and now_us - self._from_us >= 100_000:
            self._from_us += 100_000
            return self._frames.pop(0)
        return b""


def ranger(device, **uart):
    clock = FakeClock()
    return A02YYUW(FakeUart(device, clock, **uart), clock), clock


def fault_of(device, **uart):
    driver, _ = ranger(device, **uart)
    driver.start()
    with raises(SensorFault) as caught:
        driver.ping()
    assert caught.value.name == "A02YYUW"
    return caught.value.reason


def test_the_frame_of_the_documentation_is_1953_mm():
    driver, _ = ranger(Line([0xFF, 0x07, 0xA1, 0xA7]))
    driver.start()
    assert driver.ping() == 1953


def test_distances_follow_the_sensor():
    for distance in (31, 255, 256, 511, 1234, 4490):
        driver, _ = ranger(Silicon(lambda t, distance=distance: distance))
        driver.start()
        for _ in range(3):
            assert abs(driver.ping() - distance) <= 4


def test_a_ping_is_fresh_even_after_a_long_pause():
    clock = FakeClock()
    began = clock.now()
    driver = A02YYUW(FakeUart(Silicon(lambda t: 500 if t < began + 30 else 2000), clock), clock)
    driver.start()
    assert abs(driver.ping() - 500) <= 4
    clock.sleep_ms(31_000)
    driver.start()
    assert abs(driver.ping() - 2000) <= 4


def test_it_falls_into_step_in_the_middle_of_a_frame():
    # 0x01FF mm holds a byte that looks like a header; the tail of a frame comes first.
    driver, _ = ranger(Line([0xA1, 0xA7], [0xFF, 0x01, 0xFF, 0xFF]))
    driver.start()
    assert driver.ping() == 511
    for tail in ([0xFF], [0xFF, 0xFF], [0x01, 0xFF, 0xFF]):
        driver, _ = ranger(Line(tail, [0xFF, 0x01, 0xFF, 0xFF], [0xFF, 0x01, 0xFF, 0xFF]))
        driver.start()
        assert driver.ping() == 511


def test_half_a_frame_waits_for_its_other_half():
    driver, clock = ranger(Line([0xFF, 0x07], [0xA1, 0xA7]))
    driver.start()
    clock.sleep_ms(100)
    assert driver.poll() is None
    assert driver.ping() == 1953


def test_one_damaged_frame_is_passed_over():
    driver, _ = ranger(Line([0xFF, 0x07, 0xA1, 0xA6], [0xFF, 0x07, 0xA1, 0xA7]))
    driver.start()
    assert driver.ping() == 1953


def test_a_frame_without_echo_is_out_of_range():
    assert fault_of(Silicon(lambda t: None)) == "out of range"
    assert fault_of(Silicon(lambda t: 20)) == "out of range"
    assert fault_of(Silicon(lambda t: 4600)) == "out of range"
    for code in (
        0xFFFD,
        0xFFFE,
        0x0000,
        29,
        4501,
    ):  # also what other sensors of the family send without an echo
        high, low = code >> 8, code & 0xFF
        assert fault_of(Line([0xFF, high, low, (0xFF + high + low) & 0xFF])) == "out of range"


def test_silence_is_no_answer_within_its_limit():
    device = Silicon(lambda t: 1000)
    device.fail("silent")
    driver, clock = ranger(device)
    driver.start()
    with raises(SensorFault) as caught:
        driver.ping()
    assert caught.value.reason == "no answer"
    assert clock.slept_ms <= 720


def test_damaged_frames_and_a_wrong_baudrate_are_a_bad_checksum():
    device = Silicon(lambda t: 1000)
    device.fail("checksum")
    assert fault_of(device) == "bad checksum"
    assert fault_of(Silicon(lambda t: 1000), baudrate=19200) == "bad checksum"


def test_a_sensor_that_falls_silent_after_damaged_frames_is_silent():
    device = Silicon(lambda t: 1000)
    device.fail("checksum")
    driver, _ = ranger(device)
    driver.start()
    for mode, reason in (("checksum", "bad checksum"), ("silent", "no answer")):
        device.fail(mode)
        with raises(SensorFault) as caught:
            driver.ping()
        assert caught.value.reason == reason


def test_polling_does_not_wait():
    driver, clock = ranger(Silicon(lambda t: 1000))
    driver.start()
    assert driver.poll() is None
    assert clock.slept_ms == 0
    clock.sleep_ms(400)
    assert abs(driver.poll() - 1000) <= 4


def test_a_full_buffer_of_old_frames_is_thrown_away():
    clock = FakeClock()
    driver = A02YYUW(FakeUart(Silicon(lambda t: 1000), clock), clock)
    driver.poll()
    clock.sleep_ms(3_600_000)
    driver.start()
    assert driver.poll() is None
