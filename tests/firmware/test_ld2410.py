from bus import FakeUart
from clock import FakeClock
from silicon import Misuse
from silicon.ld2410 import LD2410 as Silicon
from support import raises

from borne_node.chips.ld2410 import LD2410
from borne_node.errors import SensorFault

# The example of the protocol's section 2.3.2 (basic mode): a target at rest, 0 cm away.
EXAMPLE = b"\xf4\xf3\xf2\xf1\x0d\x00\x02\xaa\x02\x51\x00\x00\x00\x00\x3b\x00\x00\x55\x00\xf8\xf7\xf6\xf5"


class Line:
    baudrate = 256000

    def __init__(self, data):
        self._data = data
        self._asked = 0

    def output(self, now_us):
        # The first look finds nothing: it is the one that throws away what is old.
        self._asked += 1
        if self._asked == 1:
            return b""
        data, self._data = self._data, b""
        return data


def radar(device, **uart):
    clock = FakeClock()
    uart.setdefault("baudrate", 256000)
    return LD2410(FakeUart(device, clock, **uart), clock), clock


def fault_of(driver):
    with raises(SensorFault) as caught:
        driver.read()
    assert caught.value.name == "LD2410"
    return caught.value.reason


def test_the_frame_of_the_protocol():
    driver, _ = radar(Line(EXAMPLE))
    assert driver.read() == (None, 0)


def test_targets_follow_the_radar():
    for moving, still in ((None, None), (150, None), (None, 320), (75, 600)):
        driver, _ = radar(Silicon(lambda t, found=(moving, still): found))
        expected = tuple(None if one is None else one * 10 for one in (moving, still))
        assert driver.read() == expected
        assert driver.read() == expected


def test_it_falls_into_step_in_the_middle_of_a_frame():
    for noise in (EXAMPLE[7:], b"\xf4", b"\xf4\xf3\xf4\xf3\xf2", b"\xf4\xf3\xf2"):
        driver, _ = radar(Line(noise + EXAMPLE))
        assert driver.read() == (None, 0)


def test_silence_and_damage_are_named_within_the_limit():
    silicon = Silicon(lambda t: (100, None))
    driver, clock = radar(silicon)
    for mode, reason in (("silent", "no answer"), ("checksum", "bad checksum")):
        silicon.fail(mode)
        before = clock.slept_ms
        assert fault_of(driver) == reason
        assert clock.slept_ms - before < 450
    silicon.fail(None)
    assert driver.read() == (1000, None)


def test_the_wrong_speed_is_no_frame():
    driver, _ = radar(Silicon(lambda t: (100, None)), baudrate=115200)
    assert fault_of(driver) == "bad checksum"


def test_commands_are_refused():
    with raises(Misuse):
        Silicon(lambda t: (None, None)).feed(b"\xfd\xfc\xfb\xfa", 0)
