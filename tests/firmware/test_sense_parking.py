import struct

from bus import FakeBoard, FakeI2C
from clock import FakeClock
from silicon.mmc5603 import MMC5603
from silicon.qmc5883l import QMC5883L as Silicon
from silicon.tca9548a import TCA9548A as Switch
from store import FakeStore
from support import raises

from borne_node import sense
from borne_node.errors import SensorFault

EARTH = (21.0, 1.0, 43.0)  # microtesla, western Europe


class Street:
    """`bays` with a field each; `car(bay, dx, dy, dz)` adds to it, microtesla. `nvs` outlives a power cut."""

    def __init__(self, bays=1, state=None, nvs=None, sensor="qmc5883l", chip=Silicon, **settings):
        self.clock = FakeClock()
        self.nvs = nvs or FakeStore()
        self.fields = [list(EARTH) for _ in range(bays)]
        self.magnetometers = [chip(self._field(bay), seed=bay + 1) for bay in range(bays)]
        self.switch = Switch([[chip] for chip in self.magnetometers])
        chips = self.magnetometers if bays == 1 else [self.switch]
        self._board = FakeBoard(self.clock, i2c=FakeI2C(chips, self.clock), nvs=self.nvs)
        self._settings = {"kind": "parking", "bays": bays, "sensor": sensor, "name": "p", "slot": "a"}
        self._settings.update(settings)
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

    def learned(self):
        """The same street after a car was in each bay once."""
        for field in ((), (12.0, -15.0, 30.0), ()):
            for bay in range(len(self.fields)):
                self.car(bay, *field)
            self.wake()
        return self

    def car(self, bay, *field):
        for axis in range(3):
            self.fields[bay][axis] = EARTH[axis] + (field[axis] if field else 0)


def test_a_car_comes_and_goes():
    street = Street()
    assert street.wake().occupied == (0,)
    street.car(0, 10.0, -12.0, 18.0)
    assert street.wake().occupied == (1,)
    street.car(0)
    # Where the bay is not learned, what lies just beside the mark has to be found again.
    street.wake()
    reading = street.wake()
    assert reading == ((0,), (100,))
    street.car(0, 10.0, -12.0, 18.0)
    reading = street.wake()
    assert reading.occupied == (1,)
    assert reading.confidence[0] >= 50


def test_a_car_that_only_turns_the_field_is_seen():
    street = Street().learned()
    street.fields[0] = [-21.0, 1.0, 43.0]  # the same magnitude, another direction
    assert street.wake().occupied == (1,)
    fresh = Street()
    fresh.wake()
    fresh.fields[0] = [-21.0, 1.0, 43.0]
    assert fresh.wake().occupied == (1,)


def test_a_car_that_stood_there_at_the_start():
    street = Street()
    street.car(0, 12.0, -15.0, -30.0)
    reading = street.wake()
    assert reading.occupied == (1,)
    assert reading.confidence[0] <= 50
    street.car(0)
    assert street.wake().occupied == (0,)
    street.car(0, 5.0, 25.0, -20.0)
    assert street.wake().occupied == (1,)
    street.car(0)
    # The second time the bay is empty, it is known to be.
    assert street.wake() == ((0,), (100,))
    assert street.parking._baseline.firm == 1


def test_iron_beside_the_sensor_does_not_keep_it_from_learning():
    """A battery's 40 microtesla: the strength says nothing, only that the empty bay comes back."""
    street = Street()
    street.magnetometers[0].field = lambda t: tuple(one + 40.0 for one in street.fields[0])
    for field in ((12.0, -15.0, -30.0), (), (5.0, 25.0, -20.0), (), (30.0, 0.0, -9.0)):
        street.car(0, *field)
        street.wake()
    assert street.parking._baseline.firm == 1
    assert street.wake().occupied == (1,)
    street.car(0)
    assert street.wake().occupied == (0,)


def test_between_the_thresholds_the_state_stays():
    street = Street().learned()
    street.car(0, 6.5, 0.0, 0.0)
    assert street.wake().occupied == (0,)
    street = Street().learned()
    street.car(0, 9.5, 0.0, 0.0)
    assert street.wake() == ((0,), (0,))  # it may be a tram
    assert street.wake().occupied == (1,)
    street.car(0, 6.5, 0.0, 0.0)
    reading = street.wake()
    assert reading.occupied == (1,)
    assert reading.confidence[0] < 50
    street.car(0, 4.0, 0.0, 0.0)
    assert street.wake().occupied == (0,)


