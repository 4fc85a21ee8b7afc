# mypy: ignore-errors
"""`network`: the station interface; the radio is the supervisor's."""

import struct

import _link
import _ops

STA_IF = 0
AP_IF = 1
# esp_wifi_types.h: wifi_err_reason_t, and MicroPython's own two (ports/esp32/modnetwork.h)
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_BEACON_TIMEOUT = 200
STAT_ASSOC_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
AUTH_OPEN = 0
AUTH_WPA2_PSK = 3

_CONFIG = {
    "reconnects": 0,
    "txpower": 20.0,
    "channel": 6,
    "pm": 1,
    "hostname": "mpy-esp32",
    "dhcp_hostname": "mpy-esp32",
}
_state = {"mac": b"", "hostname": "mpy-esp32", "country": "XX"}


def hostname(name=None):
    if name is not None:
        _state["hostname"] = name
    return _state["hostname"]


def country(code=None):
    if code is not None:
        _state["country"] = code
    return _state["country"]


class WLAN:
    IF_STA = STA_IF
    IF_AP = AP_IF
    PM_NONE = 0
    PM_PERFORMANCE = 1
    PM_POWERSAVE = 2
    SEC_OPEN = 0
    SEC_WPA2 = 3

    def __init__(self, interface=STA_IF):
        if interface != STA_IF:
            raise ValueError("only the station interface is emulated")

    def active(self, up=None):
        return bool(_link.ask(_ops.WLAN_ACTIVE, "<b", -1 if up is None else int(bool(up)))[0])

    def connect(self, ssid=None, key=None, *, bssid=None):
        name = _bytes(ssid)
        _link.send(_ops.WLAN_CONNECT, bytes((len(name),)), name + _bytes(key))

    def disconnect(self):
        _link.ask(_ops.WLAN_DISCONNECT)

    def isconnected(self):
        return self.status() == STAT_GOT_IP

    def status(self, what=None):
        code, rssi, _ = self._poll()
        if what is None:
            return code
        if what == "rssi":
            return rssi
        raise ValueError("unknown status param")

    def ifconfig(self, settings=None):
        _, _, number = self._poll()
        if not number:
            return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        return ("192.168.4.%d" % number, "255.255.255.0", "192.168.4.1", "192.168.4.1")

    def ipconfig(self, *args, **settings):
        if args == ("addr4",):
            return self.ifconfig()[:2]
        return None

    def config(self, *names, **values):
        if names:
            return self._get(names[0])
        for name, value in values.items():
            if name not in _CONFIG:
                raise ValueError("unknown config param")
            _CONFIG[name] = value
            if name == "reconnects":
                _link.ask(_ops.WLAN_RECONNECTS, "<h", value)

    def scan(self):
        data = bytes(_link.ask(_ops.WLAN_SCAN))
        found = []
        while data:
            secured, length = data[0], data[1]
            found.append(
                (
                    data[2 : 2 + length],
                    b"\x02\0\0\0\0\x01",
                    6,
                    -60,
                    AUTH_WPA2_PSK if secured else AUTH_OPEN,
                    False,
                )
            )
            data = data[2 + length :]
        return found

    def _get(self, name):
        if name == "mac":
            return _state["mac"]
        if name not in _CONFIG:
            raise ValueError("unknown config param")
        return _CONFIG[name]

    def _poll(self):
        return struct.unpack("<HhB", _link.ask(_ops.WLAN_STATUS))


def _bytes(value):
    if value is None:
        return b""
    return value.encode() if isinstance(value, str) else bytes(value)
