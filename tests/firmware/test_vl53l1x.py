from bus import FakeI2C
from clock import FakeClock
from silicon import I2cChip, Misuse
from silicon.vl53l1x import VL53L1X as Silicon
from support import raises

from borne_node.chips.vl53l1x import VL53L1X
from borne_node.errors import SensorFault


class Stranger(I2cChip):
    """A chip at the same address that answers everything with ones: the VL53L0X sits there too."""

    address = 0x29

    def written(self, data, now_us):
        pass

    def answer(self, n, now_us):
        return b"\xee\xaa"[:n] if n == 2 else b"\x01" * n


def ranger(distance):
    clock = FakeClock()
    silicon = Silicon(distance if callable(distance) else lambda t: distance)
    return VL53L1X(FakeI2C([silicon], clock), clock), silicon, clock


def fault_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "VL53L1X"
    return caught.value.reason


def test_distances_follow_the_sensor():
    for distance in (60, 255, 256, 1800, 3570):
        driver, _, _ = ranger(distance)
        driver.start()
        for _ in range(3):
            assert abs(driver.ping() - distance) <= 20
        driver.stop()


def test_each_range_is_a_new_one():
    there = [500]
    driver, _, clock = ranger(lambda t: there[0])
    driver.start()
    driver.ping()
    there[0] = 1500
    clock.sleep_ms(1000)
    driver.ping()  # was ready before
    assert abs(driver.ping() - 1500) <= 20


def test_nothing_there_and_too_near_are_out_of_range():
    for distance in (None, 3700, 5):
        driver, _, _ = ranger(distance)
        driver.start()
        assert fault_of(driver.ping) == "out of range"


def test_it_waits_until_the_chip_has_booted():
    clock = FakeClock()
    silicon = Silicon(lambda t: 1000, powered_us=clock.physics_us())
    driver = VL53L1X(FakeI2C([silicon], clock), clock)
    driver.start()
    assert abs(driver.ping() - 1000) <= 20
    late = Silicon(lambda t: 1000, powered_us=clock.physics_us() + 10_000_000)
    assert fault_of(lambda: VL53L1X(FakeI2C([late], clock), clock)) == "no answer"


def test_another_chip_is_refused():
    clock = FakeClock()
    assert fault_of(lambda: VL53L1X(FakeI2C([Stranger()], clock), clock)) == "wrong chip"
    assert fault_of(lambda: VL53L1X(FakeI2C([], clock), clock)) == "no answer"


def test_silence_is_named_within_the_limit():
    driver, silicon, clock = ranger(1000)
    driver.start()
    silicon.fail("silent")
    assert fault_of(driver.ping) == "no answer"
    silicon.fail(None)
    assert abs(driver.ping() - 1000) <= 20
    driver.stop()
    before = clock.slept_ms
    assert fault_of(driver.ping) == "no answer"  # it does not range
    assert clock.slept_ms - before < 600


def test_the_simulated_chip_refuses_what_it_cannot_do():
    silicon = Silicon(lambda t: 1000)
    for data in (b"\x01", b"\x00\x87\x40", b"\x01\x0f\x00", b"\x00\x87\x20"):
        with raises(Misuse):
            silicon.write(data, 0)
    silicon.write(b"\x00\x96", 0)
    with raises(Misuse):
        silicon.read(2, 0)
    booting = Silicon(lambda t: 1000, powered_us=0)
    with raises(Misuse):
        booting.write(b"\x00\x2d\x00", 500)
