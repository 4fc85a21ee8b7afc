from bus import FakeUart
from clock import FakeClock
from silicon.pzem004t import PZEM004T as Silicon
from store import FakeStore

from borne_node.chips.pzem004t import PZEM004T
from borne_node.sense.lamp import DEFECTIVE, LOW, OFF, ON, Lamp

SETTINGS = {"lamp_w": 100}
NIGHT, DAY = 3, 20_000


class Meter:
    """A meter that gives watts as the test wrote them down; the last for ever."""

    counts_energy = False

    def __init__(self, *watts):
        self.watts = list(watts)

    def read(self):
        watts = self.watts.pop(0) if len(self.watts) > 1 else self.watts[0]
        return 230_000, watts * 1000 // 230, watts * 1000


class Post:
    def __init__(self, *watts, store=None, **settings):
        self.clock = FakeClock()
        self.meter = Meter(*watts)
        self.store = store or FakeStore()
        self.settings = dict(SETTINGS)
        self.settings.update(settings)
        self.state = None

    def read(self, lux=NIGHT, after_s=600):
        self.clock.sleep_ms(after_s * 1000)
        lamp = Lamp(lambda: self.meter, self.settings, self.clock, self.state, self.store)
        found = lamp.read(self.clock.now(), lux)
        self.state = lamp.state()
        return found


def test_power_says_what_the_lamp_does():
    for watts, state, dimming in (
        (0, OFF, 0),
        (4, OFF, 0),
        (5, LOW, 5),
        (60, LOW, 60),
        (85, ON, 85),
        (120, ON, 100),
    ):
        assert Post(watts).read(lux=50)[:2] == (state, dimming)


def test_a_lamp_that_is_dark_at_night_is_defective_after_half_an_hour():
    post = Post(0)
    assert [post.read()[0] for _ in range(5)] == [OFF, OFF, OFF, DEFECTIVE, DEFECTIVE]
    post.meter.watts = [100]
    assert post.read()[0] == ON


def test_dusk_is_no_defect():
    post = Post(0)
    assert [post.read()[0] for _ in range(3)] == [OFF] * 3
    post.meter.watts = [100]
    post.read()
    post.meter.watts = [0]
    assert [post.read()[0] for _ in range(3)] == [OFF] * 3


def test_a_town_that_sleeps_has_no_dark_lamps():
    post = Post(0, night_off=True)
    assert [post.read()[0] for _ in range(9)] == [OFF] * 9


def test_a_lamp_that_burns_by_day_is_defective():
    post = Post(100)
    assert [post.read(lux=DAY)[0] for _ in range(5)] == [ON, ON, ON, DEFECTIVE, DEFECTIVE]
    # Without a light sensor nobody knows whether it is day.
    post = Post(100)
    assert [post.read(lux=None)[0] for _ in range(5)] == [ON] * 5


def test_a_lamp_that_flickers_is_defective():
    post = Post(*[100, 20] * 200)
    assert [post.read()[0] for _ in range(5)] == [LOW, LOW, LOW, DEFECTIVE, DEFECTIVE]
    steady = Post(*[100, 90] * 200)
    assert DEFECTIVE not in [steady.read()[0] for _ in range(5)]


def test_a_lamp_that_draws_too_much_is_defective():
    post = Post(140)
    assert [post.read()[0] for _ in range(4)] == [ON, ON, ON, DEFECTIVE]


def test_a_clock_set_back_begins_the_half_hour_anew():
    post = Post(0)
    post.read()
    post.clock.set(post.clock.now() - 86_400)
    assert [post.read()[0] for _ in range(4)] == [OFF, OFF, OFF, DEFECTIVE]


def test_energy_is_power_times_time_and_no_watt_second_is_lost():
    post = Post(7)
    assert post.read()[2] is None
    used = [post.read(after_s=600)[2] for _ in range(60)]
    assert set(used) <= {1, 2}
    assert abs(sum(used) - 70) <= 1


def test_energy_over_a_gap_is_unknown():
    post = Post(100)
    post.read()
    assert post.read(after_s=3 * 3600)[2] == 300
    assert post.read(after_s=3 * 3600 + 1)[2] is None


def test_the_count_outlives_a_power_cut():
    post = Post(100)
    for _ in range(11):
        post.read(after_s=3600)
    assert Lamp(None, SETTINGS, post.clock, post.state).total_wh == 1000
    again = Post(100, store=post.store.reboot())
    again.clock.set(post.clock.now())
    assert again.read(after_s=60)[2] is None
    total = Lamp(None, SETTINGS, again.clock, again.state).total_wh
    assert 900 <= total <= 1000  # no more than the last hour is lost


def test_the_flash_is_written_once_in_a_quarter_of_an_hour():
    post = Post(100)
    for _ in range(61):
        post.read(after_s=60)
    assert post.store.commits == 5


def test_a_power_cut_costs_what_was_used_since_the_last_write():
    post = Post(4000)
    for after in (3600, 3600, 600, 600, 600, 840):  # somebody came by now and then
        post.read(after_s=after)
    used = Lamp(None, SETTINGS, post.clock, post.state).total_wh
    again = Post(4000, store=post.store.reboot())
    again.clock.set(post.clock.now())
    again.read(after_s=1)
    assert 0 <= used - Lamp(None, SETTINGS, again.clock, again.state).total_wh <= 4000 // 4


def test_a_store_that_fails_costs_nothing_but_the_count():
    post = Post(100, store=FakeStore(capacity=0))
    post.store.write = broken
    assert post.read()[0] == ON


def broken(name, data):
    raise OSError(28)


def test_a_meter_that_counts_by_itself_is_believed():
    clock = FakeClock()
    silicon = Silicon(lambda t: (230.0, 0.43, 100.0))
    silicon.energy_wh = 5000.0
    store = FakeStore()

    def reading(state, after_s):
        clock.sleep_ms(after_s * 1000)
        lamp = Lamp(lambda: PZEM004T(FakeUart(silicon, clock), clock), SETTINGS, clock, state, store)
        found = lamp.read(clock.now(), NIGHT)
        return found, lamp.state()

    found, state = reading(None, 60)
    assert found == (ON, 100, None)
    found, state = reading(state, 3600)
    assert abs(found[2] - 100) <= 1
    # Power cut: the state is gone, the store's count and the meter's go on.
    found, _ = reading(None, 7200)
    assert abs(found[2] - 200) <= 1
    silicon.energy_wh = 0.0
    assert reading(state, 60)[0][2] is None
