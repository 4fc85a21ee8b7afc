"""Every sensor of the table, badly wired, badly set or failing: a fault with a name within its time, never a value."""

from bus import FakeBoard, FakeI2C, FakePin
from clock import FakeClock
from silicon.pir import Pir

from borne_node import sense, sensors
from borne_node.errors import SensorFault
from borne_node.sense.unchanged import Unchanged

# Of a reading with all its tries: a wake is watched for 60 s (main.py), and the slowest line is asked seven times.
LIMIT_S = 20
GOOD = {
    "magnetometer": (21.0, 1.0, 43.0),
    "ranger": 900.0,
    "light": 200.0,
    "presence": (None, 1500),
    "meter": (230.0, 0.26, 60.0),
    "accelerometer": (0.0, 0.0, 1.0),
}
# What lies beyond each scale; a presence sensor and a meter's line have none that the chip could say.
BEYOND = {
    "magnetometer": (9000.0, 0.0, 0.0),
    "ranger": None,
    "bh1750": 200_000.0,
    "ina226": (24.0, 9.0),
}


class Crossed:
    """A bus with SDA and SCL swapped: no acknowledge in time, which machine.I2C calls ETIMEDOUT."""

    def _transfer(self, *_):
        raise OSError(116)

    readfrom_mem_into = writeto_mem = readfrom_into = writeto = _transfer

    def scan(self):
        return []


class Deaf:
    """A line on which nothing comes back: RX and TX swapped, or trigger and echo."""

    def __init__(self, baudrate):
        self.baudrate = baudrate

    def feed(self, data, now_us):
        pass

    def output(self, now_us):
        return b""

    def trigger(self, level, now_us):
        pass

    def next_edge(self, now_us):
        return None


