from bus import FakeBoard, FakeI2C
from clock import FakeClock
from silicon.qmc5883l import QMC5883L as Silicon
from silicon.tca9548a import TCA9548A as Switch
from support import raises

from borne_node import sense
from borne_node.errors import SensorFault

EARTH = (21.0, 1.0, 43.0)  # microtesla, western Europe


class Street:
    """`bays` with a field each; `car(bay, dx, dy, dz)` adds to it, microtesla."""

    def __init__(self, bays=1, state=None):
        self.clock = FakeClock()
        self.fields = [list(EARTH) for _ in range(bays)]
        self.magnetometers = [Silicon(self._field(bay), seed=bay + 1) for bay in range(bays)]
        self.switch = Switch([[chip] for chip in self.magnetometers])
        chips = self.magnetometers if bays == 1 else [self.switch]
        self._board = FakeBoard(self.clock, i2c=FakeI2C(chips, self.clock))
        self._settings = {"kind": "parking", "bays": bays}
        self.node(state)

    def _field(self, bay):
        return lambda t: tuple(self.fields[bay])

    def node(self, state=None):
        self.parking = sense.build(self._settings, self._board, state)
        return self.parking

    def wake(self):
        """A deep sleep: only the state goes on."""
        self.clock.sleep_ms(60_000)
        return self.node(self.parking.state()).read(self.clock.now())

    def car(self, bay, *field):
        for axis in range(3):
            self.fields[bay][axis] = EARTH[axis] + (field[axis] if field else 0)


def test_a_car_comes_and_goes():
    street = Street()
    assert street.wake().occupied == (0,)
    street.car(0, 10.0, -12.0, 18.0)
    reading = street.wake()
    assert reading.occupied == (1,)
    assert reading.confidence[0] >= 90
    street.car(0)
    reading = street.wake()
    assert reading.occupied == (0,)
    assert reading.confidence[0] >= 90


def test_a_car_that_only_turns_the_field_is_seen():
    street = Street()
    street.wake()
    street.fields[0] = [-21.0, 1.0, 43.0]  # the same magnitude, another direction
    assert street.wake().occupied == (1,)


def test_between_the_thresholds_the_state_stays():
    street = Street()
    street.wake()
    street.car(0, 6.5, 0.0, 0.0)
    assert street.wake().occupied == (0,)
    street = Street()
    street.wake()
    street.car(0, 9.0, 0.0, 0.0)
    assert street.wake().occupied == (1,)
    street.car(0, 6.5, 0.0, 0.0)
    reading = street.wake()
    assert reading.occupied == (1,)
    assert reading.confidence[0] < 50
    street.car(0, 4.0, 0.0, 0.0)
    assert street.wake().occupied == (0,)


def test_eight_bays_each_their_own():
    street = Street(8)
    assert street.wake().occupied == (0,) * 8
    for bay in (1, 2, 7):
        street.car(bay, 20.0, 5.0, -9.0)
    assert street.wake().occupied == (0, 1, 1, 0, 0, 0, 0, 1)
    assert len(street.parking.state()) == 51
    assert street.parking.faults == (None,) * 8


def test_it_does_not_calibrate_on_a_moving_field():
    street = Street()
    start = street.clock.now()
    street.magnetometers[0].field = lambda t: (21.0 + 20.0 * (t - start - 60), 1.0, 43.0)
    with raises(SensorFault) as caught:
        street.wake()
    assert caught.value.reason == "not calibrated"
    street.magnetometers[0].field = street._field(0)
    assert street.wake().occupied == (0,)
    street.car(0, 0.0, 0.0, 15.0)
    assert street.wake().occupied == (1,)


def test_while_the_field_moves_the_state_stays():
    street = Street()
    street.wake()
    clock = street.clock
    street.magnetometers[0].field = lambda t: (21.0 + 30.0 + 200.0 * (t - clock.now()), 1.0, 43.0)
    reading = street.wake()
    assert reading == ((0,), (0,))
    street.car(0, 30.0, 0.0, 0.0)
    street.magnetometers[0].field = street._field(0)
    assert street.wake().occupied == (1,)


