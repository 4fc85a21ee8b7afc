"""The node's outbox and MQTT client, on MicroPython and CPython, against real brokers, plain and over TLS."""

from __future__ import annotations

import json
import queue
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from mqtt_broker import FakeBroker
from real_brokers import (
    KINDS,
    LIMIT_S,
    PASSWORD,
    USER,
    Authority,
    Broker,
    free_port,
    issue_server_certificates,
    listening,
)

TESTS = Path(__file__).parents[1]
INTERPRETERS = {
    "cpython": [sys.executable],
    "micropython": [
        str(Path(sys.executable).with_name("micropython"))
        if Path(sys.executable).with_name("micropython").exists()
        else shutil.which("micropython") or "micropython",
        "-X",
        "heapsize=100wK",
    ],
}
# Where a peer is silent the node's clock runs this much faster, so that its limits of 10 and 15 s pass at
# once.
FAST = 60


class Node:
    """A node whose outbox lies in a folder; each `wake` is a process."""

    def __init__(self, interpreter: str, folder: Path) -> None:
        self.command = INTERPRETERS[interpreter]
        self.folder = folder
        self.name = f"node-{interpreter}-{abs(hash(folder)) % 10**9}"
        self.up = f"borne/v1/{self.name}/up/"
        self.down = f"borne/v1/{self.name}/down/"
        self.output = ""

    def wake(
        self,
        port: int,
        *reports: bytes,
        tls: bool = False,
        speed: int = 1,
        user: str = USER,
        **secrets: bytes,
    ) -> dict[str, object]:
        settings = {
            "name": self.name,
            "wifi_ssid": "street",
            "mqtt_host": "localhost",
            "mqtt_port": port,
            "mqtt_tls": tls,
            "mqtt_user": user,
            "ntp_host": "",
        }
        task = {
            "settings": settings,
            "secrets": {name: value.hex() for name, value in secrets.items()},
            "folder": str(self.folder / "outbox"),
            "put": [[10, report.hex()] for report in reports],
            "speed": speed,
        }
        script = [str(TESTS / "fakes/mqtt_node.py"), str(TESTS.parent / "firmware"), str(TESTS / "fakes")]
        done = subprocess.run(
            [*self.command, *script],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        self.output = done.stdout + done.stderr
        assert done.returncode == 0, self.output
        return json.loads(done.stdout)  # type: ignore[no-any-return]


class Listener:
    """A client that is not ours; hears everything and publishes downlinks."""

    def __init__(self, port: int) -> None:
        self.heard: queue.Queue[tuple[str, bytes]] = queue.Queue()
        ready: queue.Queue[bool] = queue.Queue()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        self.client.username_pw_set(USER, PASSWORD)
        self.client.on_message = lambda client, data, message: self.heard.put(
            (message.topic, message.payload)
        )
        self.client.on_subscribe = lambda *arguments: ready.put(True)
        self.client.on_connect = lambda client, *arguments: client.subscribe("borne/v1/+/up/+", qos=1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        ready.get(timeout=LIMIT_S)

    def next(self) -> tuple[str, bytes]:
        return self.heard.get(timeout=LIMIT_S)

    def say(self, topic: str, payload: bytes) -> None:
        self.client.publish(topic, payload, qos=1).wait_for_publish(LIMIT_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    issue_server_certificates(made)
    return made


@pytest.fixture(scope="module", params=KINDS)
def broker(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    made = Broker(request.param, tmp_path_factory.mktemp("broker"), authority)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def listen() -> Iterator[Callable[[Broker], Listener]]:
    made: list[Listener] = []

    def listen_to(broker: Broker) -> Listener:
        made.append(Listener(broker.port))
        return made[-1]

    yield listen_to
    for listener in made:
        listener.close()


@pytest.fixture(params=INTERPRETERS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(request.param, tmp_path)


def test_reports_arrive_in_order(node: Node, broker: Broker, listen: Callable[[Broker], Listener]) -> None:
    listener = listen(broker)
    reports = [b"", b"\x00\x01\xff", bytes(range(51))]
    result = node.wake(broker.port, *reports, mqtt_password=PASSWORD.encode())
    assert result == {"downlinks": [], "error": None, "waiting": 0, "dropped": 0}
    assert [listener.next() for _ in reports] == [(node.up + "10", report) for report in reports]


def test_a_downlink_waits_for_the_next_wake_and_comes_once(
    node: Node, broker: Broker, listen: Callable[[Broker], Listener]
) -> None:
    secret = {"mqtt_password": PASSWORD.encode()}
    node.wake(broker.port, b"first", **secret)
    listen(broker).say(node.down + "5", b"\x01\x02")
    downlinks: list[object] = []
    # amqtt sends its queue beside the answers, so a downlink may come with the second report.
    downlinks += node.wake(broker.port, b"second", b"third", b"fourth", **secret)["downlinks"]  # type: ignore[operator]
    assert downlinks == [[5, "0102"]]
    assert node.wake(broker.port, b"fifth", **secret)["downlinks"] == []


@pytest.mark.parametrize("password", [b"wrong-guess", b""])
def test_a_wrong_password_is_refused_and_not_repeated(node: Node, broker: Broker, password: bytes) -> None:
    result = node.wake(broker.port, b"report", mqtt_password=password)
    assert result["error"][0] == "LinkRefused"  # type: ignore[index]
    assert result["waiting"] == 1
    assert "wrong-guess" not in node.output


def test_over_tls_with_a_checked_certificate(
    node: Node, broker: Broker, authority: Authority, listen: Callable[[Broker], Listener]
) -> None:
    listener = listen(broker)
    result = node.wake(
        broker.tls["good"], b"sealed", tls=True, mqtt_ca=authority.der, mqtt_password=PASSWORD.encode()
    )
    assert result["error"] is None
    assert listener.next() == (node.up + "10", b"sealed")


@pytest.mark.parametrize("certificate", ["wrong", "expired", "unknown"])
def test_a_certificate_that_is_not_good_is_refused(
    node: Node, broker: Broker, authority: Authority, certificate: str, tmp_path: Path
) -> None:
    ca = Authority(tmp_path, "stranger").der if certificate == "unknown" else authority.der
    port = broker.tls["good" if certificate == "unknown" else certificate]
    result = node.wake(port, b"sealed", tls=True, mqtt_ca=ca, mqtt_password=PASSWORD.encode())
    assert result["error"][0] == "LinkRefused", result  # type: ignore[index]
    assert "certificate" in result["error"][1]  # type: ignore[index]
    assert result["waiting"] == 1
    assert PASSWORD not in node.output


def test_tls_never_falls_back(node: Node, broker: Broker, authority: Authority) -> None:
    plain = node.wake(broker.port, b"sealed", tls=True, speed=FAST, mqtt_ca=authority.der)
    assert plain["error"] is not None
    for ca in (b"", b"no certificate"):
        result = node.wake(broker.tls["good"], tls=True, mqtt_ca=ca)
        assert result["error"][0] == "LinkRefused"  # type: ignore[index]
        assert "mqtt_ca" in result["error"][1]  # type: ignore[index]
        assert result["waiting"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_away_for_hours_loses_nothing(
    node: Node, kind: str, tmp_path: Path, listen: Callable[[Broker], Listener]
) -> None:
    broker = Broker(kind, tmp_path)
    secret = {"mqtt_password": PASSWORD.encode()}
    reports = [b"%d" % number for number in range(9)]
    for number, report in enumerate(reports[:8]):
        result = node.wake(broker.port, report, **secret)
        assert result["error"][0] == "LinkDown"  # type: ignore[index]
        assert result["waiting"] == number + 1
    broker.start()
    try:
        listener = listen(broker)
        result = node.wake(broker.port, reports[8], **secret)
        assert result == {"downlinks": [], "error": None, "waiting": 0, "dropped": 0}
        assert [listener.next()[1] for _ in reports] == reports
    finally:
        broker.stop()


def test_a_broker_that_dies_in_the_middle_gets_the_same_bytes_again(node: Node) -> None:
    fake = FakeBroker()
    fake.dies = (0x30,)
    with listening(fake) as port:
        result = node.wake(port, b"one", b"two", user="")
        assert result["error"] == ["LinkDown", "the broker hung up"]
        assert result["waiting"] == 2
        fake.dies = ()
        assert node.wake(port, user="")["waiting"] == 0
    assert fake.published == [(node.up + "10", b"one"), (node.up + "10", b"two")]


@pytest.mark.parametrize("silent", [0x10, 0x80, 0x30])
def test_a_broker_that_falls_silent_does_not_hold_the_node(node: Node, silent: int) -> None:
    fake = FakeBroker()
    fake.silent = (silent,)
    with listening(fake) as port:
        result = node.wake(port, b"one", user="", speed=FAST)
    assert result["error"] == ["LinkDown", "no answer in time"]
    assert result["waiting"] == 1


def test_a_peer_that_is_silent_in_the_handshake_does_not_hold_the_node(
    node: Node, authority: Authority
) -> None:
    with listening(None) as port:
        result = node.wake(port, b"one", tls=True, mqtt_ca=authority.der, speed=FAST)
    assert result["error"] == ["LinkDown", "no answer in time"]


def test_nobody_listens(node: Node) -> None:
    result = node.wake(free_port(), b"one")
    assert result["error"][0] == "LinkDown"  # type: ignore[index]
    assert "cannot connect" in result["error"][1]  # type: ignore[index]


def test_a_client_certificate(node: Node, authority: Authority) -> None:
    # MicroPython's mbedTLS speaks TLS 1.2, CPython 1.3, where the refusal comes only after the handshake.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "good.crt", authority.folder / "good.key")
    context.load_verify_locations(authority.path)
    context.verify_mode = ssl.CERT_REQUIRED
    _, _, certificate, key = authority.issue("node")
    fake = FakeBroker()
    with listening(fake, context) as port:
        without = node.wake(port, b"sealed", tls=True, user="", mqtt_ca=authority.der)
        assert without["error"][0] == "LinkDown", without  # type: ignore[index]
        assert fake.published == []
        shown = node.wake(port, tls=True, user="", mqtt_ca=authority.der, mqtt_cert=certificate, mqtt_key=key)
        assert shown["error"] is None
        broken = node.wake(port, b"x", tls=True, user="", mqtt_ca=authority.der, mqtt_cert=b"x", mqtt_key=key)
        assert broken["error"][0] == "LinkRefused"  # type: ignore[index]
    assert fake.published == [(node.up + "10", b"sealed")]
