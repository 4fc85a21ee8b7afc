"""The air and the gateway, each by itself and against pamoja's own reading of the protocol."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from pamoja._native import gateway_parse

from borne.virtual.air import Air, Gateway, Law, Place, gwmp
from borne.virtual.air.propagation import Level, Path, drowned, noise_dbm, readable
from borne.virtual.clock import SimClock
from borne.virtual.silicon.lora_air import Transceiver, Transmission

EUI = "b827ebfffe010203"
DEV, JOIN, KEY = bytes(range(8)), bytes(8), bytes(range(16))
HERE = Place(0, 0)


class Listener:
    """A UDP server that notes what gateways say, and answers as told: `answers` are PULL_RESP bodies."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.heard = []
        self.answers = []
        self.caught_up = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    @property
    def address(self):
        return self.socket.getsockname()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"", self.address)
        self.thread.join(5)
        self.socket.close()

    def catch_up(self):
        """Wait until all that was sent so far has been noted."""
        self.caught_up.clear()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"mark", self.address)
        assert self.caught_up.wait(5)

    def serve(self):
        while True:
            raw, sender = self.socket.recvfrom(65536)
            if not raw:
                return
            if raw == b"mark":
                self.caught_up.set()
                continue
            self.heard.append(raw)
            if raw[3] == gwmp.PUSH_DATA:
                while self.answers:
                    self.socket.sendto(bytes((2, 0, 9, gwmp.PULL_RESP)) + self.answers.pop(0), sender)
            if raw[3] in (gwmp.PUSH_DATA, gwmp.PULL_DATA):
                self.socket.sendto(raw[:3] + bytes((raw[3] + (1 if raw[3] == 0 else 2),)), sender)


def packet(clock, payload=b"abc", start_us=0, sf=7, frequency=868_100_000, power=14, **more):
    return Transmission(payload, clock.now_us + start_us, frequency, sf, 125_000, power=power, **more)


class Site:
    """An air with one gateway next to its nodes, and what the gateway handed on."""

    def __init__(self, listener, nodes=("a", "b"), **options):
        self.clock = SimClock()
        self.air = Air(self.clock, **options)
        self.gateway = Gateway(self.air, EUI, Place(300, 0), listener.address)
        self.chips = {name: Transceiver() for name in nodes}
        for name, chip in self.chips.items():
            self.air.add_node(name, chip, HERE)
        # The same way for all: strengths are then what the tests say.
        for name in nodes:
            self.air._paths[name, EUI] = Level_path(100)

    def send(self, name, *arguments, **options):
        sent = packet(self.clock, *arguments, **options)
        self.chips[name].radiate(sent)
        return sent


class Level_path:
    def __init__(self, loss):
        self.loss = loss

    def level(self, power, bandwidth):
        rssi = power - self.loss
        return Level(rssi, min(12, rssi - noise_dbm(bandwidth)))


def pushed(listener):
    listener.catch_up()
    return [one for raw in listener.heard if raw[3] == gwmp.PUSH_DATA for one in gateway_parse(raw).packets]


def test_a_frame_is_forwarded_when_it_has_ended_and_pamoja_reads_it():
    with Listener() as listener:
        site = Site(listener)
        sent = site.send("a", b"hello", sf=9)
        assert not listener.heard
        site.clock.run_for(1)
        (heard,) = pushed(listener)
        assert (heard.payload, heard.frequency_hz, heard.crc) == (b"hello", 868_100_000, "Ok")
        assert (heard.link.spreading_factor, heard.link.bandwidth_hz) == (9, 125_000)
        assert heard.received_at_us == sent.end_us
        assert heard.timestamp_us == 1_000_000 + sent.end_us - sent.start_us
        # GPS time is 18 s ahead of UTC and counts from 1980-01-06.
        assert heard.gps_millis == sent.end_us // 1000 - 315_964_800_000 + 18_000
        assert (heard.rssi_dbm, heard.snr_db) == (-84, 12)
        assert site.air.traffic("a").heard == 1
        site.air.close()


