"""The network server of the virtual air, by its UDP port: a gateway by hand, and pamoja's devices."""

from __future__ import annotations

import json
import random
import socket

import pytest
from pamoja._native import LorawanDevice, gateway_encode, gateway_parse

from borne.decoding import envelopes
from borne.virtual.air import gwmp
from borne.virtual.air.adr import Adaption
from borne.virtual.air.server import NetworkServer, chirpstack_event
from borne.virtual.air.session import accepted
from borne.virtual.silicon.lora_air import Transmission

EUI = "b827ebfffe010203"
DEV, JOIN, KEY = bytes(range(8)), bytes(8), bytes(range(16))


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