def test_slow_drift_is_followed_while_free():
    street = Street()
    street.wake()
    for minute in range(400):
        street.car(0, minute * 0.05, 0.0, 0.0)  # 20 microtesla in the end
        assert street.wake().occupied == (0,)
    street.car(0, 20.0 + 9.5, 0.0, 0.0)
    assert street.wake().occupied == (1,)


def test_a_parked_car_is_not_followed():
    street = Street()
    street.wake()
    street.car(0, 9.0, 0.0, 0.0)
    for _ in range(200):
        assert street.wake().occupied == (1,)
    street.car(0)
    assert street.wake().occupied == (0,)


def test_a_bay_that_fails_leaves_the_others_alone():
    street = Street(4)
    street.wake()
    street.car(0, 0.0, 20.0, 0.0)
    street.car(2, 0.0, 20.0, 0.0)
    street.magnetometers[1].fail("silent")
    reading = street.wake()
    assert reading.occupied == (1, None, 1, 0)
    assert reading.confidence[1] == 0
    assert [fault and fault.reason for fault in street.parking.faults] == [None, "no answer", None, None]
    street.magnetometers[1].fail(None)
    assert street.wake().occupied == (1, 0, 1, 0)
    assert street.parking.faults == (None,) * 4


def test_what_was_known_of_a_failed_bay_is_kept():
    street = Street(2)
    street.wake()
    street.car(1, 0.0, 20.0, 0.0)
    assert street.wake().occupied == (0, 1)
    street.magnetometers[1].fail("silent")
    assert street.wake().occupied == (0, None)
    street.magnetometers[1].fail(None)
    assert street.wake().occupied == (0, 1)


def test_a_magnetometer_that_repeats_itself_is_stuck():
    street = Street(2)
    street.wake()
    street.magnetometers[0].fail("stuck")
    assert street.wake().occupied == (None, 0)
    assert street.parking.faults[0].reason == "stuck"


def test_a_failed_switch_fails_all_bays():
    street = Street(3)
    street.wake()
    street.switch.fail("silent")
    with raises(SensorFault) as caught:
        street.wake()
    assert (caught.value.name, caught.value.reason) == ("TCA9548A", "no answer")
    street.switch.fail(None)
    assert street.wake().occupied == (0, 0, 0)


def test_a_field_beyond_the_range_is_out_of_range():
    street = Street()
    street.wake()
    street.car(0, 1300.0, 0.0, 0.0)
    with raises(SensorFault) as caught:
        street.wake()
    assert caught.value.reason == "out of range"


def test_a_field_at_the_end_of_the_range_is_still_measured():
    street = Street()
    street.wake()
    street.car(0, 700.0, -700.0, 700.0)
    assert street.wake() == ((1,), (100,))


def test_a_foreign_state_means_to_calibrate_anew():
    street = Street(2)
    street.wake()
    good = street.parking.state()
    for state in (None, b"", good[:-1], good + good[-6:], b"\x07" + good[1:]):
        fresh = Street(2)
        fresh.car(0, 30.0, 0.0, 0.0)
        assert fresh.node(state).read(0).occupied == (0, 0)  # taken for empty: it was calibrated here
    fresh = Street(2)
    fresh.car(0, 30.0, 0.0, 0.0)
    assert fresh.node(good).read(0).occupied == (1, 0)


def test_no_sample_outlives_the_reading():
    street = Street()
    street.wake()
    street.car(0, 10.0, -12.0, 18.0)
    before = street.parking.state()
    street.wake()
    parking = street.parking
    for buffer in (parking._sample, parking._total, parking._low, parking._high):
        assert list(buffer) == [0, 0, 0]
    # The state has one more bit set and nothing of the car's field.
    assert parking.state()[3:] == before[3:]


def test_the_magnetometers_rest_after_the_reading():
    street = Street(2)
    street.wake()
    for chip in street.magnetometers:
        assert chip._registers[0x09] == 0
