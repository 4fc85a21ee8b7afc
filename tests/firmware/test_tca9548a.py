from bus import FakeI2C
from clock import FakeClock
from silicon import I2cChip, Misuse
from silicon.qmc5883l import QMC5883L as Magnetometer
from silicon.tca9548a import TCA9548A as Silicon
from support import raises

from borne_node.chips.qmc5883l import QMC5883L
from borne_node.chips.tca9548a import TCA9548A
from borne_node.errors import SensorFault


class Echo(I2cChip):
    """Answers with the number it was made with."""

    address = 0x21

    def __init__(self, number):
        self.number = number

    def written(self, data, now_us):
        self.heard = data

    def answer(self, n, now_us):
        return bytes([self.number]) * n


def street(count=8):
    clock = FakeClock()
    silicon = Silicon([[Echo(n)] for n in range(count)])
    i2c = FakeI2C([silicon], clock)
    return silicon, i2c, TCA9548A(i2c)


def ask(channel):
    buf = bytearray(1)
    channel.readfrom_mem_into(0x21, 0, buf)
    return buf[0]


def reason_of(action):
    with raises(SensorFault) as caught:
        action()
    assert caught.value.name == "TCA9548A"
    return caught.value.reason


def test_each_channel_reaches_its_own_chip():
    silicon, i2c, switch = street()
    assert i2c.scan() == [0x70]
    for number in (0, 7, 3, 3, 1):
        assert ask(switch.channel(number)) == number
        assert silicon.control == 1 << number
        assert i2c.scan() == [0x21, 0x70]


def test_a_channel_has_the_methods_of_a_bus():
    silicon, _, switch = street()
    channel = switch.channel(2)
    assert channel.writeto(0x21, b"\x07") == 1
    assert silicon.channels[2][0].heard == b"\x07"
    channel.writeto_mem(0x21, 5, b"\x09")
    assert silicon.channels[2][0].heard == b"\x05\x09"
    buf = bytearray(2)
    channel.readfrom_into(0x21, buf)
    assert buf == b"\x02\x02"


def test_the_channel_is_selected_once():
    _, i2c, switch = street()
    channel = switch.channel(4)
    ask(channel)
    before = i2c.transfers
    ask(channel)
    assert i2c.transfers - before == 2


def test_after_a_failed_transfer_the_channel_is_selected_again():
    silicon, _, switch = street()
    channel = switch.channel(4)
    ask(channel)
    silicon.control = 0  # a brown-out resets the switch (table 2)
    with raises(OSError):
        ask(channel)
    assert ask(channel) == 4


def test_a_missing_switch_and_a_foreign_chip_are_refused():
    clock = FakeClock()
    assert reason_of(lambda: TCA9548A(FakeI2C([], clock))) == "no answer"
    foreign = Echo(0x55)
    foreign.address = 0x70
    assert reason_of(lambda: TCA9548A(FakeI2C([foreign], clock))) == "wrong chip"
    with raises(ValueError):
        street()[2].channel(8)


def test_a_switch_that_does_not_switch_is_stuck():
    silicon, _, switch = street()
    silicon.fail("stuck")
    assert reason_of(lambda: ask(switch.channel(3))) == "stuck"
    silicon.fail("silent")
    assert reason_of(lambda: ask(switch.channel(3))) == "no answer"


def test_the_fault_of_a_switch_passes_through_the_driver_behind_it():
    clock = FakeClock()
    silicon = Silicon([[Magnetometer(lambda t: (0.0, 0.0, 0.0))]])
    switch = TCA9548A(FakeI2C([silicon], clock))
    silicon.fail("silent")
    assert reason_of(lambda: QMC5883L(switch.channel(0), clock)) == "no answer"


def test_two_chips_of_one_address_on_the_bus_are_a_misuse():
    silicon, i2c, _ = street()
    silicon.control = 0b11
    with raises(Misuse):
        i2c.readfrom_into(0x21, bytearray(1))
    with raises(Misuse):
        street(2)[1].writeto(0x70, b"\x04")
