from bus import FakeBoard, FakeI2C
from clock import FakeClock
from silicon import bh1750, hc_sr04, ina226, ld2410, lis3dh, mmc5603, tca9548a
from support import raises

from borne_node.errors import SensorFault
from borne_node.sense.probe import Probe


def board(*chips, **more):
    clock = FakeClock()
    return FakeBoard(clock, i2c=FakeI2C(chips, clock), **more)


def test_every_kind_of_sensor_gives_values_with_units():
    cases = (
        ("hc_sr04", board(pulse=hc_sr04.HCSR04(lambda t: 800)), ("distance",), "mm"),
        ("mmc5603", board(mmc5603.MMC5603(lambda t: (20.0, 0.0, -40.0))), ("x", "y", "z", "strength"), "nT"),
        ("bh1750", board(bh1750.BH1750(lambda t: 120)), ("light",), "lx"),
        ("ld2410", board(uart=ld2410.LD2410(lambda t: (150, None))), ("moving", "still"), "mm"),
        ("lis3dh", board(lis3dh.LIS3DH(lambda t: (0.0, 0.0, 1.0))), ("x", "y", "z"), "mg"),
    )
    for name, on, whats, unit in cases:
        found = Probe(name, on).read()
        assert tuple(one[0] for one in found) == whats, name
        assert all(one[2] == unit for one in found)
    meter = Probe("ina226", board(ina226.INA226(lambda t: (24.0, 1.0)))).read()
    assert [(what, unit) for what, _, unit in meter] == [
        ("voltage", "mV"),
        ("current", "mA"),
        ("power", "mW"),
    ]
    assert abs(meter[2][1] - 24_000) < 100


def test_the_numbers_are_those_of_the_driver():
    probe = Probe("mmc5603", board(mmc5603.MMC5603(lambda t: (20.0, 0.0, -40.0))))
    values = dict((what, value) for what, value, _ in probe.read())
    assert abs(values["z"] + 40_000) < 800 and abs(values["strength"] - 44_721) < 800


def test_a_bay_behind_the_switch():
    chips = [[bh1750.BH1750(lambda t, lux=lux: lux)] for lux in (10, 500)]
    found = Probe("bh1750", board(tca9548a.TCA9548A(chips)), 1).read()
    assert abs(float(found[0][1]) - 500) < 15


def test_a_loose_wire_is_a_fault_and_heals():
    chip = bh1750.BH1750(lambda t: 120)
    probe = Probe("bh1750", board(chip))
    chip.fail("silent")
    with raises(SensorFault):
        probe.read()
    probe.say()  # prints it instead
    chip.fail(None)
    assert probe.read()