def test_what_is_gone_at_the_next_reading_was_no_car():
    street = Street().learned()
    for _ in range(3):
        street.car(0, 0.0, 12.0, 0.0)
        assert street.wake().occupied == (0,)
        street.car(0)
        assert street.wake().occupied == (0,)


def test_a_bay_whose_iron_was_magnetised_under_a_car_is_free_when_it_left():
    street = Street().learned()
    street.car(0, 40.0, -20.0, 30.0)
    assert street.wake().occupied == (1,)
    street.car(0, 0.0, 10.0, 0.0)
    for _ in range(60):
        assert street.wake().occupied == (0,)
    street.car(0, 0.0, 40.0, 0.0)
    assert street.wake().occupied == (1,)


def test_a_bay_that_is_never_free_is_learned_anew():
    street = Street().learned()
    street.car(0, 0.0, 20.0, 20.0)  # no car: a beam was laid
    for _ in range(6):
        street.clock.sleep_ms(86_400_000)
        assert street.wake().occupied == (1,)
    assert street.parking._baseline.firm == 0
    for field in ((30.0, 20.0, 60.0), (0.0, 20.0, 20.0), (-20.0, 60.0, 20.0), (0.0, 20.0, 20.0)):
        street.car(0, *field)
        reading = street.wake()
    assert reading.occupied == (0,)
    assert reading.confidence[0] > 90


def test_a_car_that_stays_for_weeks_is_not_forgotten():
    street = Street().learned()
    street.car(0, 12.0, -15.0, 30.0)
    for _ in range(20):
        street.clock.sleep_ms(86_400_000)
        assert street.wake().occupied == (1,)
    street.car(0)
    assert street.wake().occupied == (0,)


def test_what_free_bays_feel_together_is_a_tram():
    street = Street(5).learned()
    for turn in range(4):
        for bay in range(5):
            street.car(bay, *((0.0, 14.0 + bay / 4, 6.0) if turn % 2 == 0 else ()))
        if turn > 1:
            street.car(3, 20.0, 20.0, 30.0)
        assert street.wake().occupied == (0, 0, 0, 1 if turn > 1 else 0, 0)


def test_eight_bays_each_their_own():
    street = Street(8)
    assert street.wake().occupied == (0,) * 8
    for bay in (1, 2, 7):
        street.car(bay, 20.0, 5.0, 20.0)
    assert street.wake().occupied == (0, 1, 1, 0, 0, 0, 0, 1)
    assert len(street.parking.state()) == 80
    assert street.parking.faults == (None,) * 8


def test_it_does_not_begin_with_a_moving_field():
    street = Street()
    start = street.clock.now()
    street.magnetometers[0].field = lambda t: (21.0 + 20.0 * (t - start - 60), 1.0, 43.0)
    with raises(SensorFault) as caught:
        street.wake()
    assert caught.value.reason == "not calibrated"
    street.magnetometers[0].field = street._field(0)
    assert street.wake().occupied == (0,)
    street.car(0, 0.0, 0.0, 17.0)
    assert street.wake().occupied == (1,)


def test_a_power_cut_does_not_learn_on_a_parked_car():
    street = Street(2).learned()
    street.car(1, 15.0, 10.0, -20.0)
    assert street.wake().occupied == (0, 1)
    again = Street(2, nvs=street.nvs.reboot())
    again.car(1, 15.0, 10.0, -20.0)
    reading = again.wake()
    assert reading.occupied == (0, 1)
    assert min(reading.confidence) > 50
    again.car(1)
    assert again.wake().occupied == (0, 0)


def test_a_node_provisioned_anew_learns_anew():
    street = Street().learned()
    for changes in ({"slot": "b"}, {"name": "q"}, {"sensor": "mmc5603", "chip": MMC5603}):
        again = Street(nvs=street.nvs.reboot(), **changes)
        again.wake()
        assert again.parking._baseline.firm == 0
    assert Street(nvs=street.nvs).node()._baseline.firm == 1


def test_the_flash_is_written_when_a_bay_is_learned_and_daily():
    street = Street(2).learned()
    assert street.nvs.commits == 1
    for bay in (0, 1, 0):
        street.car(bay, 20.0, 20.0, 20.0)
        street.wake()
        street.car(bay)
        street.wake()
    assert street.nvs.commits == 1
    for _ in range(5):
        street.clock.sleep_ms(86_400_000)
        street.wake()
    assert street.nvs.commits == 6


def test_the_flash_never_tells_what_is_occupied():
    records = []
    for field in ((), (20.0, -30.0, 10.0)):
        street = Street(2).learned()
        street.car(0, *field)
        street.clock.sleep_ms(86_400_000)
        street.wake()
        records.append(street.nvs.durable["bays"])
    # What differs is how far the free bay's field followed, a few of the last bits.
    assert len(records[0]) == len(records[1]) == 21
    assert records[0][:5] == records[1][:5]


