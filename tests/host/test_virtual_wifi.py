"""The virtual station joins, is refused, loses its network; sockets are real, their waits are simulated time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from virtual_kit import Bench

JOIN = """
import network, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
def join(ssid, key, reconnects=0):
    wlan.config(reconnects=reconnects)
    wlan.connect(ssid, key)
    for _ in range(100):
        if wlan.status() != network.STAT_CONNECTING:
            break
        time.sleep_ms(100)
    return wlan.status()
"""


def test_joins_a_network_and_gets_an_address(tmp_path: Path) -> None:
    main = """
print("*", wlan.isconnected(), wlan.ifconfig()[0])
print("*", join("street", "correct horse"), wlan.isconnected(), wlan.ifconfig()[0].startswith("192.168.4."))
print("*", wlan.config("mac").hex(), wlan.status("rssi"), 1 < time.time() < 5)
wlan.disconnect()
print("*", wlan.isconnected(), wlan.status() == network.STAT_IDLE)
"""
    points = {"street": "correct horse"}
    with Bench(tmp_path, JOIN + main, access_points=points, mac=b"\x24\x0a\xc4\0\0\x01") as bench:
        assert bench.run(20) == ["False 0.0.0.0", "1010 True True", "240ac4000001 -61 True", "False True"]


@pytest.mark.parametrize(
    ("ssid", "key", "status"),
    [
        ("street", "wrong", 202),
        ("street", "", 202),
        ("nowhere", "x", 201),
        ("open", "", 1010),
        ("open", "key", 202),
    ],
)
def test_says_why_it_cannot_join(tmp_path: Path, ssid: str, key: str, status: int) -> None:
    points = {"street": "correct horse", "open": ""}
    with Bench(tmp_path, JOIN + f"print('*', join({ssid!r}, {key!r}, 1))", access_points=points) as bench:
        assert bench.run(30) == [str(status)]


def test_without_a_limit_a_refused_station_connects_for_ever_as_the_port_does(tmp_path: Path) -> None:
    with Bench(
        tmp_path, JOIN + "print('*', join('street', 'wrong'))", access_points={"street": "right"}
    ) as bench:
        assert bench.run(30) == ["1001"]


def test_an_outage_ends_when_the_network_is_back(tmp_path: Path) -> None:
    main = """
print("*", join("street", "key"))
for _ in range(3):
    time.sleep(60)
    print("*", wlan.isconnected())
"""
    points = {"street": "key"}
    with Bench(tmp_path, JOIN + main, access_points=points) as bench:
        bench.run(10)
        del points["street"]
        bench.clock.run_for(60)
        points["street"] = "key"
        bench.clock.run_for(130)
        assert bench.lines() == ["1010", "False", "True", "True"]


def test_a_network_that_is_switched_on_later_is_found(tmp_path: Path) -> None:
    points: dict[str, str] = {}
    main = "print('*', join('street', 'key', 1))\ntime.sleep(60)\nprint('*', join('street', 'key', 1))\n"
    with Bench(tmp_path, JOIN + main, access_points=points) as bench:
        assert bench.run(30) == ["201"]
        points["street"] = "key"
        bench.clock.run_for(60)
        assert bench.lines() == ["201", "1010"]


def test_a_station_that_is_not_active_cannot_connect(tmp_path: Path) -> None:
    main = """
import network
try:
    network.WLAN(0).connect("a", "b")
except OSError as error:
    print("*", error)
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(5) == ["(-12290, 'Wifi Not Started')"]


def test_scan_lists_the_access_points(tmp_path: Path) -> None:
    main = "print('*', [(point[0], point[4]) for point in wlan.scan()])"
    with Bench(tmp_path, JOIN + main, access_points={"b": "secret", "a": ""}) as bench:
        assert bench.run(10) == ["[(b'a', 0), (b'b', 3)]"]


def test_the_clock_is_set_over_the_network(tmp_path: Path) -> None:
    main = """
import ntptime
try:
    ntptime.settime()
except OSError as error:
    print("*", error.errno)
join("street", "")
ntptime.settime()
print("*", time.gmtime()[:4])
"""
    with Bench(tmp_path, JOIN + main, access_points={"street": ""}) as bench:
        # 1_790_000_000 is 2026-09-21 14:13:20 UTC.
        assert bench.run(20) == ["-202", "(2026, 9, 21, 14)"]


class Echo:
    """A real server on loopback: answers each line in upper case, but `quiet` not at all."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                for line in stream:
                    if line != b"quiet\n":
                        stream.write(line.upper())
                        stream.flush()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def test_sockets_talk_to_real_servers(tmp_path: Path, echo: Echo) -> None:
    main = f"""
import select, socket
address = socket.getaddrinfo("127.0.0.1", {echo.port})[0][-1] if wlan.isconnected() else ("127.0.0.1", {echo.port})
link = socket.socket()
try:
    link.connect(address)
except OSError as error:
    print("*", error.errno)
join("street", "")
link = socket.socket()
link.settimeout(5)
link.connect(address)
link.write(b"hello\\n")
print("*", link.readline())
poller = select.poll()
poller.register(link, select.POLLIN)
print("*", len(poller.poll(0)))
link.send(b"again\\n")
print("*", poller.poll(5000)[0][1] == select.POLLIN, link.recv(100))
link.close()
"""
    with Bench(tmp_path, JOIN + main, access_points={"street": ""}) as bench:
        assert bench.run(30) == ["113", "b'HELLO\\n'", "0", "True b'AGAIN\\n'"]


def test_a_silent_peer_costs_simulated_time_and_little_real_time(tmp_path: Path, echo: Echo) -> None:
    main = f"""
import select, socket
join("street", "")
link = socket.socket()
link.connect(("127.0.0.1", {echo.port}))
link.write(b"quiet\\n")
poller = select.poll()
poller.register(link, select.POLLIN)
start = time.ticks_ms()
print("*", poller.poll(60_000), time.ticks_diff(time.ticks_ms(), start) // 1000)
link.settimeout(30)
try:
    link.recv(1)
except OSError as error:
    print("*", error.errno, time.ticks_diff(time.ticks_ms(), start) // 1000)
"""
    with Bench(tmp_path, JOIN + main, access_points={"street": ""}, patience=0.02) as bench:
        assert bench.run(200) == ["[] 60", "110 90"]


def test_a_lost_network_breaks_its_sockets(tmp_path: Path, echo: Echo) -> None:
    main = f"""
import socket
join("street", "")
link = socket.socket()
link.connect(("127.0.0.1", {echo.port}))
time.sleep(60)
for call in (lambda: link.write(b"x"), lambda: link.recv(1)):
    try:
        call()
    except OSError as error:
        print("*", error.errno)
"""
    points = {"street": ""}
    with Bench(tmp_path, JOIN + main, access_points=points) as bench:
        bench.run(30)
        points.clear()
        bench.clock.run_for(60)
        assert bench.lines() == ["103", "103"]
