from clock import FakeClock

from borne_node.dimmer import Dimmer


class Output:
    def __init__(self, clock):
        self.duties = []
        self.clock = clock

    def dimmer(self):
        return self

    def duty_u16(self, duty):
        assert 0 <= duty <= 65535
        self.duties.append(duty)


def lamp(kind="pwm", percent=30):
    clock = FakeClock()
    output = Output(clock)
    settings = {"dimmer": kind, "dim_percent": percent, "dim_hold_s": 60}
    return Dimmer(output, settings), output, clock


def test_it_is_low_until_somebody_comes_and_low_again_after_the_hold():
    dimmer, output, clock = lamp()
    assert output.duties == [65535 * 30 // 100]
    dimmer.seen()
    assert output.duties[-1] == 65535
    clock.sleep_ms(59_000)
    dimmer.tick(0)
    assert dimmer.percent == 100
    clock.sleep_ms(1_000)
    dimmer.tick(0)
    assert dimmer.percent == 30 and len(output.duties) == 3


def test_who_stays_keeps_it_bright():
    dimmer, output, clock = lamp()
    dimmer.seen()
    for _ in range(200):
        clock.sleep_ms(1_000)
        dimmer.tick(1)
    assert dimmer.percent == 100 and len(output.duties) == 2
    clock.sleep_ms(60_000)
    dimmer.tick(0)
    assert dimmer.percent == 30


def test_a_line_of_0_to_10_volts_is_pulled_down():
    dimmer, output, _ = lamp("dc10", 20)
    assert output.duties == [65535 - 65535 * 20 // 100]
    dimmer.seen()
    assert output.duties[-1] == 0  # not pulled: full light, as without a node


def test_without_a_change_the_output_is_left_alone():
    dimmer, output, clock = lamp(percent=0)
    for _ in range(10):
        clock.sleep_ms(1_000)
        dimmer.tick(0)
    assert output.duties == [0]
