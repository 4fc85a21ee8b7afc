from bus import FakeI2C
from clock import FakeClock
from silicon import I2cChip, Misuse
from silicon.mmc5603 import MMC5603 as Silicon
from support import raises

from borne_node.chips.mmc5603 import MMC5603
from borne_node.errors import SensorFault

FIELD = (20.0, -5.5, -42.0)


class Stranger(I2cChip):
    address = 0x30

    def written(self, data, now_us):
        pass

    def answer(self, n, now_us):
        return b"\xff" * n


def chip_and_driver(field=lambda t: FIELD):
    clock = FakeClock()
    silicon = Silicon(field)
    return silicon, MMC5603(FakeI2C([silicon], clock), clock), clock


def mean_of(driver, samples=16):
    total = [0, 0, 0]
    sample = [0, 0, 0]
    driver.start()
    for _ in range(samples):
        driver.next(sample)
        total = [total[axis] + sample[axis] for axis in range(3)]
    driver.standby()
    return [one / samples for one in total]


def is_near(mean, field):
    # The noise of the mean of 16 differences: 200 nT / sqrt(32), five times.
    return all(abs(mean[axis] - 1000 * field[axis]) < 180 for axis in range(3))


def fault_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "MMC5603"
    return caught.value.reason


def test_the_field_comes_in_nanotesla():
    _, driver, _ = chip_and_driver()
    assert is_near(mean_of(driver), FIELD)


def test_the_offset_falls_out_at_any_warmth():
    silicon, driver, _ = chip_and_driver()
    for celsius in (-20, 25, 60):
        silicon.celsius = celsius
        assert is_near(mean_of(driver), FIELD)


def test_what_a_magnet_left_is_wiped_out():
    silicon, driver, _ = chip_and_driver()
    silicon.expose((8000.0, -8000.0, 8000.0))
    assert is_near(mean_of(driver), FIELD)


def test_both_ends_of_the_range():
    for field in ((2900.0, -2900.0, 0.0), (-2900.0, 0.0, 2900.0)):
        _, driver, _ = chip_and_driver(lambda t, field=field: field)
        assert is_near(mean_of(driver), field)
    _, driver, _ = chip_and_driver(lambda t: (0.0, 3100.0, 0.0))
    assert fault_of(lambda: driver.next([0, 0, 0])) == "out of range"


def test_nothing_of_a_measurement_stays_in_the_driver():
    _, driver, _ = chip_and_driver()
    driver.next([0, 0, 0])
    assert not any(driver._raw) and not any(driver._pair[0]) and not any(driver._pair[1])


def test_another_chip_and_none_are_refused():
    clock = FakeClock()
    assert fault_of(lambda: MMC5603(FakeI2C([Stranger()], clock), clock)) == "wrong chip"
    assert fault_of(lambda: MMC5603(FakeI2C([], clock), clock)) == "no answer"


def test_silence_and_equal_samples():
    silicon, driver, _ = chip_and_driver()
    sample = [0, 0, 0]
    driver.next(sample)
    silicon.fail("stuck")
    driver.next(sample)
    assert sample == [
        0,
        0,
        0,
    ]  # after SET and RESET the same bytes: no field at all, and never the same noise
    silicon.fail("silent")
    assert fault_of(lambda: driver.next(sample)) == "no answer"


def test_the_simulated_chip_refuses_what_the_datasheet_forbids():
    def after(*writes):
        chip = Silicon(lambda t: FIELD)
        for us, data in writes:
            chip.write(data, us)
        return chip

    for writes in (
        ((0, b"\x3a"),),
        ((0, b"\x39\x00"),),
        ((0, b"\x1c\x80"), (5000, b"\x1c\x00")),  # still restarting
        ((0, b"\x1b\x08"), (500, b"\x1b\x10")),  # the capacitor is empty
        ((0, b"\x1b\x08"), (500, b"\x1b\x01")),
        ((0, b"\x1b\x18"),),
        ((0, b"\x1b\x09"),),
        ((0, b"\x1b\x01"), (3000, b"\x1b\x08")),  # in the middle of a measurement
    ):
        with raises(Misuse):
            after(*writes)
    with raises(Misuse):
        after((0, b"\x00")).read(9, 10)  # no measurement there
