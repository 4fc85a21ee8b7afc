"""The Wi-Fi link over a radio, a network and a broker in RAM."""

from clock import FakeClock
from mqtt_broker import FakeBroker
from net import FakeNet
from support import raises
from wlan import FakeWlan

from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.link.wifi import WifiLink

SETTINGS = {
    "name": "lamp-17",
    "wifi_ssid": "street",
    "mqtt_host": "broker",
    "mqtt_port": 1883,
    "mqtt_tls": False,
    "mqtt_user": "",
    "ntp_host": "ntp.example",
}
PASSWORD = b"kerb stone"
SECRETS = {"wifi_password": PASSWORD}


class Ntp:
    """MicroPython's ntptime: `host` and `timeout` are set on it, `time()` counts from the port's epoch."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.host = None
        self.timeout = None

    def time(self):
        if self.host != "ntp.example" or not 1 <= self.timeout <= 5:
            raise AssertionError("asked %s for %s s" % (self.host, self.timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Place:
    """A street with an access point and a broker, and one node's link to them."""

    def __init__(self, settings=None, secrets=SECRETS, networks=None, broker=None, ntp=(), peers=None):
        self.clock = FakeClock()
        self.broker = broker or FakeBroker()
        self.wlan = FakeWlan(self.clock, networks or {"street": "kerb stone"})
        self.net = FakeNet(self.clock, {("broker", 1883): self.broker} if peers is None else peers)
        self.ntp = Ntp(ntp)
        complete = dict(SETTINGS)
        complete.update(settings or {})
        self.link = WifiLink(self.wlan, complete, secrets, self.clock, self.net, self.net, None, self.ntp)


def test_open_send_close():
    place = Place()
    place.link.open()
    assert place.link.send(10, b"abc") is None
    assert place.link.send(1, b"health") is None
    place.link.close()
    assert place.broker.published == [
        ("borne/v1/lamp-17/up/10", b"abc"),
        ("borne/v1/lamp-17/up/1", b"health"),
    ]
    assert len(place.broker.connections) == 1
    assert place.broker.connections[0].farewell
    assert not place.wlan.on
    assert place.net.open_sockets() == 0


def test_a_downlink_comes_with_the_next_report():
    place = Place()
    place.broker.subscriptions["lamp-17"] = "borne/v1/lamp-17/down/+"
    place.broker.queue("lamp-17", "borne/v1/lamp-17/down/5", b"\x01\x02")
    place.link.open()
    assert place.link.send(10, b"abc") == (5, b"\x01\x02")
    place.link.close()
    assert place.broker.queues["lamp-17"] == []


def test_an_open_network_needs_no_password():
    for secrets in ({}, {"wifi_password": b""}):
        place = Place(secrets=secrets, networks={"street": ""})
        place.link.open()
        assert place.link.send(10, b"abc") is None
        place.link.close()


def test_why_there_is_no_association():
    for networks, lost, kind, words in (
        ({"other": ""}, 0, LinkDown, "not found"),
        ({"street": "other"}, 0, LinkDown, "wrong password, or"),
        (None, 200, LinkDown, "signal lost"),
        (None, 202, LinkRefused, "wrong password"),
        (None, 203, LinkDown, "does not accept"),
        (None, 204, LinkDown, "wrong password, or"),
        (None, 210, LinkRefused, "security"),
        (None, 212, LinkDown, "weak"),
        (None, 8, LinkDown, "status 8"),
    ):
        place = Place(networks=networks)
        place.wlan.lost = lost
        with raises(LinkDown) as caught:
            place.link.open()
        assert type(caught.value) is kind, lost
        assert words in str(caught.value) and "street" in str(caught.value), caught.value
        assert "kerb" not in str(caught.value)
        place.link.close()
        assert not place.wlan.on


def test_association_has_a_limit():
    place = Place()
    place.wlan.takes_ms = 10_000_000
    with raises(LinkDown):
        place.link.open()
    assert place.clock.slept_ms <= 20_100


