from bus import FakeBoard, FakeI2C
from clock import FakeClock
from silicon.a02yyuw import A02YYUW
from silicon.tca9548a import TCA9548A
from silicon.vl53l1x import VL53L1X
from support import raises

from borne_node import sense
from borne_node.errors import SensorFault

FLOOR = 2600
ROOF = 1100


class Garage:
    """`bays` with a time-of-flight ranger over each; `under` is what lies under it, in mm."""

    def __init__(self, bays=1):
        self.clock = FakeClock()
        self.under = [FLOOR] * bays
        self.rangers = [VL53L1X(self._under(bay), seed=bay + 1) for bay in range(bays)]
        chips = self.rangers if bays == 1 else [TCA9548A([[chip] for chip in self.rangers])]
        self._board = FakeBoard(self.clock, i2c=FakeI2C(chips, self.clock))
        self._settings = {"kind": "parking", "bays": bays, "sensor": "vl53l1x", "floor_mm": FLOOR}

    def _under(self, bay):
        return lambda t: self.under[bay]

    def wake(self):
        self.clock.sleep_ms(60_000)
        self.parking = sense.build(self._settings, self._board)
        return self.parking.read(self.clock.now())


def test_a_car_that_stood_there_at_the_start_is_seen():
    garage = Garage()
    garage.under[0] = ROOF
    assert garage.wake() == ((1,), (100,))
    garage.under[0] = FLOOR
    assert garage.wake().occupied == (0,)


def test_half_the_lowest_car_decides():
    garage = Garage()
    for nearer, occupied in ((0, 0), (150, 0), (250, 1), (400, 1)):
        garage.under[0] = FLOOR - nearer
        reading = garage.wake()
        assert reading.occupied == (occupied,)
        assert (reading.confidence[0] >= 80) == (nearer in (0, 400))


def test_each_bay_its_own_and_a_broken_one_leaves_the_others_alone():
    garage = Garage(4)
    garage.under[1] = garage.under[3] = ROOF
    assert garage.wake().occupied == (0, 1, 0, 1)
    garage.rangers[0].fail("silent")
    assert garage.wake().occupied == (None, 1, 0, 1)
    assert [fault and fault.reason for fault in garage.parking.faults] == ["no answer", None, None, None]


def test_nothing_that_can_be_is_a_fault():
    garage = Garage()
    garage.under[0] = None
    with raises(SensorFault) as caught:
        garage.wake()
    assert caught.value.reason == "out of range"
    garage.under[0] = 3500
    with raises(SensorFault):
        garage.wake()


def test_an_ultrasonic_ranger_watches_a_bay_in_the_cold():
    clock = FakeClock()
    chip = A02YYUW(lambda t: FLOOR)
    chip.celsius = -15
    board = FakeBoard(clock, uart=chip)
    board.temperature = lambda: -15
    settings = {"kind": "parking", "bays": 1, "sensor": "a02yyuw", "floor_mm": FLOOR}
    assert sense.build(settings, board).read(0).occupied == (0,)
    chip.distance = lambda t: FLOOR - 400
    assert sense.build(settings, board).read(0).occupied == (1,)


def test_it_keeps_nothing():
    garage = Garage()
    garage.wake()
    assert garage.parking.state() == b""
