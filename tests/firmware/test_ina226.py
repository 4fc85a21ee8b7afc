from bus import FakeI2C
from clock import FakeClock
from silicon import I2cChip, Misuse
from silicon.ina226 import INA226 as Silicon
from support import raises

from borne_node.chips.ina226 import INA226
from borne_node.errors import SensorFault


class Stranger(I2cChip):
    """An INA219 has no such registers and reads as something else."""

    address = 0x40

    def written(self, data, now_us):
        pass

    def answer(self, n, now_us):
        return b"\x39\x9f"


def chip_and_driver(volts, amperes):
    clock = FakeClock()
    silicon = Silicon(lambda t: (volts, amperes))
    return silicon, INA226(FakeI2C([silicon], clock), clock), clock


def fault_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "INA226"
    return caught.value.reason


def test_volts_amperes_and_watts():
    for volts, amperes in ((24.0, 0.0), (24.0, 1.5), (12.0, 0.05), (35.9, 7.9)):
        _, driver, _ = chip_and_driver(volts, amperes)
        millivolts, milliamperes, milliwatts = driver.read()
        assert abs(millivolts - 1000 * volts) <= 2
        assert abs(milliamperes - 1000 * amperes) <= 2
        assert abs(milliwatts - 1000 * volts * amperes) <= 80


def test_it_rests_between_two_readings():
    silicon, driver, clock = chip_and_driver(24.0, 1.0)
    before = clock.slept_ms
    driver.read()
    assert clock.slept_ms - before <= 20
    assert silicon._words[0] & 7 == 0


def test_what_flows_backwards_is_nothing():
    _, driver, _ = chip_and_driver(24.0, -0.5)
    assert driver.read()[1:] == (0, 0)


def test_more_than_the_shunt_bears_is_out_of_range():
    _, driver, _ = chip_and_driver(24.0, 9.0)
    assert fault_of(driver.read) == "out of range"


def test_failures_are_named():
    silicon, driver, clock = chip_and_driver(24.0, 1.0)
    silicon.fail("stuck")
    before = clock.slept_ms
    assert fault_of(driver.read) == "stuck"
    assert clock.slept_ms - before < 100
    silicon.fail("silent")
    assert fault_of(driver.read) == "no answer"
    silicon.fail(None)
    assert driver.read()[0] > 23_000
    assert fault_of(lambda: INA226(FakeI2C([Stranger()], clock), clock)) == "wrong chip"


def test_the_simulated_chip_refuses_what_the_datasheet_forbids():
    for data in (b"\x08", b"\x01\x00\x00", b"\x00\x41", b"\x00\x71\x27", b"\x00\x01\x27"):
        with raises(Misuse):
            Silicon(lambda t: (0.0, 0.0)).write(data, 0)
    with raises(Misuse):
        Silicon(lambda t: (0.0, 0.0)).read(1, 0)
