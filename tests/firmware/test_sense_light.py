from bus import FakeBoard, FakeI2C, FakePin
from clock import FakeClock
from silicon.ina226 import INA226
from silicon.ld2410 import LD2410
from silicon.pir import Pir
from silicon.veml7700 import VEML7700 as Silicon
from store import FakeStore
from support import raises

from borne_node import sense
from borne_node.errors import SensorFault

SETTINGS = {"kind": "light", "refractory_s": 30}


class Post:
    """A lamp post with somebody passing at the given seconds."""

    follow = None

    def __init__(self, *passages, lux=12):
        self.clock = FakeClock()
        self.silicon = Silicon(lambda t: lux)
        self.pir = Pir([self.clock.now() + s for s in passages])
        self.pin = FakePin(self.pir, self.clock)
        self.i2c = FakeI2C([self.silicon], self.clock)
        self.light = self.boot()

    def boot(self, state=None, woken_by_pin=False):
        board = FakeBoard(self.clock, i2c=self.i2c, pin=self.pin, woken_by_pin=woken_by_pin)
        board.follow = self.follow
        self.light = sense.build(SETTINGS, board, state)
        return self.light

    def wake(self, seconds, woken_by_pin=False):
        """Deep sleep for so long: nobody counts meanwhile, and only the state goes on."""
        state = self.light.state()
        self.light = None
        self.clock.pins.clear()
        self.clock.sleep_ms(seconds * 1000)
        return self.boot(state, woken_by_pin)

    def read(self):
        return self.light.read(self.clock.now())


def test_lux_is_a_whole_number():
    for lux in (0, 12, 800, 40_000):
        reading = Post(lux=lux).read()
        assert isinstance(reading.lux, int)
        assert abs(reading.lux - lux) <= 1 + lux // 10


def test_awake_triggers_are_counted_in_the_interrupt():
    post = Post(10, 12, 50, 100)
    post.pin.sleep(60_000)
    assert post.read().triggers == 2
    post.pin.sleep(60_000)
    assert post.read().triggers == 1
    assert post.read().triggers == 0


def test_awake_triggers_are_counted_by_polling():
    post = Post(10, 12, 50, 100)
    post.pin._handler = None
    for _ in range(120):
        post.clock.sleep_ms(1000)
        post.light.poll()
    assert post.read().triggers == 3


def test_the_pin_that_woke_the_node_is_a_trigger():
    post = Post(100, 400)
    post.wake(100, woken_by_pin=True)
    assert post.read().triggers == 1
    post.wake(200)
    assert post.read().triggers == 0
    post.wake(100, woken_by_pin=True)
    assert post.read().triggers == 1


def test_the_refractory_time_holds_over_deep_sleep():
    post = Post(100, 115, 131)
    post.wake(100, woken_by_pin=True)
    assert post.read().triggers == 1
    slept = post.clock.slept_ms // 1000 - 100
    post.wake(15 - slept, woken_by_pin=True)
    assert post.read().triggers == 0
    slept = post.clock.slept_ms // 1000 - 115
    post.wake(16 - slept, woken_by_pin=True)
    assert post.read().triggers == 1


def test_a_trigger_not_yet_read_survives_the_sleep():
    post = Post(100)
    post.wake(100, woken_by_pin=True)
    post.wake(60)
    assert post.read().triggers == 1


def test_without_light_sensor_the_presence_is_still_counted():
    post = Post(10)
    post.silicon.fail("silent")
    post.pin.sleep(20_000)
    assert post.read() == (None, 1, None, None, None)
    assert post.light.faults[0].reason == "no answer"
    post.silicon.fail(None)
    assert post.read().lux == 12
    assert post.light.faults == (None, None, None)


def test_an_output_high_for_an_hour_is_stuck():
    post = Post()
    post.pir.fail("stuck")
    post.read()
    post.wake(3000)
    post.read()
    post.wake(700)
    with raises(SensorFault) as caught:
        post.read()
    assert (caught.value.name, caught.value.reason) == ("presence", "stuck")
    assert post.light.faults[1] is caught.value
    post.pir.fail(None)
    assert post.read().triggers == 0
    assert post.light.faults == (None, None, None)


def test_stuck_is_said_each_time():
    post = Post()
    post.pir.fail("stuck")
    post.read()
    for _ in range(30):
        post.wake(4 * 3600)
        with raises(SensorFault):
            post.read()