def test_a_record_that_is_cut_or_foreign_is_none():
    street = Street().learned()
    good = street.nvs.durable["bays"]
    for bad in (good[:-1], good[:5] + b"\xff" + good[6:], b"", Street(2).learned().nvs.durable["bays"]):
        store = FakeStore()
        store.durable["bays"] = bad
        again = Street(nvs=store)
        assert again.wake().occupied == (0,)
        assert again.parking._baseline.firm == 0


def test_a_magnet_leaves_an_mmc5603_as_it_was():
    street = Street(sensor="mmc5603", chip=MMC5603).learned()
    street.magnetometers[0].expose((5000.0, 0.0, 0.0))
    assert street.wake().occupied == (0,)
    street.car(0, 20.0, 0.0, 0.0)
    assert street.wake().occupied == (1,)
    street.magnetometers[0].celsius = -15
    street.car(0)
    assert street.wake().occupied == (0,)


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
    street = Street().learned()
    for minute in range(400):
        street.car(0, minute * 0.05, 0.0, 0.0)  # 20 microtesla in the end
        assert street.wake().occupied == (0,)
    street.car(0, 20.0 + 17.0, 0.0, 0.0)
    assert street.wake().occupied == (1,)


def test_a_parked_car_is_not_followed():
    street = Street().learned()
    street.car(0, 9.5, 0.0, 0.0)
    street.wake()
    for _ in range(200):
        assert street.wake().occupied == (1,)
    street.car(0)
    assert street.wake().occupied == (0,)


def test_a_bay_that_fails_leaves_the_others_alone():
    street = Street(4)
    street.wake()
    street.car(0, 0.0, 30.0, 0.0)
    street.car(2, 0.0, 30.0, 0.0)
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
    street.car(1, 0.0, 30.0, 0.0)
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
    street = Street().learned()
    street.car(0, 700.0, -700.0, 700.0)
    assert street.wake() == ((1,), (100,))


def test_a_foreign_state_means_to_learn_anew():
    street = Street(2).learned()
    good = street.parking.state()
    for state in (None, b"", good[:-1], good + good[-6:], b"\x07" + good[1:]):
        assert Street(2).node(state)._baseline.firm == 0
    fresh = Street(2)
    fresh.car(0, 30.0, 0.0, 0.0)
    assert fresh.node(good).read(0).occupied == (1, 0)


def test_no_sample_outlives_the_reading():
    street = Street().learned()
    street.car(0, 10.0, -12.0, 18.0)
    before = street.parking.state()
    street.wake()
    parking = street.parking
    for buffer in (
        parking._sample,
        parking._total,
        parking._low,
        parking._high,
        parking._means,
        parking._shift,
    ):
        assert not any(buffer)
    # The state has two bits more and nothing of the car's field.
    assert parking.state()[8:] == before[8:]
    assert not any(parking._baseline.marks)


def test_while_a_bay_is_learned_no_more_than_a_byte_is_kept_of_a_field():
    """Two cars with the same mark leave the same state, to the bit; of a hundred cars it has no field."""
    states = []
    for car in ((20.0, 20.0, 28.0), (26.0, 18.0, 33.0), (23.0 + 64, 17.0 - 64, 30.0 + 64)):
        street = Street()
        street.wake()
        street.car(0, *car)
        assert street.wake().occupied == (1,)
        states.append(street.parking.state())
        assert not any(street.parking._baseline.empty)
        fields = struct.unpack("<3h", states[-1][-6:])
        assert fields == (0, 0, 0)
    assert states[0] == states[1] == states[2]
    assert len(states[0]) == 17


def test_the_mark_of_a_car_is_gone_when_the_bay_is_learned():
    street = Street()
    street.wake()
    for car in ((20.0, 20.0, 28.0), (), (20.0, 20.0, -28.0)):
        street.car(0, *car)
        street.wake()
        assert any(street.parking._baseline.marks) == (not street.parking._baseline.firm)
    assert street.parking._baseline.firm
    before = street.parking.state()
    for _ in range(6):
        street.clock.sleep_ms(86_400_000)
        street.wake()
    # Never free for days: it is learned anew, and again a byte of each is all that is kept.
    assert street.parking._baseline.firm == 0
    assert any(before[-6:]) and not any(street.parking.state()[-6:])


def test_the_magnetometers_rest_after_the_reading():
    street = Street(2)
    street.wake()
    for chip in street.magnetometers:
        assert chip._registers[0x09] == 0
