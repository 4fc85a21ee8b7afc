from bus import FakeI2C
from clock import FakeClock
from silicon import I2cChip, Misuse
from silicon.lis3dh import LIS3DH as Silicon
from support import raises

from borne_node.chips.lis3dh import LIS3DH
from borne_node.errors import SensorFault


class Stranger(I2cChip):
    """A BMA or a QMI at the same address says another name."""

    address = 0x18

    def written(self, data, now_us):
        pass

    def answer(self, n, now_us):
        return b"\x13" * n


def chip_and_driver(gravity):
    clock = FakeClock()
    silicon = Silicon(lambda t: gravity)
    return silicon, LIS3DH(FakeI2C([silicon], clock), clock), clock


def fault_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "LIS3DH"
    return caught.value.reason


def test_gravity_on_each_axis():
    for gravity in ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.6, -0.8, 0.0), (0.0, 1.9, -1.9)):
        _, driver, _ = chip_and_driver(gravity)
        sample = [0, 0, 0]
        driver.read(sample)
        # Offset 40 mg at most, and noise.
        assert all(abs(sample[axis] - 1000 * gravity[axis]) <= 46 for axis in range(3)), (gravity, sample)


def test_it_rests_between_two_readings():
    silicon, driver, clock = chip_and_driver((0.0, 0.0, 1.0))
    before = clock.slept_ms
    driver.read([0, 0, 0])
    assert clock.slept_ms - before < 40
    assert silicon._registers[0x20] == 0


def test_failures_are_named_and_leave_it_at_rest():
    silicon, driver, clock = chip_and_driver((0.0, 0.0, 1.0))
    silicon.fail("stuck")
    assert fault_of(lambda: driver.read([0, 0, 0])) == "stuck"
    assert silicon._registers[0x20] == 0
    silicon.fail("silent")
    assert fault_of(lambda: driver.read([0, 0, 0])) == "no answer"
    assert fault_of(lambda: LIS3DH(FakeI2C([Stranger()], clock), clock)) == "wrong chip"


def test_the_simulated_chip_refuses_what_the_datasheet_forbids():
    for data in (b"\x40", b"\x0f\x00", b"\x10\x00", b"\x20\xf7", b"\x20\x57\x00"):
        with raises(Misuse):
            Silicon(lambda t: (0.0, 0.0, 1.0)).write(data, 0)
    silicon = Silicon(lambda t: (0.0, 0.0, 1.0))
    silicon.write(b"\x28", 0)
    with raises(Misuse):
        silicon.read(6, 0)
    silicon.write(b"\xa8", 0)
    with raises(Misuse):
        silicon.read(4, 0)
    silicon.write(b"\x23\x08", 0)
    with raises(Misuse):
        silicon.write(b"\x20\x5f", 0)


def test_the_pin_tells_when_an_axis_is_low_for_long():
    clock = FakeClock()
    began = clock.now()
    fell = {"at": began + 100, "for": 31}

    def gravity(t):
        return (1.0, 0.0, 0.0) if 0 <= t - fell["at"] < fell["for"] else (0.0, 0.1, -0.95)

    silicon = Silicon(gravity)
    driver = LIS3DH(FakeI2C([silicon], clock), clock)
    driver.watch(2, 570, 30)
    assert silicon.level(clock.physics_us()) == 0
    rise_us = silicon.next_edge(clock.physics_us())
    assert 130 <= rise_us // 1_000_000 - began <= 132
    fell["for"] = 29  # as when it is emptied
    assert silicon.next_edge(clock.physics_us()) is None
    # Measuring ends the watch, and works as before.
    sample = [0, 0, 0]
    driver.read(sample)
    assert abs(sample[2] + 925) < 15
    fell["for"] = 1000
    assert silicon.next_edge(clock.physics_us()) is None
    clock.sleep_ms(200_000)
    assert silicon.level(clock.physics_us()) == 0


def test_what_it_watches_is_set_by_the_datasheet():
    silicon, driver, _ = chip_and_driver((0.0, 0.0, 1.0))
    driver.watch(1, 590, 30)
    registers = silicon._registers
    assert (registers[0x20], registers[0x23] & 0x38, registers[0x22], registers[0x30]) == (
        0x1F,
        0,
        0x40,
        0x04,
    )
    assert (registers[0x32], registers[0x33]) == (590 // 16, 30)