def test_frames_of_one_factor_collide_and_the_stronger_captures():
    cases = (
        # power of b, its factor, its start as a share of a's frame, its channel: who gets through
        (14, 7, 0.5, 868_100_000, set()),
        (6, 7, 0.5, 868_100_000, {"a"}),
        (14, 7, 0.5, 868_300_000, {"a", "b"}),
        (14, 9, 0.5, 868_100_000, {"a", "b"}),
        (14, 7, 1.1, 868_100_000, {"a", "b"}),
    )
    for power, sf, start, frequency, through in cases:
        with Listener() as listener:
            site = Site(listener)
            first = site.send("a", b"a")
            length = first.end_us - first.start_us
            site.send("b", b"b", int(length * start), sf, frequency, power)
            site.clock.run_for(2)
            assert {one.payload.decode() for one in pushed(listener)} == through, (
                power,
                sf,
                start,
                frequency,
            )
            lost = {name for name in "ab" if site.air.traffic(name).lost.get("collision")}
            assert lost == {"a", "b"} - through
            site.air.close()


def test_a_ninth_frame_at_once_finds_no_demodulator():
    with Listener() as listener:
        site = Site(listener, [f"n{i}" for i in range(9)])
        for number, name in enumerate(site.chips):
            site.send(name, name.encode(), number, 12, 867_100_000 + 200_000 * number)
        site.clock.run_for(5)
        assert len(pushed(listener)) == 8
        assert site.air.traffic("n8").lost == {"busy": 1}
        site.air.close()


def test_weak_frames_and_a_share_of_the_others_are_lost():
    with Listener() as listener:
        site = Site(listener, loss=0.2)
        site.air._paths["a", EUI] = Level_path(150)
        for _ in range(200):
            site.send("a")
            site.send("b", frequency=868_500_000)
            site.clock.run_for(200)
        assert site.air.traffic("a").lost == {"weak": 200}
        assert 20 <= site.air.traffic("b").lost["chance"] <= 60
        assert site.air.traffic("b").heard + site.air.traffic("b").lost["chance"] == 200
        site.air.close()


def txpk(tmst, **changes):
    asked = {
        "tmst": tmst, "freq": 868.1, "rfch": 0, "powe": 14, "modu": "LORA", "datr": "SF7BW125", "codr": "4/5",
        "ipol": True, "ncrc": True, "size": 3, "data": "eHl6",
    }  # fmt: skip
    return json.dumps({"txpk": {**asked, **changes}}).encode()


def errors(listener):
    listener.catch_up()
    return [json.loads(raw[12:])["txpk_ack"]["error"] for raw in listener.heard if raw[3] == gwmp.TX_ACK]


def test_a_downlink_is_on_the_air_at_its_very_time():
    with Listener() as listener:
        site = Site(listener)
        sent = site.send("a")
        tmst = 1_000_000 + sent.end_us - sent.start_us + 1_000_000
        listener.answers.append(txpk(tmst))
        site.clock.run_for(5)
        assert errors(listener) == ["NONE"]
        for chip in site.chips.values():
            (heard,) = chip._heard
            assert (heard.payload, heard.start_us, heard.inverted) == (b"xyz", sent.end_us + 1_000_000, True)
        assert [gateway_parse(raw).tx_status for raw in listener.heard if raw[3] == gwmp.TX_ACK] == ["NONE"]
        site.air.close()


def test_the_counter_of_the_concentrator_wraps():
    with Listener() as listener:
        site = Site(listener)
        site.clock.run_for(4293)  # 2**32 us are 4295 s
        sent = site.send("a", frequency=869_800_000)
        listener.answers.append(txpk((sent.end_us + 1_000_000 - site.gateway._epoch_us) % 2**32))
        site.clock.run_for(5)
        assert site.chips["a"]._heard[0].start_us == sent.end_us + 1_000_000
        later = site.send("a", frequency=869_800_000)
        site.clock.run_for(5)
        assert pushed(listener)[-1].timestamp_us == later.end_us - site.gateway._epoch_us - 2**32
        site.air.close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (txpk(0), ["TOO_LATE"]),
        (txpk(500_000_000), ["TOO_EARLY"]),
        (txpk(5_000_000, powe=40), ["TX_POWER"]),
        (txpk(5_000_000, datr="SF7"), []),
        (txpk(5_000_000, modu="FSK"), []),
        (b"{}", []),
        (b"no json", []),
        (b"[1]", []),
    ],
)
def test_what_a_gateway_does_not_send(body, expected):
    with Listener() as listener:
        site = Site(listener)
        site.send("a")
        listener.answers.append(body)
        site.clock.run_for(5)
        assert errors(listener) == expected
        assert site.gateway.sent == []
        # It goes on.
        site.send("a")
        site.clock.run_for(5)
        assert len(pushed(listener)) == 2
        site.air.close()


