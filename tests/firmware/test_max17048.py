from bus import FakeI2C
from clock import FakeClock
from silicon.max17048 import MAX17048 as Silicon
from support import raises

from borne_node.chips.max17048 import MAX17048
from borne_node.errors import SensorFault


def test_the_cell_is_measured_to_a_step():
    for volts in (2.9, 3.3, 3.7, 4.2):
        driver = MAX17048(FakeI2C([Silicon(lambda t, volts=volts: volts)], FakeClock()))
        assert abs(driver.battery_uv() - volts * 1_000_000) <= 79


def test_silence_and_another_chip_are_told_apart():
    silicon = Silicon(lambda t: 3.7)
    driver = MAX17048(FakeI2C([silicon], FakeClock()))
    silicon.fail("silent")
    with raises(SensorFault) as caught:
        driver.battery_uv()
    assert (caught.value.name, caught.value.reason) == ("MAX17048", "no answer")
    silicon.fail(None)
    silicon.version = 0x0002
    with raises(SensorFault) as caught:
        MAX17048(FakeI2C([silicon], FakeClock()))
    assert caught.value.reason == "wrong chip"
