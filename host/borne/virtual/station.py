"""The Wi-Fi station of a virtual board, against a table of access points {ssid: password}, "" for an open one.

The table is looked at live: take an entry out and its stations lose the network.
"""

from __future__ import annotations

from collections.abc import Mapping

# esp_wifi_types.h: wifi_err_reason_t; MicroPython ports/esp32/modnetwork.h
_IDLE, _CONNECTING, _GOT_IP = 1000, 1001, 1010
_BEACON_TIMEOUT, _NO_AP_FOUND, _AUTH_FAIL = 200, 201, 202
# Typical of an ESP32 next to its access point: association and DHCP; a scan of all channels; a refused handshake.
_JOIN_US, _SCAN_US, _REFUSE_US = 1_800_000, 2_400_000, 3_000_000
_RSSI = -61


class Station:
    """All times in microseconds of simulated time; the state is worked out when somebody asks."""

    def __init__(self, access_points: Mapping[str, str], number: int) -> None:
        self._points = access_points
        self._number = number
        self.reset()

    def reset(self) -> None:
        self.active = False
        self._wanted: tuple[str, str] | None = None
        self._connected = False
        self._reason = 0
        self._reconnects = 0
        self._failures = 0
        self._decided_us = 0

    def activate(self, up: bool) -> None:
        if self.active and not up:
            self.disconnect()
        self.active = up

    def limit_reconnects(self, n: int) -> None:
        self._reconnects = n

    def connect(self, ssid: str, key: str, now_us: int) -> None:
        self._wanted = (ssid, key)
        self._connected = False
        self._failures = 0
        self._decided_us = now_us + self._takes()

    def disconnect(self) -> None:
        self._wanted = None
        self._connected = False

    def is_up(self, now_us: int) -> bool:
        self._update(now_us)
        return self._connected

    def status(self, now_us: int) -> tuple[int, int, int]:
        """Code, RSSI in dBm, last number of the address (0 for none).

        As network_wlan_status() in ports/esp32/network_wlan.c: a station that may reconnect for ever is for ever
        "connecting"; only with config(reconnects=n) does a wrong password show.
        """
        self._update(now_us)
        if self._connected:
            return _GOT_IP, _RSSI, 10 + self._number % 240
        if self._wanted and (self._reconnects <= 0 or self._failures < self._reconnects):
            return _CONNECTING, 0, 0
        return self._reason or _IDLE, 0, 0

    def scan(self) -> list[tuple[str, bool]]:
        return [(ssid, bool(key)) for ssid, key in sorted(self._points.items())]

    def _takes(self) -> int:
        return {0: _JOIN_US, _NO_AP_FOUND: _SCAN_US, _AUTH_FAIL: _REFUSE_US}[self._outcome()]

    def _outcome(self) -> int:
        assert self._wanted is not None
        ssid, key = self._wanted
        if ssid not in self._points:
            return _NO_AP_FOUND
        return 0 if self._points[ssid] == key else _AUTH_FAIL

    def _update(self, now_us: int) -> None:
        if self._wanted is None:
            return
        if self._connected:
            if self._outcome() == 0:
                return
            self._connected = False
            self._reason = _BEACON_TIMEOUT
            self._failures = 0
            self._decided_us = now_us + self._takes()
        while self._decided_us <= now_us and not self._connected:
            if 0 < self._reconnects <= self._failures:
                return
            self._reason = self._outcome()
            self._connected = self._reason == 0
            self._failures += not self._connected
            self._decided_us += self._takes()