def test_one_gateway_sends_one_frame_at_a_time_and_hears_nothing_meanwhile():
    with Listener() as listener:
        site = Site(listener)
        first = site.send("a")
        at = 1_000_000 + first.end_us - first.start_us + 1_000_000
        listener.answers += [txpk(at, datr="SF12BW125"), txpk(at + 1000)]
        site.clock.run_until((first.end_us + 1_100_000) / 1e6)
        assert errors(listener) == ["NONE", "COLLISION_PACKET"]
        site.send("b", frequency=868_500_000)
        site.clock.run_for(3)
        assert site.air.traffic("b").lost == {"busy": 1}
        site.air.close()


def test_downlinks_of_two_gateways_collide():
    with Listener() as listener:
        site = Site(listener, ["a"])
        second = Gateway(site.air, "b827ebfffe010204", Place(0, 300), listener.address)
        site.air._paths["a", second.eui] = Level_path(100)
        start = site.clock.now_us + 1_000_000
        for gateway, payload in ((site.gateway, b"one"), (second, b"two")):
            down = Transmission(payload, start, 868_100_000, 7, 125_000, inverted=True, crc=False)
            site.air.send_down(gateway, down)
        assert [one.corrupt for one in site.chips["a"]._heard] == ["payload", "payload"]
        site.air.close()


def test_a_silent_server_is_noticed():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()
    clock = SimClock()
    air = Air(clock)
    gateway = Gateway(air, EUI, HERE, address)
    gateway.forward(packet(clock), Level(-80, 5))
    assert gateway.unanswered
    air.close()


def test_the_law_of_an_hour():
    law = Law()
    # 36 s of an hour at 868.1 MHz; the frames of the hour before count while they are in it.
    for number in range(36):
        law.watch("a", number * 2_000_000, number * 2_000_000 + 1_000_000, 868_100_000, 16)
    assert law.broken == [] and law.fullest["a"] == 1.0
    law.watch("a", 3_000_000_000, 3_000_500_000, 868_300_000, 16)
    assert len(law.broken) == 1 and "36.50 s" in law.broken[0]
    law.watch("a", 3_600_000_000 + 72_000_000, 3_600_000_000 + 73_000_000, 868_300_000, 16)
    assert len(law.broken) == 1
    law.watch("a", 3_700_000_000, 3_740_000_000, 868_100_000, 16)
    assert len(law.broken) == 2


@pytest.mark.parametrize(
    ("frequency", "power", "allowed"),
    [(868_100_000, 16, True), (868_100_000, 17, False), (869_525_000, 29, True), (868_650_000, 0, False)],
)
def test_the_law_of_power_and_place(frequency, power, allowed):
    law = Law()
    law.watch("a", 0, 1000, frequency, power)
    assert (law.broken == []) is allowed


def test_a_path_is_the_same_for_the_same_seed_and_fades_with_distance():
    def losses(seed):
        return [Path(seed, "a", f"gw{n}", 1000).loss_db for n in range(300)]

    assert losses(1) == losses(1) != losses(2)
    mean = sum(losses(1)) / 300
    assert abs(mean - 128.95) < 2  # at a kilometre: the model's figure
    near, far = (Path(1, "a", "g", metres) for metres in (100, 2000))
    assert 29 < far.loss_db - near.loss_db < 31  # 23.2 dB a decade
    levels = [far.level(16, 125_000).rssi for _ in range(2000)]
    assert 1.8 < (sum((one + far.loss_db - 16) ** 2 for one in levels) / 2000) ** 0.5 < 2.2


def test_what_can_be_read():
    assert noise_dbm(125_000) == pytest.approx(-117.03, abs=0.01)
    assert readable(Level(-124, -7.5), 7) and not readable(Level(-125, -7.6), 7)
    assert readable(Level(-137, -20), 12)
    assert drowned(-100, 7, -105, 7) and not drowned(-100, 7, -106, 7)
    assert drowned(-100, 7, -83, 9) and not drowned(-100, 7, -85, 9)