def test_setting_the_clock_makes_nothing_stuck():
    for jump in (-7200, 30 * 365 * 86400):
        post = Post()
        post.pir.fail("stuck")  # high at both readings, by chance as it were
        post.read()
        post.clock.set(post.clock.now() + jump)
        post.wake(600)
        assert post.read().triggers == 0
        post.wake(3700)
        with raises(SensorFault):
            post.read()


def test_a_clock_near_its_epoch_makes_nothing_stuck():
    post = Post()
    post.pir.fail("stuck")
    post.clock.set(4000)
    assert post.read().triggers == 0


def test_the_pin_that_may_wake_the_node_is_named():
    post = Post()
    assert post.light.wake_pin is post.pin


def test_a_busy_pavement_is_not_stuck():
    post = Post(*range(100, 7300, 3))
    for _ in range(8):
        post.pin.sleep(900_000)
        assert post.read().triggers >= 26


def test_a_foreign_state_is_forgotten():
    post = Post(100)
    post.wake(100, woken_by_pin=True)
    good = post.light.state()
    for state in (b"", good[:-1], good[:5] + b"\x09" + good[6:]):
        post.boot(state)
        assert post.read().triggers == 0
    post.boot(good)
    assert post.read().triggers == 1


class LitPost(Post):
    """With a lamp behind an INA226, and a radar where `radar` is given."""

    def __init__(self, *passages, radar=None, **settings):
        self.watts, self.lux = 60.0, 12.0
        self.meter = INA226(lambda t: (24.0, self.watts / 24.0))
        self.radar = radar
        self.nvs = FakeStore()
        self.settings = dict(SETTINGS)
        self.settings.update(lamp="ina226", lamp_w=60, presence="ld2410" if radar else "pir", **settings)
        super().__init__(*passages)
        self.silicon.lux = lambda t: self.lux
        self.i2c.bus.chips.append(self.meter)

    def boot(self, state=None, woken_by_pin=False):
        board = FakeBoard(self.clock, i2c=self.i2c, pin=self.pin, uart=self.radar, nvs=self.nvs)
        board.woken_by_pin = woken_by_pin
        self.light = sense.build(self.settings, board, state)
        return self.light

    def hour(self):
        self.wake(3600)
        return self.read()


def test_a_post_without_a_meter_says_nothing_of_its_lamp():
    assert Post().read()[2:] == (None, None, None)


def test_the_lamp_its_dimming_and_its_energy():
    post = LitPost()
    assert post.read()[2:] == (1, 100, None)  # of no time yet
    lamp, dimming, energy = post.hour()[2:]
    assert (lamp, dimming) == (1, 100) and abs(energy - 60) <= 1
    post.watts = 30.0
    lamp, dimming, energy = post.hour()[2:]
    assert lamp == 2 and abs(dimming - 50) <= 1 and abs(energy - 45) <= 1
    post.watts = 0.0
    assert post.hour()[2:4] == (0, 0)


def test_a_broken_meter_leaves_light_and_presence_alone():
    post = LitPost()
    post.read()
    post.meter.fail("silent")
    reading = post.hour()
    assert reading.lux is not None and reading[2:] == (None, None, None)
    assert post.light.faults[2].reason == "no answer" and post.light.faults[:2] == (None, None)


def test_a_radar_that_died_is_a_fault_and_not_nobody():
    radar = LD2410(lambda t: (None, None))
    post = LitPost(10, radar=radar)
    post.pin.sleep(20_000)
    assert post.read().triggers == 1
    radar.fail("silent")
    with raises(SensorFault) as caught:
        post.hour()
    assert (caught.value.name, caught.value.reason) == ("LD2410", "no answer")
    assert post.light.faults[1] is caught.value


def test_what_was_counted_after_the_reading_is_read_the_next_time():
    """app.py lets the pulses count on while it reports, and puts their state into the sensor's."""
    post = Post(40, 80)
    post.clock.sleep_ms(30_000)
    assert post.read().triggers == 0
    kept = post.light.state()
    pulses = post.light.pulses
    post.clock.sleep_ms(60_000)
    counted = pulses.state()
    post.boot(counted + kept[len(counted) :])
    assert post.read().triggers == 2


def test_the_lamp_follows_in_the_interrupt():
    seen = []
    post = Post(10, 50)
    post.follow = lambda: seen.append(post.clock.now())
    post.boot()
    began = post.clock.now()
    post.clock.sleep_ms(60_000)
    assert seen == [began + 10, began + 50]
