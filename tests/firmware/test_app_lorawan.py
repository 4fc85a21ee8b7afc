# micropython only
# heap 1000wK
"""Whole wakes of whole nodes whose link is LoRaWAN."""

import gc

from lorawan_network import asked
from node import NOW, Node
from radio import airtime_us

from borne_node.link.lorawan import battery, commands
from borne_node.report import codec, schema

HOUR = 3600

gc.threshold(500_000)  # as test_app


def ports(sent):
    return [port for port, _ in sent]


def fill(**changes):
    return Node("fill", link="lorawan", depth_mm=1200, **changes)


def test_the_first_wake_joins_reports_and_sets_the_clock():
    node = fill()
    node.clock.set(1000)
    node.clock.is_set = False
    board = node.wake()
    assert board.ended[0] == "sleep"
    assert ports(node.network.received) == [schema.HEALTH]
    assert node.clock.is_set and abs(node.clock.now() - NOW - node.clock.slept_ms // 1000) <= 1
    # The time came with the answer to the report: a join request, one uplink.
    assert len(node.radio.ether.up) == 2


def test_a_container_reports_six_times_a_day_and_joins_once():
    node = fill()
    node.live(4 * HOUR)
    sent = node.live(24 * HOUR)
    assert len([port for port in ports(sent) if port == schema.FILL]) == 6
    assert node.network.made == 1
    frames = [payload for port, payload in sent if port == schema.FILL]
    assert len({len(payload) for payload in frames}) == 1
    assert codec.decode(schema.FILL, frames[-1]).values[0] is not None


def test_a_report_has_as_many_bytes_as_its_airtime_pays_for():
    node = fill()
    node.live(30 * HOUR)
    for rate, (sf, bandwidth) in ((5, (7, 125000)), (0, (12, 125000))):
        node.network.answers.append({"options": bytes((0x03, rate << 4, 7, 0, 0))})
        node.live(10 * HOUR)
        sent = node.live(8 * HOUR)
        size = len([payload for port, payload in sent if port == schema.FILL][-1])
        bare = schema.size(schema.FILL)
        paid = airtime_us(sf, bandwidth, size + 13)
        assert paid == airtime_us(sf, bandwidth, bare + 13) < airtime_us(sf, bandwidth, size + 14), (
            rate,
            size,
        )


def test_what_the_law_forbids_is_an_attempt_later_and_no_error():
    node = fill(fair_use_s=1)
    node.live(4 * HOUR)
    spent = node.network.arrived
    node.live(48 * HOUR)
    # A frame of 51 ms or more, 1 s a day: the cap holds, and everything that waits goes out in the end.
    assert node.network.arrived > spent
    assert node.rtc() and node.broker.published == []


def test_a_node_out_of_reach_keeps_its_reports():
    node = fill()
    node.network.accepts = False
    node.live(12 * HOUR)
    assert node.network.received == []
    node.network.accepts = True
    sent = node.live(3 * HOUR)
    assert schema.FILL in ports(sent) and schema.HEALTH in ports(sent)


def test_a_downlink_is_obeyed():
    node = fill()
    node.wake()
    node.network.answers.append({"port": schema.COMMAND, "payload": bytes((schema.SEND_SETTINGS,))})
    node.live(30 * HOUR)
    assert schema.SETTINGS in ports(node.network.received)


def test_a_report_that_the_data_rate_cannot_carry_waits_without_waking_the_node():
    node = fill(region="US915")
    node.network.answers_checks = False
    node.wake()
    assert node.network.made == 1
    # DR0 of US915 takes 11 bytes; a health report has 16.
    node.network.answers.append({"options": bytes((0x03, 0 << 4, 0xFF, 0, 0))})
    node.live(9 * HOUR)
    wakes = 0
    until = node.clock.now() + 26 * HOUR
    while node.clock.now() < until:
        node.wake()
        wakes += 1
    assert wakes < 120, wakes


def test_without_a_key_the_node_says_so_and_tries_again_each_hour():
    node = fill()
    node.secrets["a"] = {}
    for _ in range(3):
        board = node.wake()
    assert board.ended == ("sleep", (3_600_000, None)), board.ended
    with open("log") as file:
        assert "app_key" in file.read()


def test_reports_go_on_after_a_power_cut_without_a_new_join():
    node = fill()
    node.live(10 * HOUR)
    node.cause = 1
    node.rtc(b"")
    before = node.network.made
    sent = node.live(10 * HOUR)
    assert node.network.made == before == 1
    assert schema.HEALTH in ports(sent) and schema.FILL in ports(sent)


def test_the_network_learns_the_battery_and_the_margin():
    node = fill()
    node.live(5 * HOUR)
    node.network.answers.append({"options": b"\x06"})
    node.live(10 * HOUR)
    answers = [
        values
        for data, *_ in node.network.uplinks
        for command, values in asked(data)
        if command == commands.DEV_STATUS
    ]
    # 3.7 V of a cell between 3.0 and 4.2 V; the test's air has an SNR of 5 dB.
    assert answers == [(148, 5, 0)]


class Measured:
    def __init__(self, millivolts, **names):
        self.names, self.millivolts = names, millivolts

    def battery_uv(self):
        return None if self.millivolts is None else self.millivolts * 500


def test_battery_levels():
    for millivolts, level in ((0, 0), (1990, 0), (2500, 1), (3000, 1), (3600, 127), (4200, 254), (4300, 254)):
        assert battery.level(Measured(millivolts, battery_divider=2.0)) == level, millivolts
    assert battery.level(Measured(None)) == 255
