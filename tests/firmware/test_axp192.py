from bus import FakeI2C
from clock import FakeClock
from silicon import Misuse
from silicon.axp192 import AXP192 as Silicon
from support import raises

from borne_node.chips.axp192 import AXP192
from borne_node.errors import SensorFault


def chip_and_driver(volts):
    silicon = Silicon(lambda t: volts)
    return silicon, AXP192(FakeI2C([silicon], FakeClock()))


def test_the_radio_gets_its_supply_and_the_gps_does_not():
    silicon, driver = chip_and_driver(3.9)
    silicon.registers[0x12] |= 0x08
    assert silicon.ldo2_volts == 0
    driver.power_radio()
    assert abs(silicon.ldo2_volts - 3.3) < 0.01
    assert not silicon.ldo3_is_on
    assert silicon.registers[0x12] & 0x41 == 0x41, "the other outputs stay as they were"


def test_the_cell_is_measured_to_a_step():
    for volts in (2.9, 3.3, 3.7, 4.2):
        _, driver = chip_and_driver(volts)
        assert abs(driver.battery_uv() - volts * 1_000_000) <= 1100


def test_without_a_cell_there_is_no_voltage():
    assert chip_and_driver(None)[1].battery_uv() is None


def test_silence_and_another_chip_are_told_apart():
    silicon, driver = chip_and_driver(3.7)
    silicon.fail("silent")
    with raises(SensorFault) as caught:
        driver.power_radio()
    assert (caught.value.name, caught.value.reason) == ("AXP192", "no answer")
    silicon.fail(None)
    silicon.registers[0x03] = 0x41  # an AXP202
    with raises(SensorFault) as caught:
        AXP192(FakeI2C([silicon], FakeClock()))
    assert caught.value.reason == "wrong chip"


def test_the_simulated_chip_refuses_what_would_hurt():
    for data in (b"\x12\x00", b"\x03\x01", b"\x44\x01"):
        with raises(Misuse):
            Silicon(lambda t: 3.7).write(data, 0)
