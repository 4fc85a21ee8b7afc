"""Reports by MQTT: against a real broker, with bad addresses, refusals and bytes that are no report."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borne.broker import Broker
from borne.broker import parse as broker
from borne.decoding import SUPPRESSED, encode, listen
from borne.decoding.listen import Subscriber, hear, shown
from borne.errors import BrokerError, SettingError
from borne.virtual.broker import EmbeddedBroker

LIMIT_S = 10.0
# occupied 5, all 8 bays read.
ZONE = encode(10, 7, (5, 8))
LIGHT = encode(20, 3, (SUPPRESSED, 5, None, None, None))
FILL = encode(30, 9, (35, 12, None, None))


@pytest.fixture
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        running.allow("city", "city-password", everything=True)
        running.allow("fill-03", "node-password")
        yield running


def address(embedded: EmbeddedBroker, user: str = "city") -> Broker:
    return Broker(embedded.host, embedded.port, user=user)


def send(embedded: EmbeddedBroker, *messages: tuple[str, bytes], retain: bool = False) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.username_pw_set("city", "city-password")
    client.connect(embedded.host, embedded.port)
    client.loop_start()
    for topic, payload in messages:
        client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(LIMIT_S)
    client.disconnect()
    client.loop_stop()


# addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://host", Broker("host", 1883)),
        ("host", Broker("host", 1883)),
        ("host:1884", Broker("host", 1884)),
        ("mqtts://me@host/", Broker("host", 8883, True, "me")),
        ("mqtt://a%40b@[::1]:99", Broker("::1", 99, user="a@b")),
    ],
)
def test_an_address(url: str, expected: Broker) -> None:
    assert broker(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://host",
        "mqtt://",
        "mqtt://host:port",
        "mqtt://host:99999",
        "mqtt://host/topic",
        "mqtt://[::1",
    ],
)
def test_no_address(url: str) -> None:
    with pytest.raises(SettingError, match="of the form mqtt://"):
        broker(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingError, match="BORNE_MQTT_PASSWORD") as caught:
        broker("mqtt://me:hunter2@host")
    assert "hunter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_an_address_or_refused(url: str) -> None:
    try:
        assert broker(url).host
    except SettingError as error:
        assert "\n" not in str(error)


# messages


def test_a_message_is_decoded() -> None:
    heard = hear("borne/v1/parking-01/up/10", ZONE)
    assert (heard.name, heard.port, heard.reason) == ("parking-01", 10, "")
    assert heard.report is not None
    assert heard.report.value("occupied") == 5


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("borne/v1/x/up/10", b"\x00", "port 10"),
        ("borne/v1/x/up/99", b"\x00", "port 99"),
        ("borne/v1/x/up/ten", b"", "is no port"),
        ("borne/v1/x/up/-1", b"", "is no port"),
        ("borne/v1/x/up/\u0662", b"", "is no port"),
    ],
)
def test_bytes_that_are_no_report_are_told(topic: str, payload: bytes, reason: str) -> None:
    heard = hear(topic, payload)
    assert heard.report is None
    assert reason in heard.reason
    assert listen.as_json(heard, 1_805_079_600)["error"] == heard.reason


@given(st.binary(max_size=60), st.integers(min_value=0, max_value=300))
def test_any_bytes_are_heard(payload: bytes, port: int) -> None:
    heard = hear(f"borne/v1/x/up/{port}", payload)
    assert (heard.report is None) == bool(heard.reason)
    found = listen.as_json(heard, 1_805_079_600)
    assert json.loads(json.dumps(found)) == found
    if heard.report:
        assert all(one.text for one in shown(heard.report))


def test_the_keys_of_json_do_not_depend_on_the_message() -> None:
    payloads = [("10", ZONE), ("20", LIGHT), ("30", FILL), ("30", b"\x00"), ("7", b"")]
    keys = [list(listen.as_json(hear(f"borne/v1/x/up/{port}", data), 0)) for port, data in payloads]
    assert all(one == keys[0] for one in keys)


def test_marks_say_what_the_gate_did() -> None:
    zone, light, fill = (
        hear(f"borne/v1/x/up/{p}", data).report for p, data in ((10, ZONE), (20, LIGHT), (30, FILL))
    )
    assert zone and light and fill
    assert [(one.name, one.text, one.mark) for one in shown(zone)] == [
        ("occupied", "5 bays", "noised"),
        ("bays_ok", "8 bays", ""),
    ]
    assert [(one.text, one.mark) for one in shown(light)[:3]] == [
        ("suppressed", "suppressed"),
        ("100-300 lx", ""),
        ("unknown", "unknown"),
    ]
    assert [(one.text, one.mark) for one in shown(fill)[:2]] == [("35 %", "coarse"), ("12 °C", "")]


def test_the_bays_of_a_node_are_shown_together() -> None:
    report = hear("borne/v1/x/up/11", encode(11, 5, (0, 4, SUPPRESSED, None, None, None, None, None))).report
    assert report
    assert [(one.name, one.text, one.mark) for one in shown(report)] == [
        ("share", "0 4 x quarters", "noised")
    ]


# the link


def test_it_hears_what_arrives(embedded: EmbeddedBroker) -> None:
    with Subscriber(address(embedded), "city-password") as subscriber:
        send(
            embedded,
            ("borne/v1/fill-03/up/30", FILL),
            ("borne/v1/fill-03/down/5", b"x"),
            ("borne/v1/a/up/10", ZONE),
        )
        first, second = subscriber.next(LIMIT_S), subscriber.next(LIMIT_S)
    assert first and second
    assert (first.name, second.name) == ("fill-03", "a")


def test_the_password_comes_from_the_environment(
    embedded: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BORNE_MQTT_PASSWORD", "wrong")
    with pytest.raises(BrokerError, match="refuses: Not authorized") as caught:
        next(listen.listen(address(embedded)))
    assert "wrong" not in str(caught.value)


def test_who_gives_no_name_is_told_so(embedded: EmbeddedBroker) -> None:
    with pytest.raises(BrokerError, match="no user name given"):
        next(listen.listen(address(embedded, user="")))


def test_who_may_not_hear_is_told_so(embedded: EmbeddedBroker) -> None:
    with pytest.raises(BrokerError, match="does not let fill-03 hear"):
        next(listen.listen(address(embedded, user="fill-03"), "node-password"))


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_nobody_there() -> None:
    with pytest.raises(BrokerError, match="cannot be reached: Connection refused"):
        next(listen.listen(Broker("127.0.0.1", _closed_port())))


def test_no_broker_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(64)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(BrokerError, match="is it an MQTT broker"):
            next(listen.listen(Broker("127.0.0.1", server.getsockname()[1])))
        thread.join(LIMIT_S)


# the command


def run(*arguments: str, password: str = "city-password") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from borne.cli import main; main()", "listen", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"BORNE_MQTT_PASSWORD": password, "PYTHONUTF8": "1", "COLUMNS": "100"},
    )


@pytest.fixture
def waiting(embedded: EmbeddedBroker) -> EmbeddedBroker:
    """A broker that gives three messages to whoever subscribes: retained ones, so that nobody waits."""
    messages = [("a/up/10", ZONE), ("b/up/30", b"\x01"), ("c/up/20", LIGHT)]
    send(embedded, *((f"borne/v1/{topic}", payload) for topic, payload in messages), retain=True)
    return embedded


def url(embedded: EmbeddedBroker) -> str:
    return f"mqtt://city@{embedded.host}:{embedded.port}"


def test_listen_prints_a_line_a_message_and_goes_on_after_rubbish(waiting: EmbeddedBroker) -> None:
    with run("--mqtt", url(waiting), "--count", "3") as process:
        output, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, errors) == (0, f"borne: mqtt://{waiting.host}:{waiting.port}: listening\n")
    lines = sorted(line.split("  ", 1)[1] for line in output.splitlines())
    assert " ".join(lines[0].split()) == "a parking zone occupied ~5 bays, bays ok 8 bays 3 B"
    assert lines[1].split()[:3] == ["b", "not", "decoded:"]
    assert "suppressed" in lines[2]


def test_listen_writes_json(waiting: EmbeddedBroker) -> None:
    with run("--mqtt", url(waiting), "--count", "3", "--json") as process:
        output, _ = process.communicate(timeout=LIMIT_S)
    found = {one["name"]: one for one in map(json.loads, output.splitlines())}
    assert found["a"]["values"]["occupied"] == {"value": 5, "unit": "bays"}
    assert found["a"]["marks"] == {"occupied": "noised"}
    assert found["b"]["error"]
    assert found["c"]["marks"]["presence"] == "suppressed"


def test_ctrl_c_ends_it(waiting: EmbeddedBroker) -> None:
    with run("--mqtt", url(waiting)) as process:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "password", "code", "words"),
    [
        (["--mqtt", "mqtt://127.0.0.1:1"], "", 1, "cannot be reached"),
        (["--mqtt", "http://x"], "", 2, "mqtt://[USER@]HOST[:PORT]"),
        (["--mqtt", "mqtt://me:hunter2@x"], "", 2, "BORNE_MQTT_PASSWORD"),
    ],
)
def test_mistakes_get_one_line(arguments: list[str], password: str, code: int, words: str) -> None:
    with run(*arguments, password=password) as process:
        output, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, output) == (code, "")
    assert words in errors
    assert errors.count("\n") == 1
    assert "hunter2" not in errors


def test_a_wrong_password_is_told_without_it(embedded: EmbeddedBroker) -> None:
    with run("--mqtt", url(embedded), password="hunter2") as process:
        _, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    assert "Not authorized" in errors
    assert "hunter2" not in errors
