"""The embedded broker, spoken to by a client that is not ours (paho-mqtt), and limits that it states."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest

from borne.errors import BrokerError
from borne.virtual.broker import EmbeddedBroker

LIMIT_S = 10.0


class Client:
    """paho-mqtt with answers that can be waited for."""

    def __init__(self, broker: EmbeddedBroker, user: str, password: str, *, clean: bool = False) -> None:
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[tuple[str, object]] = queue.Queue()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=user, clean_session=clean, reconnect_on_failure=False
        )
        self.client.username_pw_set(user, password)
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_connect = lambda client, data, flags, code, more: self.answers.put(("connect", code))
        self.client.on_subscribe = lambda client, data, mid, codes, more: self.answers.put(("sub", codes[0]))
        self.client.on_disconnect = lambda client, data, flags, code, more: self.answers.put(("end", code))
        self.client.connect(broker.host, broker.port, keepalive=60)
        self.client.loop_start()
        self.refused = self.answer("connect").is_failure
        if self.refused:
            self.client.loop_stop()

    def answer(self, what: str):
        kind, value = self.answers.get(timeout=LIMIT_S)
        assert kind == what
        return value

    def subscribe(self, topic: str) -> bool:
        self.client.subscribe(topic, qos=1)
        return not self.answer("sub").is_failure

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self.client.publish(topic, payload, qos=qos).wait_for_publish(LIMIT_S)

    def next(self) -> mqtt.MQTTMessage:
        return self.messages.get(timeout=LIMIT_S)

    def end(self) -> None:
        self.client.disconnect()
        self.answer("end")
        self.client.loop_stop()


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        broker.allow("city", "city-password", everything=True)
        broker.allow("light-02", "node-password")
        yield broker


def test_a_report_of_a_node_reaches_who_hears_all(broker: EmbeddedBroker) -> None:
    city = Client(broker, "city", "city-password")
    assert city.subscribe("borne/v1/+/up/+")
    node = Client(broker, "light-02", "node-password")
    node.publish("borne/v1/light-02/up/20", b"\x01\x02")
    message = city.next()
    assert (message.topic, message.payload, message.qos) == ("borne/v1/light-02/up/20", b"\x01\x02", 1)
    assert broker.handed_on == 1
    node.end()
    city.end()


def test_what_was_received_is_counted_before_it_is_acknowledged(broker: EmbeddedBroker) -> None:
    node = Client(broker, "light-02", "node-password")
    for number in range(50):
        node.publish("borne/v1/light-02/up/20", bytes([number]))
        assert broker.handed_on == number + 1
    node.end()


def test_order_is_kept(broker: EmbeddedBroker) -> None:
    city = Client(broker, "city", "city-password")
    city.subscribe("borne/v1/+/up/+")
    node = Client(broker, "light-02", "node-password")
    for number in range(100):
        node.publish("borne/v1/light-02/up/20", bytes([number]))
    assert [city.next().payload[0] for _ in range(100)] == list(range(100))
    node.end()
    city.end()


def test_a_session_that_is_away_gets_what_it_missed(broker: EmbeddedBroker) -> None:
    node = Client(broker, "light-02", "node-password")
    node.subscribe("borne/v1/light-02/down/+")
    node.end()
    city = Client(broker, "city", "city-password")
    city.subscribe("borne/v1/+/down/+")
    for number in range(20):
        city.publish("borne/v1/light-02/down/5", bytes([number]))
    # Once the last came back to the city, all of them are in the queue of the node that is away.
    assert [city.next().payload[0] for _ in range(20)] == list(range(20))
    node = Client(broker, "light-02", "node-password")
    assert [node.next().payload[0] for _ in range(20)] == list(range(20))
    node.end()
    city.end()


def test_what_waited_is_marked_as_retained(broker: EmbeddedBroker) -> None:
    """A limit of amqtt, against [MQTT-3.3.1-9]: a node must not take the flag for a stale command."""
    node = Client(broker, "light-02", "node-password")
    node.subscribe("borne/v1/light-02/down/+")
    node.end()
    city = Client(broker, "city", "city-password")
    city.subscribe("borne/v1/+/down/+")
    city.publish("borne/v1/light-02/down/5", b"x")
    assert not city.next().retain
    node = Client(broker, "light-02", "node-password")
    assert node.next().retain
    node.end()
    city.end()


def test_a_clean_session_gets_nothing_that_it_missed(broker: EmbeddedBroker) -> None:
    node = Client(broker, "light-02", "node-password", clean=True)
    node.subscribe("borne/v1/light-02/down/+")
    node.end()
    city = Client(broker, "city", "city-password")
    city.publish("borne/v1/light-02/down/5", b"missed")
    node = Client(broker, "light-02", "node-password", clean=True)
    node.subscribe("borne/v1/light-02/down/+")
    city.publish("borne/v1/light-02/down/5", b"heard")
    assert node.next().payload == b"heard"
    node.end()
    city.end()


@pytest.mark.parametrize(
    ("user", "password"), [("light-02", "wrong"), ("nobody", ""), ("nobody", "x"), ("", "x")]
)
def test_a_stranger_is_refused(broker: EmbeddedBroker, user: str, password: str) -> None:
    assert Client(broker, user, password, clean=True).refused


def test_a_node_cannot_speak_for_another(broker: EmbeddedBroker) -> None:
    city = Client(broker, "city", "city-password")
    city.subscribe("borne/v1/+/up/+")
    node = Client(broker, "light-02", "node-password")
    node.publish("borne/v1/parking-01/up/10", b"forged")
    node.publish("borne/v1/light-02/down/5", b"to itself")
    node.publish("borne/v1/light-02/up/20", b"own")
    assert city.next().payload == b"own"
    assert (broker.accounts.received, broker.handed_on) == (3, 1)
    node.end()
    city.end()


def test_a_node_cannot_hear_another(broker: EmbeddedBroker) -> None:
    node = Client(broker, "light-02", "node-password")
    assert not node.subscribe("borne/v1/parking-01/down/5")
    assert not node.subscribe("borne/v1/+/up/+")
    assert not node.subscribe("#")
    assert node.subscribe("borne/v1/light-02/down/+")
    node.end()


def test_passwords_stay_out_of_what_is_printed(broker: EmbeddedBroker) -> None:
    assert "node-password" not in repr(broker.accounts)
    with pytest.raises(ValueError, match="empty"):
        broker.allow("open", "")


def test_it_ends_with_clients_connected_and_leaves_nothing() -> None:
    before = threading.active_count()
    with EmbeddedBroker() as broker:
        broker.allow("city", "city-password", everything=True)
        city = Client(broker, "city", "city-password")
        port = broker.port
    city.answer("end")
    city.client.loop_stop()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)


def test_a_connection_that_says_nothing_does_not_hold_up_the_end() -> None:
    with EmbeddedBroker() as broker:
        silent = socket.create_connection((broker.host, broker.port), timeout=LIMIT_S)
    assert silent.recv(1) == b""
    silent.close()


def test_a_wrong_password_throws_out_the_session(broker: EmbeddedBroker) -> None:
    """A limit of amqtt: on a loopback it may stand, as a broker in a town it must not."""
    node = Client(broker, "light-02", "node-password")
    assert Client(broker, "light-02", "wrong").refused
    node.answer("end")
    node.client.loop_stop()


def test_rubbish_does_not_stop_it(broker: EmbeddedBroker) -> None:
    with socket.create_connection((broker.host, broker.port), timeout=LIMIT_S) as other:
        other.sendall(b"GET / HTTP/1.1\r\n\r\n")
        other.shutdown(socket.SHUT_WR)
        while other.recv(64):
            pass
    node = Client(broker, "light-02", "node-password")
    assert not node.refused
    node.end()


def test_it_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with EmbeddedBroker() as broker:
        Client(broker, "stranger", "x", clean=True)
        socket.create_connection((broker.host, broker.port), timeout=LIMIT_S).close()
    assert capfd.readouterr() == ("", "")


def test_a_broker_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = EmbeddedBroker()
    monkeypatch.setattr(broker, "host", "203.0.113.1")  # TEST-NET-3, RFC 5737: nobody's own address
    with pytest.raises(BrokerError, match="does not start"):
        broker.__enter__()
