from bus import FakeBoard, FakeI2C, FakePin
from clock import FakeClock
from silicon.a02yyuw import A02YYUW
from silicon.lis3dh import LIS3DH
from store import FakeStore
from support import raises

from borne_node import sense
from borne_node.errors import SensorFault

# Mounted askew: which axis is up, nobody has to know.
UPRIGHT = (0.1, -0.99, 0.1)
LEANS = (0.5, -0.86, 0.1)  # 25 degrees further
LIES = (0.99, 0.05, 0.1)


class Bin:
    """A container with an LIS3DH on it, read hourly over deep sleeps."""

    def __init__(self, gravity=UPRIGHT, nvs=None, **settings):
        self.clock = FakeClock()
        self.gravity, self.celsius, self.distance = gravity, 17, 700
        self.chip = LIS3DH(lambda t: self.gravity)
        self.ranger = A02YYUW(lambda t: self.distance)
        self.ranger.celsius = 17
        self.nvs = nvs or FakeStore()
        self.settings = {
            "kind": "fill",
            "depth_mm": 1200,
            "offset_mm": 100,
            "tilt": "lis3dh",
            "name": "b",
            "slot": "a",
        }
        self.settings.update(settings)
        self.state = None

    def hour(self, after_s=3600, woken=False):
        self.clock.sleep_ms(after_s * 1000)
        pin = FakePin(self.chip, self.clock)
        board = FakeBoard(self.clock, FakeI2C([self.chip], self.clock), self.ranger, pin, woken, nvs=self.nvs)
        board.temperature = lambda: self.celsius
        self.fill = sense.build(self.settings, board, self.state)
        try:
            return self.fill.read(self.clock.now())
        finally:
            self.state = self.fill.state()


def test_a_container_that_stands():
    reading = Bin().hour()
    assert (reading.tilt, reading.fire) == (0, 0)
    assert abs(reading.level - 50) <= 1


def test_a_container_that_lies_is_told_at_the_second_reading():
    street = Bin()
    street.hour()
    street.gravity = LIES
    assert [street.hour().tilt for _ in range(3)] == [0, 1, 1]
    street.gravity = UPRIGHT
    assert street.hour().tilt == 0


def test_a_kerb_and_an_open_lid_are_no_alarm():
    street = Bin()
    street.hour()
    street.gravity = LEANS
    assert [street.hour().tilt for _ in range(4)] == [0] * 4
    for _ in range(3):
        street.gravity = LIES
        assert street.hour().tilt == 0
        street.gravity = UPRIGHT
        assert street.hour().tilt == 0


def test_while_it_is_shaken_nothing_is_known():
    street = Bin()
    street.gravity = (0.0, -1.6, 0.4)
    assert street.hour().tilt is None  # not learned from that either
    street.gravity = UPRIGHT
    assert street.hour().tilt == 0
    street.gravity = (0.0, -0.3, 0.0)
    assert street.hour().tilt is None


def test_it_says_that_it_lies_although_the_ranger_finds_nothing():
    street = Bin()
    street.hour()
    street.gravity, street.distance = LIES, None
    with raises(SensorFault):
        street.hour()
    reading = street.hour()
    assert (reading.level, reading.tilt) == (None, 1)
    assert street.fill.faults[0].reason == "out of range"


def test_a_battery_that_failed_while_it_lay():
    street = Bin()
    street.hour()
    again = Bin(LIES, nvs=street.nvs.reboot())
    assert [again.hour().tilt for _ in range(2)] == [0, 1]
    # A node that is provisioned anew learns anew.
    moved = Bin(LIES, nvs=street.nvs.reboot(), slot="b")
    assert [moved.hour().tilt for _ in range(3)] == [0, 0, 0]
    assert street.nvs.commits >= 1


def test_fire_is_hot_or_grows_hot():
    street = Bin()
    for celsius, fire in ((17, 0), (36, 0), (55, 0), (69, 0), (70, 1), (71, 1), (40, 0), (60, 1), (61, 0)):
        street.celsius = celsius
        assert street.hour().fire == fire, celsius
    # Over a long silence a rise tells nothing.
    street.celsius = 20
    street.hour()
    street.celsius = 45
    assert street.hour(after_s=4 * 3600).fire == 0


def test_cold_and_no_thermometer():
    street = Bin()
    street.celsius = -30
    assert street.hour().fire == 0
    street.celsius = None
    assert street.hour().fire is None
    street.celsius = 17
    assert street.hour().fire == 0


def test_a_broken_accelerometer_leaves_the_level_alone():
    street = Bin()
    street.hour()
    street.chip.fail("silent")
    reading = street.hour()
    assert reading.tilt is None and reading.level is not None
    assert street.fill.faults[1].reason == "no answer"


def test_without_an_accelerometer_tilt_is_unknown():
    assert Bin(tilt="none").hour().tilt is None


def test_a_container_that_stands_is_watched_between_readings():
    street = Bin()
    street.hour()
    pin = street.fill.wake_pin
    assert pin is not None and pin.value() == 0 and pin.next_edge() is None
    street.gravity = LIES
    rise_us = pin.next_edge()
    assert 25 <= (rise_us - street.clock.physics_us()) // 1_000_000 <= 35
    # The wake that it causes says so at once, and does not watch again: no storm.
    assert street.hour(32, woken=True).tilt == 1
    assert street.fill.wake_pin is None and street.chip.next_edge(street.clock.physics_us()) is None


def test_after_a_false_wake_it_is_watched_again_at_the_next_reading_by_the_clock():
    street = Bin()
    street.hour()
    street.gravity = LIES
    street.clock.sleep_ms(35_000)
    street.gravity = UPRIGHT
    assert street.hour(1, woken=True).tilt == 0
    assert street.fill.wake_pin is None
    assert street.hour().tilt == 0
    assert street.fill.wake_pin is not None


def test_a_container_that_lies_is_not_watched_until_it_stands():
    street = Bin()
    street.hour()
    street.gravity = LIES
    street.hour()
    street.hour()
    assert street.fill.wake_pin is None
    street.gravity = UPRIGHT
    street.hour()
    assert street.fill.wake_pin is not None


def test_a_board_without_the_pin_waits_for_the_clock():
    street = Bin()
    board = FakeBoard(street.clock, FakeI2C([street.chip], street.clock), street.ranger)
    fill = sense.build(street.settings, board, None)
    assert fill.read(street.clock.now()).tilt == 0
    assert fill.wake_pin is None
