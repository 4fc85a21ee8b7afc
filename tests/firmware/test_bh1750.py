from bus import FakeI2C
from clock import FakeClock
from silicon import Misuse
from silicon.bh1750 import BH1750 as Silicon
from support import raises

from borne_node.chips.bh1750 import BH1750
from borne_node.errors import SensorFault


def chip_and_driver(lux):
    clock = FakeClock()
    silicon = Silicon(lux if callable(lux) else lambda t: lux)
    return silicon, BH1750(FakeI2C([silicon], clock), clock), clock


def test_lux_over_the_whole_range():
    for lux in (0, 1, 5, 30, 300, 5_000, 40_000, 60_000, 115_000):
        _, driver, _ = chip_and_driver(lux)
        assert abs(driver.read() - lux) <= 0.5 + lux * 0.025, lux


def test_dim_light_is_finer_than_a_lux():
    _, driver, _ = chip_and_driver(2.4)
    assert abs(driver.read() - 2.4) < 0.4


def test_brighter_than_the_range_is_out_of_range():
    _, driver, _ = chip_and_driver(130_000)
    with raises(SensorFault) as caught:
        driver.read()
    assert (caught.value.name, caught.value.reason) == ("BH1750", "out of range")


def test_each_reading_is_a_new_one_and_leaves_the_chip_down():
    there = [100]
    silicon, driver, clock = chip_and_driver(lambda t: there[0])
    for lux in (100, 900):
        there[0] = lux
        before = clock.slept_ms
        assert abs(driver.read() - lux) <= lux * 0.025
        assert clock.slept_ms - before < 1200
        assert not silicon._powered


def test_silence_is_no_answer():
    silicon, driver, clock = chip_and_driver(100)
    silicon.fail("silent")
    for action in (driver.read, lambda: BH1750(FakeI2C([silicon], clock), clock)):
        with raises(SensorFault) as caught:
            action()
        assert caught.value.reason == "no answer"


def test_the_simulated_chip_refuses_what_the_datasheet_forbids():
    for writes in ((b"\x20",), (b"\x07",), (b"\x01", b"\x99"), (b"\x01\x20",), (b"\x01", b"\x40", b"\x61")):
        silicon = Silicon(lambda t: 1)
        with raises(Misuse):
            for data in writes:
                silicon.write(data, 0)
    silicon = Silicon(lambda t: 1)
    silicon.write(b"\x01", 0)
    silicon.write(b"\x20", 0)
    with raises(Misuse):
        silicon.read(2, 100_000)
    with raises(Misuse):
        silicon.read(1, 300_000)
