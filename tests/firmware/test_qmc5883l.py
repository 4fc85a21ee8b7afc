from bus import FakeI2C
from clock import FakeClock
from silicon import I2cChip, Misuse
from silicon.qmc5883l import QMC5883L as Silicon
from support import raises

from borne_node.chips.qmc5883l import QMC5883L
from borne_node.errors import SensorFault

FIELD = (20.0, -5.5, -42.0)


class OpenBus(I2cChip):
    """Acknowledges and reads as FF, like a line that nobody pulls down."""

    address = 0x0D

    def written(self, data, now_us):
        pass

    def answer(self, n, now_us):
        return b"\xff" * n


def chip_and_driver(field=lambda t: FIELD):
    clock = FakeClock()
    silicon = Silicon(field)
    return silicon, QMC5883L(FakeI2C([silicon], clock), clock), clock


def fault_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "QMC5883L"
    return caught.value.reason


def test_the_field_comes_in_nanotesla():
    _, driver, _ = chip_and_driver()
    sample = [0, 0, 0]
    total = [0, 0, 0]
    driver.start()
    for _ in range(16):
        driver.next(sample)
        total = [total[axis] + sample[axis] for axis in range(3)]
    for axis in range(3):
        assert abs(total[axis] / 16 - FIELD[axis] * 1000) < 250  # 5 times the noise of the mean, 50 nT


def test_both_ends_of_the_range():
    _, driver, _ = chip_and_driver(lambda t: (799.0, -799.0, 0.0))
    sample = [0, 0, 0]
    driver.start()
    driver.next(sample)
    assert abs(sample[0] - 799_000) < 1000
    assert abs(sample[1] + 799_000) < 1000


def test_a_sample_is_new_each_time_and_polling_does_not_wait():
    _, driver, clock = chip_and_driver()
    sample = [0, 0, 0]
    driver.start()
    assert not driver.poll(sample)
    assert clock.slept_ms == 1  # the reset
    clock.sleep_ms(5)
    assert driver.poll(sample)
    assert not driver.poll(sample)


def test_it_stands_by_when_told():
    silicon, driver, clock = chip_and_driver()
    driver.start()
    driver.standby()
    clock.sleep_ms(100)
    assert not driver.poll([0, 0, 0])
    silicon.write(b"\x09", 1 << 60)
    assert silicon.read(1, 1 << 60) == b"\x00"


def test_overflow_is_out_of_range():
    _, driver, _ = chip_and_driver(lambda t: (0.0, 0.0, 1200.0))
    driver.start()
    assert fault_of(lambda: driver.next([0, 0, 0])) == "out of range"


def test_silence_is_no_answer():
    clock = FakeClock()
    assert fault_of(lambda: QMC5883L(FakeI2C([], clock), clock)) == "no answer"
    silicon, driver, _ = chip_and_driver()
    silicon.fail("silent")
    assert fault_of(driver.start) == "no answer"


def test_another_chip_and_an_open_bus_are_the_wrong_chip():
    clock = FakeClock()
    assert fault_of(lambda: QMC5883L(FakeI2C([OpenBus()], clock), clock)) == "wrong chip"
    other = Silicon(lambda t: FIELD)
    other._reset = lambda: None
    other._registers[0x0D] = 0x80
    assert fault_of(lambda: QMC5883L(FakeI2C([other], clock), clock)) == "wrong chip"


def test_a_chip_that_measures_nothing_is_no_answer_within_its_limit():
    _, driver, clock = chip_and_driver()
    slept = clock.slept_ms
    assert fault_of(lambda: driver.next([0, 0, 0])) == "no answer"  # never started
    assert clock.slept_ms - slept <= 70


def test_the_raw_bytes_are_wiped():
    _, driver, _ = chip_and_driver()
    driver.start()
    driver.next([0, 0, 0])
    assert driver._raw == bytes(6)


def test_the_simulated_chip_refuses_what_the_datasheet_forbids():
    def at(us, *writes):
        silicon = Silicon(lambda t: FIELD)
        for data in writes:
            silicon.write(bytes(data), us)
        return silicon

    for writes in (
        [[0x09, 0x1D]],  # measuring without the set/reset period
        [[0x0B, 0x01], [0x09, 0x02]],  # reserved mode
        [[0x0B, 0x01], [0x09, 0x21]],  # reserved range
        [[0x0A, 0x02]],  # a bit that is read only
        [[0x06, 0x00]],  # a register that is read only
        [[0x0F]],  # a register that is not there
    ):
        with raises(Misuse):
            at(0, *writes)
    measuring = at(0, [0x0B, 0x01], [0x09, 0x1D], [0x00])
    with raises(Misuse):
        measuring.read(6, 4_999)
    assert len(measuring.read(6, 5_000)) == 6
    measuring.write(b"\x00", 10_000)
    with raises(Misuse):
        measuring.read(2, 10_000)
    with raises(Misuse):
        measuring.read(6, 9_999)


def test_the_simulated_chip_flags_skipped_data():
    silicon = Silicon(lambda t: FIELD)
    silicon.write(b"\x0b\x01", 0)
    silicon.write(b"\x09\x1d", 0)
    silicon.write(b"\x06", 12_000)
    assert silicon.read(1, 12_000) == b"\x05"  # DRDY and DOR
    silicon.write(b"\x00", 12_000)
    silicon.read(6, 12_000)
    silicon.write(b"\x06", 12_000)
    assert silicon.read(1, 12_000) == b"\x00"
    silicon.write(b"\x0a\x40", 15_000)  # roll-over: after 06H comes 00H
    silicon.write(b"\x00", 15_000)
    twice = silicon.read(14, 15_000)
    assert twice[0:6] == twice[7:13]
