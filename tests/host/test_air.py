"""The air, the gateway and the network server, each by itself and against pamoja's own reading of the protocol."""

from __future__ import annotations

import json
import random
import socket
import threading

import pytest
from pamoja._native import LorawanDevice, gateway_encode, gateway_parse

from borne.decoding import envelopes
from borne.virtual.air import Air, Gateway, Law, Place, gwmp
from borne.virtual.air.adr import Adaption
from borne.virtual.air.propagation import Level, Path, drowned, noise_dbm, readable
from borne.virtual.air.server import NetworkServer, chirpstack_event
from borne.virtual.air.session import accepted
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


# -- the network server, by its UDP port


class Gate:
    """A gateway by hand, with pamoja's encoder."""

    def __init__(self, server, eui=EUI):
        self.server, self.eui = server, eui
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(5)
        self.socket.connect(server.address)
        self.now_us = 1_800_000_000_000_000
        self.exchange(gwmp.datagram(gwmp.PULL_DATA, 1, eui), gwmp.PULL_ACK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def exchange(self, raw, until):
        self.socket.send(raw)
        answers = []
        while True:
            kind, _, body = gwmp.parse(self.socket.recv(65536))
            if kind == until:
                return answers
            answers.append(gwmp.transmission(body, self.now_us, 0))

    def push(self, frame, sf=7, snr=5.0, wait_s=10, frequency=868_100_000):
        """The server's answers to one uplink that ends now."""
        self.now_us += int(wait_s * 1e6)
        sent = Transmission(bytes(frame), 0, frequency, sf, 125_000)
        sent.end_us = self.now_us
        body = {"rxpk": [gwmp.rxpk(sent, -90, snr, self.now_us % 2**32, 0)]}
        return self.exchange(gwmp.datagram(gwmp.PUSH_DATA, 2, self.eui, body), gwmp.PUSH_ACK)


@pytest.fixture
def server():
    with NetworkServer() as running:
        running.register(DEV, JOIN, KEY)
        yield running
        assert running.errors == []


def join(gate, nonce=0):
    device = LorawanDevice(DEV, JOIN, KEY)
    (accept,) = gate.push(device.join_request(nonce))
    assert accept.start_us == gate.now_us + 5_000_000
    return device.accept_join(accept.payload, nonce).session()


def test_an_uplink_arrives_and_decodes_as_chirpstacks(server):
    with Gate(server) as gate:
        session = join(gate)
        assert gate.push(session.encode_uplink(0, 10, b"\x01\x02\x03"), sf=9) == []
    (got,) = server.uplinks
    assert (got.dev_eui, got.port, got.payload, got.count, got.sf) == (DEV.hex(), 10, b"\x01\x02\x03", 0, 9)
    read = envelopes.read(json.dumps(chirpstack_event(got)))
    assert (read.device, read.port, read.payload, read.f_cnt) == (DEV.hex().upper(), 10, b"\x01\x02\x03", 0)
    assert read.frequency == 868_100_000


def test_a_nonce_is_taken_once(server):
    with Gate(server) as gate:
        device = LorawanDevice(DEV, JOIN, KEY)
        join(gate, 4)
        for nonce in (4, 3, 0):
            assert gate.push(device.join_request(nonce)) == []
        assert server.refused == {"DevNonce has already been used": 3}
        join(gate, 5)


def test_strangers_and_forgeries_are_refused(server):
    with Gate(server) as gate:
        assert gate.push(LorawanDevice(bytes(8), JOIN, KEY).join_request(0)) == []
        assert gate.push(LorawanDevice(DEV, JOIN, bytes(16)).join_request(0)) == []
        session = join(gate)
        frame = session.encode_uplink(0, 10, b"abc")
        assert gate.push(frame[:-1] + bytes((frame[-1] ^ 1,))) == []
        assert gate.push(b"\x40" + bytes(11)) == []
        rnd = random.Random(1)
        for _ in range(300):
            assert gate.push(rnd.randbytes(rnd.randrange(1, 60))) == []
        assert not server.uplinks
        gate.push(frame)
        assert len(server.uplinks) == 1
        assert gate.push(session.encode_uplink(0, 10, b"abd")) == []
        assert len(server.uplinks) == 1


def answer(session, down, count):
    """What a downlink says, by pamoja."""
    return session.decode(down.payload, count)


def test_confirmed_uplinks_are_acknowledged_as_often_as_they_come(server):
    with Gate(server) as gate:
        session = join(gate)
        frame = session.encode_uplink(0, 10, b"abc", confirmed=True)
        for count in (0, 1):
            (down,) = gate.push(frame)
            assert down.start_us == gate.now_us + 1_000_000
            assert down.inverted and not down.crc
            assert answer(session, down, count).ack
        assert len(server.uplinks) == 1


def test_copies_of_several_gateways_count_once(server):
    with Gate(server) as one, Gate(server, "b827ebfffe010204") as two:
        session = join(one)
        two.now_us = one.now_us
        frame = session.encode_uplink(0, 10, b"abc", confirmed=True)
        assert len(one.push(frame)) == 1
        assert two.push(frame) == []
        assert len(server.uplinks) == 1


def test_link_check_and_time_are_answered(server):
    with Gate(server) as gate:
        session = join(gate)
        (down,) = gate.push(session.encode_uplink(0, 10, b"abc", fopts=b"\x02\x0d"), sf=10, snr=-3.0)
        said = answer(session, down, 0)
        assert said.fport is None and said.fopts[:3] == bytes((0x02, 12, 1))
        gps = (gate.now_us // 1000 - 315_964_800_000 + 18_000) // 1000
        assert said.fopts[3:] == b"\x0d" + gps.to_bytes(4, "little") + b"\0"
        (down,) = gate.push(session.encode_uplink(1, 0, b"\x02"), snr=0.0)
        assert answer(session, down, 1).fopts == bytes((0x02, 8, 1))


def test_downlinks_wait_and_say_that_more_do(server):
    with Gate(server) as gate:
        session = join(gate)
        server.send(DEV, 5, b"first")
        server.send(DEV, 5, b"second", confirmed=True)
        assert gate.push(b"\xff") == []
        (down,) = gate.push(session.encode_uplink(0, 10, b"a"))
        first = answer(session, down, 0)
        assert (first.fport, first.payload, first.fpending, first.confirmed) == (5, b"first", True, False)
        (down,) = gate.push(session.encode_uplink(1, 10, b"b"))
        second = answer(session, down, 1)
        assert (second.payload, second.fpending, second.confirmed) == (b"second", False, True)
        assert gate.push(session.encode_uplink(2, 10, b"c")) == []


def test_the_old_session_lives_until_the_new_one_speaks(server):
    with Gate(server) as gate:
        old = join(gate)
        gate.push(old.encode_uplink(0, 10, b"a"))
        new = join(gate, 1)  # and the accept is lost
        assert gate.push(old.encode_uplink(1, 10, b"b", confirmed=True))
        assert [one.payload for one in server.uplinks] == [b"a", b"b"]
        gate.push(new.encode_uplink(0, 10, b"c"))
        assert gate.push(old.encode_uplink(2, 10, b"d", confirmed=True)) == []
        assert [one.payload for one in server.uplinks] == [b"a", b"b", b"c"]


def test_data_rate_rises_then_power_falls(server):
    with Gate(server) as gate:
        session = join(gate)
        seen, rate, count, down_count = [], 0, 0, 0
        options = None
        for _ in range(80):
            answers = gate.push(
                session.encode_uplink(count, 10, b"abc", adr=True, fopts=options), sf=12 - rate, snr=4.0
            )
            count, options = count + 1, None
            if answers:
                said = answer(session, answers[0], down_count)
                down_count += 1
                assert said.fopts[0] == 0x03 and said.fopts[2:] == b"\x07\x00\x01"
                rate, power = said.fopts[1] >> 4, said.fopts[1] & 15
                seen.append((rate, power))
                options = b"\x03\x07"
    # 4 dB is 24 above what SF12 needs: four steps of 3 dB. At SF8 there are 14, one step.
    assert seen == [(4, 0), (5, 0)]


def test_a_device_that_refuses_is_asked_again_and_one_that_fell_back_starts_over():
    adaption = Adaption(5, 8)
    for _ in range(4):
        adaption.heard(0, 12, 0)
    assert adaption.wanted() == (3, 0)
    adaption.answered((3, 0))
    assert adaption.wanted() is None
    for _ in range(20):
        adaption.heard(5, 7, 12)
    assert adaption.wanted() == (5, 3)
    adaption.answered((5, 3))
    adaption.heard(2, 10, -14)
    assert (adaption.rate, adaption.power, len(adaption.snrs)) == (2, 0, 1)


def test_session_keys_are_those_that_pamoja_derives():
    device = LorawanDevice(DEV, JOIN, KEY)
    with NetworkServer() as running:
        running.register(DEV, JOIN, KEY)
        with Gate(running) as gate:
            (accept,) = gate.push(device.join_request(7))
    ours = accepted(KEY, accept.payload, 7)
    theirs = device.accept_join(accept.payload, 7).session()
    assert ours.address == theirs.dev_addr
    assert theirs.decode(ours.downlink(9, b"hello"), 0).payload == b"hello"
    assert "key" not in repr(ours)


def test_a_datagram_that_is_none_is_dropped():
    assert (
        gwmp.parse(b"") is None
        and gwmp.parse(b"\x01\0\0\x01") is None
        and gwmp.parse(b"\x02\0\0\x09") is None
    )
    assert gateway_encode(gateway_parse(gwmp.datagram(gwmp.PULL_DATA, 7, EUI))) == gwmp.datagram(
        gwmp.PULL_DATA, 7, EUI
    )
