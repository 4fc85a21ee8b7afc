"""Whatever bytes a broker sends, the node's client takes limited time and memory and ends in LinkDown at worst."""

from __future__ import annotations

from clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from net import FakeNet, Script

from borne_node.errors import LinkDown
from borne_node.link.mqtt import Mqtt
from borne_node.link.stream import Limit, connect

CONNACK = b"\x20\x02\x01\x00"
LONGEST_MS = (
    40_000  # one limit for the connection, one for the report, one for the downlink, one for the farewell
)


def packet(kind: int, body: bytes, size: int | None = None) -> bytes:
    size = len(body) if size is None else size
    length = bytearray()
    while True:
        size, digit = size >> 7, size & 0x7F
        length.append(digit | (0x80 if size else 0))
        if not size:
            return bytes((kind,)) + bytes(length) + body


PACKETS = st.builds(
    packet,
    st.integers(0, 255) | st.sampled_from([0x20, 0x30, 0x32, 0x40, 0x90]),
    st.binary(max_size=80) | st.just(b"\x00\x1aborne/v1/lamp-17/down/5\x00\x01x") | st.just(b"\x00\x02"),
    st.none() | st.integers(0, 0x0FFFFFFF),
)
STREAMS = st.binary(max_size=200) | st.builds(
    lambda packets: CONNACK + b"".join(packets), st.lists(PACKETS, max_size=12)
)


@given(STREAMS, st.booleans(), st.integers(1, 300))
def test_any_bytes(data: bytes, hangs_up: bool, chunk: int) -> None:
    clock = FakeClock()
    net = FakeNet(clock, {("broker", 1883): lambda: Script(data, hangs_up)}, chunk)
    mqtt = Mqtt(connect("broker", 1883, Limit(clock, 5000), net, net), clock, "lamp-17")
    try:
        mqtt.connect("user", b"s3cret")
        mqtt.publish(10, b"report")
        for _ in range(20):
            downlink = mqtt.downlink()
            if downlink is None:
                break
            assert 1 <= downlink[0] <= 223
            assert len(downlink[1]) <= 51
        mqtt.disconnect()
    except LinkDown as down:
        assert "s3cret" not in str(down)
        assert "\n" not in str(down)
    assert clock.slept_ms <= LONGEST_MS


@given(st.lists(st.tuples(st.integers(1, 223), st.binary(max_size=51)), max_size=4), st.integers(1, 40))
def test_well_formed_downlinks_come_through_whole(messages: list[tuple[int, bytes]], chunk: int) -> None:
    data = CONNACK
    for number, (port, payload) in enumerate(messages, 1):
        topic = b"borne/v1/lamp-17/down/%d" % port
        body = len(topic).to_bytes(2, "big") + topic + number.to_bytes(2, "big") + payload
        data += packet(0x32, body)
    clock = FakeClock()
    net = FakeNet(clock, {("broker", 1883): lambda: Script(data + b"\x40\x02\x00\x02", False)}, chunk)
    mqtt = Mqtt(connect("broker", 1883, Limit(clock, 5000), net, net), clock, "lamp-17")
    mqtt.connect()
    mqtt.publish(10, b"report")
    assert [mqtt.downlink() for _ in messages] == messages
    assert mqtt.downlink() is None
