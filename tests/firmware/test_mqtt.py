"""The MQTT client against a broker in RAM that checks it, stalls, dies and lies."""

from clock import FakeClock
from mqtt_broker import FakeBroker
from net import FakeNet, Script
from support import raises

from borne_node.errors import LinkDown, LinkRefused
from borne_node.link.mqtt import Mqtt
from borne_node.link.stream import Limit, connect

NAME = "lamp-17"
UP = "borne/v1/lamp-17/up/"
DOWN = "borne/v1/lamp-17/down/"


def session(broker, clock=None, chunk=1500, user="", password=b""):
    clock = clock or FakeClock()
    net = FakeNet(clock, {("broker", 1883): broker}, chunk)
    mqtt = Mqtt(connect("broker", 1883, Limit(clock, 5000), net, net), clock, NAME)
    mqtt.connect(user, password)
    return mqtt


def test_reports_reach_their_topics():
    broker = FakeBroker()
    mqtt = session(broker)
    mqtt.publish(10, b"\x00\xff")
    mqtt.publish(223, b"")
    mqtt.publish(1, bytes(range(51)))
    mqtt.disconnect()
    assert broker.published == [(UP + "10", b"\x00\xff"), (UP + "223", b""), (UP + "1", bytes(range(51)))]
    assert broker.connections[0].farewell


def test_a_byte_at_a_time_is_enough():
    broker = FakeBroker()
    broker.subscriptions[NAME] = DOWN + "+"
    broker.queue(NAME, DOWN + "5", b"set")
    mqtt = session(broker, chunk=1)
    mqtt.publish(10, b"hello")
    assert broker.published == [(UP + "10", b"hello")]
    assert mqtt.downlink() == (5, b"set")


def test_it_subscribes_once_and_keeps_the_session():
    broker = FakeBroker()
    session(broker).disconnect()
    assert broker.subscriptions == {NAME: DOWN + "+"}
    broker.deny_subscription = True  # a second SUBSCRIBE would be refused
    session(broker).disconnect()


def test_user_and_password_are_checked_by_the_broker():
    broker = FakeBroker(users={"lamp-17": "s3cret"})
    session(broker, user="lamp-17", password=b"s3cret").disconnect()
    for user, password in (("lamp-17", b"wrong"), ("", b"s3cret"), ("lamp-17", b"")):
        with raises(LinkRefused) as caught:
            session(broker, user=user, password=password)
        assert "authorise" in str(caught.value)
        assert "s3cret" not in str(caught.value)


def test_only_what_is_set_is_sent():
    broker = FakeBroker()
    for user, password, flags in (("", b"", 0), ("", b"s3cret", 0), ("u", b"", 0x80), ("u", b"s3cret", 0xC0)):
        session(broker, user=user, password=password).disconnect()
        assert broker.connections[-1].flags == flags


def test_a_long_user_name_and_password_need_two_bytes_of_length():
    broker = FakeBroker(users={"u" * 64: "p" * 128})
    session(broker, user="u" * 64, password=b"p" * 128).disconnect()


def test_each_refusal_has_its_reason():
    for code, kind, word in (
        (1, LinkRefused, "3.1.1"),
        (2, LinkRefused, "client id"),
        (3, LinkDown, "unavailable"),
        (4, LinkRefused, "password"),
        (5, LinkRefused, "authorise"),
        (6, LinkRefused, "6"),
        (255, LinkRefused, "255"),
    ):
        broker = FakeBroker()
        broker.refuse = code
        with raises(LinkDown) as caught:
            session(broker)
        assert type(caught.value) is kind and word in str(caught.value), code


def test_a_refused_subscription_is_said():
    broker = FakeBroker()
    broker.deny_subscription = True
    with raises(LinkRefused) as caught:
        session(broker)
    assert "downlinks" in str(caught.value)


def test_a_silent_broker_costs_a_limited_time():
    for silent, at_most_ms in ((0x10, 15_000), (0x80, 15_000), (0x30, 10_000)):
        clock = FakeClock()
        broker = FakeBroker()
        broker.silent = (silent,)
        with raises(LinkDown) as caught:
            session(broker, clock).publish(10, b"x")
        assert "in time" in str(caught.value)
        assert clock.slept_ms <= at_most_ms


def test_the_limit_holds_where_ticks_wrap():
    for short_of in (1, 3000, 9999):
        clock = FakeClock()
        clock.sleep_ms((1 << 30) - short_of)
        broker = FakeBroker()
        broker.silent = (0x30,)
        before = clock.slept_ms
        with raises(LinkDown):
            session(broker, clock).publish(10, b"x")
        assert clock.slept_ms - before == 10_000


class StoppedClock(FakeClock):
    """A street's clock: it stands still while a node runs."""

    def ticks_ms(self):
        return 0


def test_the_limit_holds_where_the_clock_stands_still():
    clock = StoppedClock()
    broker = FakeBroker()
    broker.silent = (0x30,)
    with raises(LinkDown):
        session(broker, clock).publish(10, b"x")
    assert clock.slept_ms == 10_000


def test_a_broker_that_dies_anywhere_is_link_down():
    for dies in (0x10, 0x80, 0x30):
        broker = FakeBroker()
        broker.dies = (dies,)
        with raises(LinkDown):
            session(broker).publish(10, b"x")
        assert broker.published == []