def test_a_slow_access_point_is_waited_for():
    place = Place()
    place.wlan.takes_ms = 15_000
    place.link.open()
    place.link.close()


def test_an_attempt_that_fails_is_not_the_end():
    place = Place()
    place.wlan.lost = 201
    place.wlan.lost_for_ms = 4000
    place.link.open()
    place.link.close()


def test_a_driver_that_fails_is_link_down_and_the_radio_goes_off():
    place = Place()
    place.wlan.broken = True
    with raises(LinkDown):
        place.link.open()
    place.link.close()
    assert not place.wlan.on


def test_close_never_raises():
    place = Place()
    place.link.close()
    place.link.open()
    place.link.close()
    place.link.close()
    place.link.open()
    place.link.send(10, b"x")
    place.broker.connections[0].closed = True
    place.link.close()
    assert not place.wlan.on
    assert place.net.open_sockets() == 0


def test_sending_without_opening_is_link_down():
    place = Place()
    with raises(LinkDown):
        place.link.send(10, b"x")
    place.link.open()
    place.link.close()
    with raises(LinkDown):
        place.link.send(10, b"x")


def test_a_payload_too_long_is_refused_before_the_radio_is_used():
    place = Place()
    with raises(PayloadTooLong):
        place.link.send(10, bytes(52))
    place.link.open()
    place.link.send(10, bytes(51))
    place.link.close()


def test_no_name_no_listener_and_a_dead_broker_are_link_down():
    dead = FakeBroker()
    dead.dies = (0x30,)
    for peers, words in (
        ({("elsewhere", 1): None}, "no address known for broker"),
        ({("broker", 1883): None}, "nobody listens"),
        ({("broker", 1883): dead}, "hung up"),
    ):
        place = Place(peers=peers)
        place.link.open()
        with raises(LinkDown) as caught:
            place.link.send(10, b"x")
        assert words in str(caught.value)
        assert place.net.open_sockets() == 0
        place.link.close()
        assert not place.wlan.on


def test_after_link_down_the_next_send_connects_anew():
    place = Place()
    place.broker.dies = (0x30,)
    place.link.open()
    with raises(LinkDown):
        place.link.send(10, b"x")
    place.broker.dies = ()
    place.link.send(10, b"x")
    place.link.close()
    assert place.broker.published == [("borne/v1/lamp-17/up/10", b"x")]


def test_a_session_does_not_last_until_the_watchdog_bites():
    place = Place()
    place.link.open()
    place.link.send(10, b"x")
    place.clock.sleep_ms(91_000)
    with raises(LinkDown):
        place.link.send(10, b"x")
    place.link.close()


def test_tls_needs_a_set_clock_and_an_authority():
    place = Place({"mqtt_tls": True})
    place.link.open()
    with raises(LinkRefused) as caught:
        place.link.send(10, b"x")
    assert "mqtt_ca" in str(caught.value)
    place.clock.is_set = False
    with raises(LinkDown) as caught:
        place.link.send(10, b"x")
    assert "clock" in str(caught.value)
    assert place.broker.published == []


def port_time(unix):
    # What ntptime.time() gives on this port for that moment.
    import time

    return unix - (946684800 if time.gmtime(0)[0] == 2000 else 0)


def test_time_is_unix_time_whatever_the_port_counts_from():
    place = Place(ntp=(port_time(1_790_000_123),))
    place.link.open()
    assert place.link.time() == 1_790_000_123


def test_a_time_server_that_is_silent_once_is_asked_again_and_then_left():
    place = Place(ntp=(OSError(110, "timeout"), port_time(1_790_000_123)))
    assert place.link.time() == 1_790_000_123
    place = Place(ntp=(OSError(110, "timeout"), ValueError("buffer too small")))
    assert place.link.time() is None
    assert place.ntp.answers == []


def test_secrets_stand_in_no_representation():
    place = Place(secrets={"wifi_password": PASSWORD, "mqtt_password": b"s3cret"})
    assert "kerb" not in repr(place.link) and "s3cret" not in repr(place.link)
