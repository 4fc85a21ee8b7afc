from bus import FakeI2C
from clock import FakeClock
from silicon import Misuse
from silicon.veml7700 import VEML7700 as Silicon
from support import raises

from borne_node.chips.veml7700 import VEML7700
from borne_node.errors import SensorFault


def chip_and_driver(lux):
    clock = FakeClock()
    silicon = Silicon(lux if callable(lux) else lambda t: lux)
    return silicon, VEML7700(FakeI2C([silicon], clock), clock), clock


def config(silicon):
    silicon.write(b"\x00", 1 << 60)
    return int.from_bytes(silicon.read(2, 1 << 60), "little")


def reason_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "VEML7700"
    return caught.value.reason


def test_lux_from_moonlight_to_sun_within_the_chips_tolerance():
    for lux in (0, 0.3, 1, 5, 10, 30, 54, 55, 100, 420, 900, 1100, 4000, 5300, 5500, 20_000, 60_000, 120_000):
        _, driver, _ = chip_and_driver(lux)
        assert abs(driver.read() - lux) <= 0.1 + lux / 10, lux


def test_it_takes_less_than_its_limit_in_any_light():
    for lux in (0, 20, 200, 120_000):
        _, driver, clock = chip_and_driver(lux)
        driver.read()
        assert clock.slept_ms < 1000


def test_it_shuts_down_after_reading_and_after_a_fault():
    silicon, driver, _ = chip_and_driver(100)
    assert config(silicon) & 1
    silicon, driver, _ = chip_and_driver(100)
    driver.read()
    assert config(silicon) & 1
    silicon, driver, _ = chip_and_driver(1e9)
    assert reason_of(driver.read) == "out of range"
    assert config(silicon) & 1


def test_light_that_leaps_between_two_ranges_ends():
    # Dark in the sensitive ranges, bright in the others: it must not change the range for ever.
    light = iter([10_000, 10, 10_000, 10, 10_000, 10, 10_000])
    _, driver, clock = chip_and_driver(lambda t: next(light))
    driver.read()
    assert clock.slept_ms < 1000


def test_headlights_in_the_most_sensitive_range_are_no_fault():
    light = iter([5, 5, 2000, 5, 5, 5])
    _, driver, clock = chip_and_driver(lambda t: next(light))
    assert abs(driver.read() - 5) < 0.5
    assert clock.slept_ms < 1700


def test_polling_does_not_wait():
    _, driver, clock = chip_and_driver(500)
    driver.start()
    assert driver.poll() is None
    assert clock.slept_ms == 0
    clock.sleep_ms(200)
    assert abs(driver.poll() - 500) < 50


def test_silence_is_no_answer():
    clock = FakeClock()
    assert reason_of(lambda: VEML7700(FakeI2C([], clock), clock)) == "no answer"
    silicon, driver, _ = chip_and_driver(100)
    silicon.fail("silent")
    assert reason_of(driver.read) == "no answer"


def test_another_device_is_the_wrong_chip():
    clock = FakeClock()
    silicon = Silicon(lambda t: 0)
    silicon._words[7] = 0xC480
    assert reason_of(lambda: VEML7700(FakeI2C([silicon], clock), clock)) == "wrong chip"


def test_the_simulated_chip_refuses_what_the_datasheet_forbids():
    for data in (
        b"\x00\x00\x20",
        b"\x00\x04\x00",
        b"\x00\x40\x01",
        b"\x03\x08\x00",
        b"\x04\x00\x00",
        b"\x08",
        b"\x00\x01",
    ):
        with raises(Misuse):
            Silicon(lambda t: 0).write(data, 0)
    silicon = Silicon(lambda t: 1000)
    silicon.write(b"\x04", 0)
    with raises(Misuse):
        silicon.read(2, 0)  # shut down
    silicon.write(b"\x00\x00\x00", 0)
    silicon.write(b"\x04", 102_000)
    with raises(Misuse):
        silicon.read(2, 102_400)  # 2.5 ms and the integration of 100 ms
    assert abs(int.from_bytes(silicon.read(2, 102_500), "little") - 14_881) < 400
    with raises(Misuse):
        silicon.read(1, 102_500)


def test_the_simulated_chip_stuck_keeps_its_counts():
    bright = [100.0]
    silicon = Silicon(lambda t: bright[0])
    silicon.write(b"\x00\x00\x00", 0)
    silicon.write(b"\x04", 200_000)
    before = silicon.read(2, 200_000)
    silicon.fail("stuck")
    bright[0] = 500.0
    assert silicon.read(2, 400_000) == before
    silicon.fail(None)
    assert silicon.read(2, 600_000) != before
