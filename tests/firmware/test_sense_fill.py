from bus import FakeBoard, FakeUart
from clock import FakeClock
from silicon.a02yyuw import A02YYUW as Silicon
from support import raises

from borne_node import sense
from borne_node.chips.a02yyuw import A02YYUW
from borne_node.errors import SensorFault, SettingsError
from borne_node.sense.fill import Fill

SETTINGS = {"kind": "fill", "depth_mm": 1200, "offset_mm": 100}


class Pings:
    """A ranger that gives what the test wrote down: millimetres, or a reason to fail by."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = 0

    def start(self):
        pass

    def ping(self):
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
    return silicon, Fill(A02YYUW(FakeUart(silicon, clock), clock), chosen), clock


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
        assert Fill(Pings(*[distance] * 5), SETTINGS).read(0).level == level


def test_above_the_rim_is_full_and_a_dented_floor_is_empty():
    assert Fill(Pings(*[40] * 5), SETTINGS).read(0).level == 100
    assert Fill(Pings(*[1420] * 5), SETTINGS).read(0).level == 0


def test_a_floor_further_away_than_can_be_is_out_of_range():
    assert reason_of(Fill(Pings(*[1432] * 5), SETTINGS)) == "out of range"
    _, fill, _ = container(2500)
    assert reason_of(fill) == "out of range"


def test_something_in_the_blind_zone_is_out_of_range():
    _, fill, _ = container(15)
    assert reason_of(fill) == "out of range"


def test_two_wild_echoes_do_not_move_the_median():
    assert Fill(Pings(700, 45, 702, 1300, 701), SETTINGS).read(0).level == 50
    assert Fill(Pings(700, 1300, 701, 1300, 699), SETTINGS).read(0).level == 50


def test_two_failed_pings_are_borne_and_three_are_a_fault():
    assert Fill(Pings("bad checksum", 700, "out of range", 700, 700), SETTINGS).read(0).level == 50
    assert reason_of(Fill(Pings(700, "out of range", "bad checksum", 700, "out of range"), SETTINGS)) == (
        "bad checksum"
    )


def test_no_more_pings_than_can_help():
    pings = Pings("no answer", "no answer", "no answer", 700, 700)
    assert reason_of(Fill(pings, SETTINGS)) == "no answer"
    assert pings.asked == 3


def test_the_failures_of_the_sensor_are_named():
    for mode, reason in (("silent", "no answer"), ("checksum", "bad checksum")):
        silicon, fill, clock = container(700)
        silicon.fail(mode)
        assert reason_of(fill) == reason
        assert clock.slept_ms < 2500
        silicon.fail(None)
        assert fill.read(0).level == 50


def test_a_reading_after_a_long_sleep_is_of_now():
    clock = FakeClock()
    emptied = clock.now() + 600
    silicon = Silicon(lambda t: 200 if t < emptied else 1300)
    fill = Fill(A02YYUW(FakeUart(silicon, clock), clock), SETTINGS)
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
    assert fill.state() == b""
    assert Fill(Pings(*[700] * 5), SETTINGS).read(0).temperature is None