class World:
    """A sensor of the table in the node that it belongs to; `value` is what it finds."""

    def __init__(self, name, slot="sensor", kind=None):
        self.name, self.clock = name, FakeClock()
        _, self.role, chip, self.bus, nearest, _ = sensors.row(name)
        self.value = GOOD[self.role]
        module = __import__("silicon." + name, None, None, ("",))
        self.chip = getattr(module, chip)(lambda t: self.value[:2] if name == "ina226" else self.value)
        self.kind = (
            kind or [one for one in sensors.SLOTS if name in sensors.choices(one, self.slot_of(one))][0]
        )
        self.settings = {"kind": self.kind, "name": "n", "slot": "a", self.slot_of(self.kind): name}
        self.settings.update(
            {
                "parking": {"bays": 1, "floor_mm": 2000, "earth_nt": 47500},
                "light": {"refractory_s": 30, "lamp_w": 60},
                "fill": {"depth_mm": 1200, "offset_mm": max(nearest, 100), "container": "column"},
            }[self.kind]
        )

    def slot_of(self, kind):
        for slot, roles, _ in sensors.SLOTS[kind]:
            if self.role in roles:
                return slot

    def board(self, bus=None):
        """`bus`: in place of the one with the chip on it."""
        parts = {"pin": FakePin(Pir([]), self.clock)} if self.kind == "light" else {}
        chips = [] if self.bus != sensors.I2C else [self.chip]
        # The other sensor of the node, well and by its default.
        if self.kind == "light" and self.role != "light":
            chips.append(
                __import__("silicon.veml7700", None, None, ("",)).VEML7700(lambda t: 200.0 + t // 3600 % 24)
            )
        if self.kind == "fill" and self.role != "ranger":
            parts["uart"] = __import__("silicon.a02yyuw", None, None, ("",)).A02YYUW(lambda t: 700.0)
        parts["i2c"] = FakeI2C(chips, self.clock)
        if self.bus != sensors.I2C:
            parts[self.bus] = self.chip
        if bus is not None:
            parts[self.bus] = bus
        return FakeBoard(self.clock, **parts)

    def read(self, board):
        """The reading and the fault, one of them None; a sensor beside the main one tells its fault in `faults`."""
        sensor = sense.build(self.settings, board)
        before = self.clock.ticks_ms()
        reading = fault = None
        try:
            reading = sensor.read(self.clock.now())
        except SensorFault as found:
            fault = found
        assert self.clock.ticks_ms() - before < LIMIT_S * 1000, self.name
        for one in sensor.faults:
            fault = fault or one
        if fault:
            assert fault.reason in SensorFault.REASONS
        return reading, fault


def every():
    """Each sensor in each kind of node that may have it."""
    for name, role, *_ in sensors.TABLE:
        yield World(name)
        if role == "ranger":
            yield World(name, kind="fill")


def fault_of(world, bus=None):
    """What a reading says of the sensor: never a value of it."""
    reading, fault = world.read(world.board(bus))
    assert fault is not None, (world.kind, world.name, reading)
    if reading is not None:
        told = {"light": reading[0], "meter": reading[2:], "accelerometer": reading[2:3]}[world.role]
        assert told is None or set(told) == {None}, (world.name, reading)
    return fault


def test_a_sensor_that_is_well_has_no_fault():
    for world in every():
        reading, fault = world.read(world.board())
        # A magnetometer or meter may want to learn first; none may fault.
        assert reading is not None and fault is None, (world.kind, world.name, fault)


def test_a_silent_sensor_is_no_answer_and_comes_back():
    for world in every():
        world.chip.fail("silent")
        assert fault_of(world).reason == "no answer", world.name
        world.chip.fail(None)
        world.clock.sleep_ms(60_000)
        assert world.read(world.board())[1] is None, (world.kind, world.name)


def test_swapped_wires_are_no_answer():
    for world in every():
        crossed = Crossed() if world.bus == sensors.I2C else Deaf(getattr(world.chip, "baudrate", 0))
        if world.role in ("meter", "presence", "accelerometer") and world.bus == sensors.I2C:
            reading, fault = world.read(world.board(crossed))
            assert fault.reason == "no answer" and (
                reading is None or reading[0] is None or world.kind == "fill"
            )
        else:
            assert fault_of(world, crossed).reason == "no answer", world.name


def test_a_chip_at_another_address_is_no_answer():
    seen = 0
    for world in every():
        if world.bus == sensors.I2C:
            world.chip.address ^= 1
            assert fault_of(world).reason == "no answer", world.name
            seen += 1
    assert seen >= 8


def test_what_lies_beyond_the_scale_is_out_of_range():
    seen = set()
    for world in every():
        beyond = BEYOND.get(world.role, BEYOND.get(world.name, world.value))
        if beyond is not world.value:
            world.value = beyond
            assert fault_of(world).reason == "out of range", world.name
            seen.add(world.name)
    assert len(seen) == 9


# A sensor that says the same for ever is told from a quiet street by what could not stay the same: see unchanged.py.
# - the field of a magnetometer has noise, and its chip says when a measurement has ended;
# - nothing of what stands in a bay is kept, so a ranger over it may repeat itself unseen;
# - a radar says "nobody" for as long as nobody is there; its pin, high for an hour, is a fault (test_sense_light.py);
# - a meter's lamp burns by day then, or is dark by night: defective (test_sense_lamp.py).
UNSEEN = (
    ("parking", "a02yyuw"),
    ("parking", "mb7389"),
    ("parking", "vl53l1x"),
    ("light", "ld2410"),
    ("light", "pzem004t"),
)
# Its set and reset measure nothing of each other then.
BY_ANOTHER_NAME = {"mmc5603": "out of range"}


def stuck(world):
    """The first fault of a sensor that stops to measure, over five days of hourly readings by one node."""
    sensor_state = None
    for hour in range(120):
        sensor = sense.build(world.settings, world.board(), sensor_state)
        if hour == 3:
            world.chip.fail("stuck")
        try:
            sensor.read(world.clock.now())
        except SensorFault as fault:
            return fault
        for fault in sensor.faults:
            if fault:
                return fault
        sensor_state = sensor.state()
        world.clock.sleep_ms(3_600_000)


def test_a_sensor_that_is_stuck_says_so_where_that_can_be_told():
    for world in every():
        if world.role == "magnetometer":
            continue
        fault = stuck(world)
        if (world.kind, world.name) in UNSEEN:
            assert fault is None, (world.kind, world.name)
        else:
            assert fault and fault.reason == "stuck", (world.kind, world.name, fault)


def test_a_magnetometer_that_is_stuck_is_told_at_once():
    for world in every():
        if world.role == "magnetometer":
            board = world.board()
            world.read(board)
            world.chip.fail("stuck")
            world.clock.sleep_ms(300_000)
            _, fault = world.read(board)
            assert fault.reason == BY_ANOTHER_NAME.get(world.name, "stuck"), world.name


def test_a_quiet_place_is_not_stuck():
    # Nobody throws anything in for a week, and the warmth swings: the same container, a reading each hour.
    for name in ("a02yyuw", "mb7389", "vl53l1x", "jsn_sr04t"):
        world, state = World(name, kind="fill"), None
        for hour in range(168):
            sensor = sense.build(world.settings, world.board(), state)
            world.chip.celsius = 15 + hour % 24 // 3
            assert sensor.read(world.clock.now()).level is not None
            state = sensor.state()
            world.clock.sleep_ms(3_600_000)


def test_a_clock_that_jumps_makes_nothing_stuck():
    same = Unchanged(3 * 86400)
    assert not same.stuck(700, 946_684_800)
    assert not same.stuck(700, 1_795_392_000)  # it was set
    assert not same.stuck(700, 1_795_392_000 + 86_400 * 2)
    assert not same.stuck(700, 1_795_392_000 - 3600)  # it was set back
    for day in range(3):
        assert not same.stuck(700, 1_795_392_000 + day * 86_400)
    assert same.stuck(700, 1_795_392_000 + 3 * 86_400)
    again = Unchanged(3 * 86400, same.state())
    assert again.stuck(700, 1_795_392_000 + 3 * 86_400 + 3600) and not again.stuck(
        701, 1_795_392_000 + 4 * 86_400
    )
    assert not Unchanged(60, b"x" * 5).stuck(0, 1000)
