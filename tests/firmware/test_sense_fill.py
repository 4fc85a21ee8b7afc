from bus import FakeBoard, FakeI2C, FakeUart
from clock import FakeClock
from silicon.a02yyuw import A02YYUW as Silicon
from silicon.hc_sr04 import HCSR04
from silicon.jsn_sr04t import JSNSR04T
from silicon.mb7389 import MB7389
from silicon.vl53l1x import VL53L1X
from support import raises

from borne_node import sense
from borne_node.chips.a02yyuw import A02YYUW
from borne_node.errors import SensorFault, SettingsError
from borne_node.sense.emptied import SIZE
from borne_node.sense.fill import Fill

RANGERS = (
    ("a02yyuw", Silicon, "uart"),
    ("hc_sr04", HCSR04, "pulse"),
    ("jsn_sr04t", JSNSR04T, "pulse"),
    ("mb7389", MB7389, "uart"),
    ("vl53l1x", VL53L1X, "i2c"),
)
SETTINGS = {"kind": "fill", "depth_mm": 1200, "offset_mm": 100}


class Pings:
    """A ranger that gives what the test wrote down: millimetres, or a reason to fail by."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = 0
        self.running = False

    name = "A02YYUW"
    celsius = 20

    def start(self):
        self.running = True

    def stop(self):
        self.running = False

    def ping(self):
        if not self.running:
            raise AssertionError("pinged before start")
        self.asked += 1
        answer = self._answers.pop(0)
        if isinstance(answer, str):
            raise SensorFault("A02YYUW", answer)
        return answer


def container(distance, **settings):
    clock = FakeClock()
    silicon = Silicon(distance if callable(distance) else lambda t: distance)
    chosen = dict(SETTINGS)
    chosen.update(settings)
    ranger = A02YYUW(FakeUart(silicon, clock), clock)
    return silicon, Fill(lambda: ranger, chosen, 4500), clock


def filled(*answers, **settings):
    chosen = dict(SETTINGS)
    chosen.update(settings)
    pings = Pings(*answers)
    return Fill(lambda: pings, chosen, 4500), pings


def reason_of(fill):
    with raises(SensorFault) as caught:
        fill.read(0)
    return caught.value.reason


def test_the_level_follows_the_geometry():
    for distance, level in ((1300, 0), (1000, 25), (700, 50), (400, 75), (100, 100)):
        _, fill, _ = container(distance)
        assert abs(fill.read(0).level - level) <= 1


def test_rounding_is_to_the_nearest_percent():
    for distance, level in ((1300, 0), (1295, 0), (1294, 1), (1288, 1), (106, 100), (107, 99)):
        assert filled(*[distance] * 7)[0].read(0).level == level


def test_above_the_rim_is_full_and_a_dented_floor_is_empty():
    assert filled(*[40] * 7)[0].read(0).level == 100
    assert filled(*[1420] * 7)[0].read(0).level == 0


def test_a_floor_further_away_than_can_be_is_out_of_range():
    assert reason_of(filled(*[1432] * 7)[0]) == "out of range"
    _, fill, _ = container(2500)
    assert reason_of(fill) == "out of range"


def test_something_in_the_blind_zone_is_out_of_range():
    _, fill, _ = container(15)
    assert reason_of(fill) == "out of range"


def level_of(*answers, **settings):
    fill, pings = filled(*answers, **settings)
    level = fill.read(0).level
    assert not pings.running
    return level


def test_wild_echoes_do_not_move_the_level():
    assert level_of(700, 45, 702, 1300, 701, 1300, 46) == 50
    assert level_of(700, 1300, 701, 1300, 699, 450, 450) == 50


def test_drops_and_walls_are_nearer_than_the_surface():
    # Three of each: the farther echo is the surface.
    assert level_of(200, 700, 201, 702, 199, 701, "out of range") == 50
    # A drop that answers more often than the surface does not hide it, a heap at the sensor does.
    assert level_of(60, 700, 61, 702, 62, 63, 64) == 50
    assert level_of(60, 700, 61, 1100, 62, 63, 64) == 100


def test_a_slanted_heap_answers_within_a_hand():
    assert abs(level_of(660, 700, 735, 690, 640, 715, 705) - 50) <= 2


def test_pings_that_agree_on_nothing_are_out_of_range():
    fill, pings = filled(200, 400, 600, 800, 1000, 1200, 300)
    assert reason_of(fill) == "out of range"
    assert not pings.running


def test_what_lies_beyond_the_floor_is_no_echo():
    assert level_of(700, 1500, 702, 1501, 701, 1502, 1503) == 50


def test_four_failed_pings_are_borne_and_five_are_a_fault():
    assert level_of("bad checksum", 700, "out of range", 700, 700, "no answer", "no answer") == 50
    fill, _ = filled(700, "out of range", "bad checksum", 700, "out of range", "out of range", "out of range")
    assert reason_of(fill) == "bad checksum"


def test_no_more_pings_than_can_help():
    fill, pings = filled(*["no answer"] * 7)
    assert reason_of(fill) == "no answer"
    assert pings.asked == 5 and not pings.running


def in_air_of(celsius, thermometer):
    silicon = Silicon(lambda t: 700)
    silicon.celsius = celsius
    clock = FakeClock()
    ranger = A02YYUW(FakeUart(silicon, clock), clock)
    return Fill(lambda: ranger, SETTINGS, 4500, thermometer).read(0).level


def test_the_speed_of_sound_follows_the_warmth():
    assert abs(in_air_of(-15, lambda: -15) - 50) <= 1
    assert abs(in_air_of(0, lambda: 0) - 50) <= 1
    assert abs(in_air_of(40, lambda: 40) - 50) <= 1
    # Uncorrected, the cold of -15 degrees costs 4 points.
    assert in_air_of(-15, None) <= 46


def test_the_shape_makes_volume_of_height():
    assert level_of(*[700] * 7, container="column") == 50
    assert level_of(*[700] * 7, container="bin") == 43
    assert level_of(*[700] * 7, container="igloo") == 58


def test_every_ranger_of_the_table_measures_a_container():
    for name, silicon, wired in RANGERS:
        clock = FakeClock()
        chip = silicon(lambda t: 900)
        settings = dict(SETTINGS)
        settings.update(sensor=name, offset_mm=300)
        if wired == "i2c":
            board = FakeBoard(clock, i2c=FakeI2C([chip], clock))
        else:
            chip.celsius = 17
            board = FakeBoard(clock, **{wired: chip})
        assert abs(sense.build(settings, board).read(clock.now()).level - 50) <= 1, name


def test_the_failures_of_the_sensor_are_named():
    for mode, reason in (("silent", "no answer"), ("checksum", "bad checksum")):
        silicon, fill, clock = container(700)
        silicon.fail(mode)
        assert reason_of(fill) == reason
        assert clock.slept_ms < 4000
        silicon.fail(None)
        assert fill.read(0).level == 50


def test_a_reading_after_a_long_sleep_is_of_now():
    clock = FakeClock()
    emptied = clock.now() + 600
    silicon = Silicon(lambda t: 200 if t < emptied else 1300)
    ranger = A02YYUW(FakeUart(silicon, clock), clock)
    fill = Fill(lambda: ranger, SETTINGS, 4500)
    assert fill.read(0).level > 90
    clock.sleep_ms(601_000)
    assert fill.read(0).level == 0


def test_a_container_deeper_than_the_sensor_sees_is_refused():
    with raises(SettingsError) as caught:
        container(1000, depth_mm=4000, offset_mm=501)
    assert caught.value.field == "depth_mm"
    container(1000, depth_mm=4000, offset_mm=500)


def test_the_board_gives_uart_and_temperature():
    clock = FakeClock()
    fill = sense.build(SETTINGS, FakeBoard(clock, uart=Silicon(lambda t: 700)))
    reading = fill.read(clock.now())
    assert abs(reading.level - 50) <= 1
    assert reading.temperature == 17
    assert len(fill.state()) == 12 + SIZE
    assert filled(*[700] * 7)[0].read(0).temperature is None
