"""network.WLAN for a station, as MicroPython's ESP32 port behaves; time is a FakeClock's."""


class FakeWlan:
    """`networks`: SSID -> password ("" for an open network). Associating takes `takes_ms`.

    As ports/esp32/network_wlan.c: without `config(reconnects=)` a failure is never told, status() says
    CONNECTING. `broken`: the driver raises OSError at connect. `lost`: a reason code that it fails with
    instead of associating, for `lost_for_ms`.
    """

    def __init__(self, clock, networks, takes_ms=1500):
        self.clock = clock
        self.networks = networks
        self.takes_ms = takes_ms
        self.broken = False
        self.lost = 0
        self.lost_for_ms = 1 << 30
        self.on = False
        self.reconnects = -1
        self.asked = None
        self.since_ms = 0
        self.was_on_ms = 0

    def active(self, on=None):
        if on is None:
            return self.on
        self.on = bool(on)
        if not on:
            self.asked = None
        return self.on

    def config(self, **settings):
        for name, value in settings.items():
            if name != "reconnects":
                raise ValueError(f"unknown config param {name}")
            self.reconnects = value

    def connect(self, ssid, key=None):
        if not self.on:
            raise OSError("Wifi Not Started")
        if key == "":
            raise ValueError("an open network has no key")
        if self.broken:
            raise OSError("Wifi Internal State Error")
        self.asked = (ssid, key or "")
        self.since_ms = self.clock.slept_ms

    def disconnect(self):
        if not self.on:
            raise OSError("Wifi Not Started")
        self.asked = None

    def isconnected(self):
        return self.status() == 1010

    def status(self):
        if not self.on or self.asked is None:
            return 1000
        if self.clock.slept_ms - self.since_ms < self.takes_ms:
            return 1001
        ssid, key = self.asked
        lost = self.lost if self.clock.slept_ms - self.since_ms < self.lost_for_ms else 0
        reason = lost or (201 if ssid not in self.networks else 0)
        if not reason and self.networks[ssid] != key:
            reason = 15
        if reason and self.reconnects < 0:
            return 1001
        return reason or 1010