def test_queued_downlinks_come_one_at_a_time_and_are_acknowledged_when_the_caller_comes_back():
    broker = FakeBroker()
    session(broker).disconnect()
    broker.queue(NAME, DOWN + "5", b"one")
    broker.queue(NAME, DOWN + "6", b"two")
    mqtt = session(broker)
    mqtt.publish(10, b"a")
    assert mqtt.downlink() == (5, b"one")
    assert len(broker.queues[NAME]) == 2
    mqtt.publish(10, b"b")
    assert broker.queues[NAME] == [(DOWN + "6", b"two", 1)]
    # A cut here, before the caller comes back, must not lose the second.
    assert mqtt.downlink() == (6, b"two")
    mqtt = session(broker)
    mqtt.publish(10, b"c")
    assert mqtt.downlink() == (6, b"two")
    mqtt.disconnect()
    assert broker.queues[NAME] == []


def test_a_downlink_that_arrives_later_in_the_session():
    broker = FakeBroker()
    mqtt = session(broker)
    assert mqtt.downlink() is None
    broker.queue(NAME, DOWN + "5", b"late")
    broker.connections[0].deliver()
    assert mqtt.downlink() == (5, b"late")
    assert mqtt.downlink() is None
    assert broker.queues[NAME] == []


def test_more_downlinks_than_are_held_stay_with_the_broker():
    broker = FakeBroker()
    session(broker).disconnect()
    for number in range(7):
        broker.queue(NAME, DOWN + "5", b"%d" % number)
    sessions = []
    for _ in range(3):
        mqtt = session(broker)
        mqtt.publish(10, b"x")
        sessions.append([])
        downlink = mqtt.downlink()
        while downlink:
            sessions[-1].append(downlink[1])
            downlink = mqtt.downlink()
        mqtt.disconnect()
    assert sessions == [[b"0", b"1", b"2", b"3"], [b"4", b"5", b"6"], []]


def test_what_is_no_downlink_is_acknowledged_and_forgotten():
    broker = FakeBroker()
    session(broker).disconnect()
    for topic, payload in (
        (DOWN + "5", bytes(52)),
        (DOWN + "5", bytes(60_000)),
        (DOWN + "0", b"x"),
        (DOWN + "224", b"x"),
        (DOWN + "5x", b"x"),
        (DOWN + "-5", b"x"),
        (DOWN, b"x"),
        (DOWN + "5/6", b"x"),
        ("borne/v1/lamp-18/down/5", b"x"),
        ("", b"x"),
        ("t" * 3000, b"x"),
    ):
        broker.queue(NAME, topic, payload)
    broker.queue(NAME, DOWN + "5", b"good")
    mqtt = session(broker)
    mqtt.publish(10, b"x")
    assert mqtt.downlink() == (5, b"good")
    mqtt.disconnect()
    assert broker.queues[NAME] == []


def test_a_huge_message_is_acknowledged_before_it_ends_the_session():
    broker = FakeBroker()
    session(broker).disconnect()
    broker.queue(NAME, DOWN + "5", bytes(70_000))
    with raises(LinkDown):
        session(broker).publish(10, b"first")
    assert broker.queues[NAME] == []
    session(broker).publish(10, b"second")


def test_quality_of_service_0_is_taken_and_2_is_not():
    broker = FakeBroker()
    session(broker).disconnect()
    broker.queue(NAME, DOWN + "5", b"zero", qos=0)
    mqtt = session(broker)
    mqtt.publish(10, b"x")
    assert mqtt.downlink() == (5, b"zero")
    broker.queues[NAME] = [(DOWN + "5", b"two", 2)]
    with raises(LinkDown):
        session(broker).publish(10, b"x")


def test_a_broker_that_only_talks_is_left():
    broker = FakeBroker()
    session(broker).disconnect()
    broker.silent = (0x30,)
    for _ in range(100):
        broker.queue(NAME, DOWN + "5", b"x", qos=0)
    with raises(LinkDown) as caught:
        session(broker).publish(10, b"x")
    assert "everything but" in str(caught.value)


def against(data, closed):
    clock = FakeClock()
    net = FakeNet(clock, {("broker", 1883): lambda: Script(data, closed)})
    mqtt = Mqtt(connect("broker", 1883, Limit(clock, 5000), net, net), clock, NAME)
    try:
        mqtt.connect()
        mqtt.publish(10, b"x")
        mqtt.downlink()
        mqtt.disconnect()
        return True
    except LinkDown:
        return False
    finally:
        assert clock.slept_ms <= 40_000


def test_malformed_answers_are_link_down():
    good = b"\x20\x02\x01\x00"
    acknowledged = b"\x40\x02\x00\x02"
    assert against(good + acknowledged, False)
    for data in (
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00",
        b"\x20\x03\x00\x00\x00",
        b"\x20\xff\xff\xff\xff\x7f",
        b"\x30\x02\x00\x00",
        good + b"\x40\x02\x00\x09",
        good + b"\x40\x06\x00\x02\x30\x02\x00\x00",
        good + b"\x32\x01\x00" + acknowledged,
        good + b"\x32\x03\x00\xff\x00" + acknowledged,
        good + b"\x32\x03\x00\xff\x00",
        good + b"\x32\x05\x00\x01a\x00\x00" + acknowledged,
        good + b"\x32\x02\x00\x00\x00\x07" + acknowledged,
        good + b"\x36\x05\x00\x01a\x00\x01",
        good + b"\x30\xff\xff\xff\x7f\xff\xff",
        good + b"\xd0\x00",
        good + b"\x00\x00",
    ):
        for closed in (False, True):
            assert not against(data, closed), data


def test_any_bytes_are_link_down_at_worst():
    state = 1
    for length in range(300):
        data = bytearray()
        for _ in range(length % 40):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            data.append(state >> 16 & 0xFF)
        if length % 3:
            data = b"\x20\x02\x01\x00" + bytes((0x30 | data[0] & 0x0F,) if data else ()) + bytes(data)
        against(data, bool(length & 1))
