"""A whole node around app.run: simulated chips, RTC memory, NVS, a clock, an access point and a broker, all in RAM.

`Node.wake()` is one boot of the board. What a real board keeps over a deep sleep is kept here, nothing else.
MicroPython only: app.py reaches the network by the modules `socket`, `select` and `ntptime`, which stand in
sys.modules here as the board's do there.
"""

import hashlib
import os
import sys

import vfs
from bus import FakeI2C, FakePin, FakeUart
from clock import FakeClock
from disk import FlashDisk
from mqtt_broker import FakeBroker
from net import FakeNet
from silicon.a02yyuw import A02YYUW
from silicon.ina226 import INA226
from silicon.ld2410 import LD2410
from silicon.lis3dh import LIS3DH
from silicon.mmc5603 import MMC5603
from silicon.pir import Pir
from silicon.qmc5883l import QMC5883L
from silicon.tca9548a import TCA9548A
from silicon.veml7700 import VEML7700
from store import FakeStore
from wlan import FakeWlan

from borne_node import settings
from borne_node.errors import SettingsError
from borne_node.records import Records

NOW = 1_796_000_400  # 2026-11-30T01:00Z, a whole hour
PLACE = "/node"
POWER_ON, WATCHDOG, DEEP_SLEEP = 1, 3, 4
EARTH = (21.0, 1.0, 43.0)  # microtesla
BASE = {"wifi_ssid": "street", "mqtt_host": "broker", "ntp_host": "ntp"}
RADIO_BASE = {"link": "lorawan", "dev_eui": "70b3d57ed0123456", "join_eui": "70b3d57ed0000001"}


class Entropy:
    """A seeded stand-in for os.urandom: SHA-256 in counter mode. `dead` gives zeros."""

    def __init__(self, seed):
        self.seed = seed
        self.count = 0
        self.dead = False

    def __call__(self, size):
        if self.dead:
            return bytes(size)
        out = b""
        while len(out) < size:
            self.count += 1
            out += hashlib.sha256(b"%s/%d" % (str(self.seed).encode(), self.count)).digest()
        return out[:size]


class Ended(BaseException):
    """The power goes, of a node that never sleeps."""


class Dimmed:
    """machine.PWM as far as a dimmer uses it; `seen`: (seconds of physics, percent)."""

    def __init__(self, clock):
        self._clock = clock
        self.seen = []

    def duty_u16(self, duty):
        if not 0 <= duty <= 65535:
            raise ValueError("a duty of %d" % duty)
        self.seen.append((self._clock.physics_us() // 1_000_000, (duty * 100 + 32767) // 65535))


class Memory:
    """machine.RTC().memory: 2048 bytes that are no part of the heap, and so lie where they cannot split it."""

    def __init__(self):
        self._room = bytearray(2048)
        self._size = 0

    def __call__(self, *data):
        if not data:
            return bytes(memoryview(self._room)[: self._size])
        if len(data[0]) > 2048:
            raise ValueError("RTC memory has 2048 bytes")
        self._size = len(data[0])
        self._room[: self._size] = data[0]


class Board:
    """hardware.Board's interface over what the node keeps."""

    def __init__(self, node, cause, woken_by_pin):
        self.names = {"battery_divider": 2.0, "pir": 27}
        self.clock = node.clock
        self.memory = Records(node.rtc)
        self.nvs = node.nvs
        self.entropy = node.entropy
        self.reset_cause = cause
        self.slept = cause == DEEP_SLEEP
        self.woken_by_pin = woken_by_pin
        self._node = node
        self.ended = None
        self.watched = False
        self.follow = None

    def i2c(self):
        return FakeI2C(self._node.i2c, self.clock)

    def uart(self, baudrate):
        return FakeUart(self._node.uart, self.clock, baudrate)

    def presence_pin(self):
        return FakePin(self._node.presence(), self.clock)

    def dimmer(self):
        if self._node.dimmer is None:
            raise SettingsError("dimmer", "this board has no pin for it")
        return self._node.dimmer

    def feed(self):
        self._node.fed += 1
        if self._node.ends_at and self.clock.now() >= self._node.ends_at:
            raise Ended

    def wlan(self):
        return self._node.wlan

    def noise(self, size):
        return self.entropy(size)

    def radio(self):
        return self._node.make_radio()

    def battery_uv(self):
        return 1_850_000

    def temperature(self):
        return 17

    def secrets(self, slot):
        return dict(self._node.secrets[slot])

    def watch(self):
        self.watched = True

    def host_is_waiting(self, seconds=3):
        self._node.windows.append(seconds)
        return self._node.host_comes

    def stay(self, reason):
        self.ended = ("stay", reason)

    def reset(self):
        self.ended = ("reset", None)

    def deep_sleep(self, duration_ms, wake_pin=None):
        self.ended = ("sleep", (duration_ms, wake_pin))


class Node:
    """`kind` as in settings; `changes` to its settings. World: `distance`, `lux`, `fields`, `watts`, `gravity`.

    With link="lorawan" there is a radio and, as `network`, a network server; `live` then gives what that received.
    """

    def __init__(self, kind, seed=1, broker=None, blocks=64, now=NOW, **changes):
        self.clock = FakeClock(now, is_set=False)
        self.asked = 0  # how often the node asked for the time
        self.told = now  # what NTP says at the first boot; later the clock runs on
        self.rtc, self.nvs, self.entropy = Memory(), FakeStore(), Entropy(seed)
        self.broker = broker or FakeBroker()
        self.wlan = FakeWlan(self.clock, {"street": "kerb stone"})
        self.net = FakeNet(self.clock, {("broker", 1883): self.broker})
        self.secrets = {"a": {"wifi_password": b"kerb stone"}, "b": {}}
        self.distance, self.lux = (lambda t: 1000.0), (lambda t: 200.0)
        self.watts, self.gravity = 60.0, (0.0, 0.0, 1.0)
        self.radio = self.network = None
        if changes.get("link") == "lorawan":
            self._make_air(changes.get("region", "EU868"))
        given = dict(RADIO_BASE if self.network else BASE)
        given.update({"name": kind + "-1", "kind": kind})
        given.update(changes)
        self.settings = settings.validate(given)
        self.fields = [list(EARTH) for _ in range(given.get("bays", 1))]
        self._chips(kind)
        self.make_filesystem(blocks)
        settings.save(self.settings)
        sys.modules["socket"] = sys.modules["select"] = self.net
        sys.modules["ntptime"] = self
        self.cause = POWER_ON
        self.woken_by_pin = False
        self.windows = []  # seconds of each window that was opened for a host
        self.host_comes = False
        self.dimmer = Dimmed(self.clock)
        self.ends_at = None
        self.fed = self.wakes = 0

    def _make_air(self, region):
        import lorawan_site

        self.network, self.radio = lorawan_site.make(self.clock, self.told, RADIO_BASE, region)
        self.secrets["a"] = {"app_key": self.network.app_key}

    def make_radio(self):
        return self.radio

    def _chips(self, kind):
        chosen = self.settings.get
        if kind == "parking":
            chip = MMC5603 if chosen("sensor") == "mmc5603" else QMC5883L
            magnetometers = [chip(self._field(bay), seed=bay + 1) for bay in range(len(self.fields))]
            alone = len(magnetometers) == 1
            self.i2c = magnetometers if alone else [TCA9548A([[chip] for chip in magnetometers])]
        else:
            self.i2c = [VEML7700(lambda t: self.lux(t))]
            if chosen("lamp") == "ina226":
                self.i2c.append(INA226(lambda t: (24.0, self.watts / 24.0)))
            if chosen("tilt") == "lis3dh":
                self.i2c.append(LIS3DH(lambda t: self.gravity))
        if chosen("presence") == "ld2410":
            self.uart = LD2410(lambda t: (None, None))
        else:
            self.uart = A02YYUW(lambda t: self.distance(t))
            self.uart.celsius = 17  # what Board.temperature says
        self.pir = Pir([])

    def _field(self, bay):
        return lambda t: tuple(self.fields[bay])

    def make_filesystem(self, blocks):
        """littlefs in RAM, as the working folder."""
        self.disk = FlashDisk(blocks)
        vfs.VfsLfs2.mkfs(self.disk, progsize=32, readsize=32, lookahead=32)
        if PLACE[1:] in os.listdir("/"):
            vfs.umount(PLACE)
        vfs.mount(vfs.VfsLfs2(self.disk, progsize=32, readsize=32, lookahead=32), PLACE)
        os.chdir(PLACE)

    # The module ntptime: `host` and `timeout` are set on it.
    def time(self):
        self.asked += 1
        if self.told is None:
            raise OSError(110)
        import time

        return self.told + self.clock.slept_ms // 1000 - (946684800 if time.gmtime(0)[0] == 2000 else 0)

    def wake(self, woken_by_pin=False):
        """One boot; sleeps as long as the node asked for and returns the board as the boot left it."""
        from borne_node import app

        if self.radio:
            self.radio.mode = "sleep"
        self.wakes += 1
        board = Board(self, self.cause, woken_by_pin)
        app.run(board)
        self.cause = DEEP_SLEEP
        self.woken_by_pin = False
        if board.ended and board.ended[0] == "sleep":
            self._sleep(*board.ended[1])
        return board

    def presence(self):
        """What drives the pin of presence: of a container that is its accelerometer."""
        if self.settings.get("tilt") == "lis3dh":
            return next(chip for chip in self.i2c if isinstance(chip, LIS3DH))
        return self.pir

    def falls(self, when):
        """From `when` on it lies."""
        upright = self.gravity
        chip = self.presence()
        chip.gravity = lambda t: upright if t < when else (1.0, 0.0, 0.0)

    def stay_up(self, seconds):
        """The same for a node that never sleeps; the power goes after `seconds`."""
        from borne_node import app

        self.ends_at = self.clock.now() + seconds
        seen = len(self.broker.published)
        board = Board(self, self.cause, False)
        try:
            app.run(board)
        except Ended:
            pass
        return [(int(topic.split("/")[-1]), payload) for topic, payload in self.broker.published[seen:]]

    def _sleep(self, duration_ms, wake_pin):
        self.clock.pins.clear()  # no interrupt runs in deep sleep
        now_us = self.clock.physics_us()
        edge_us = self.presence().next_edge(now_us) if wake_pin else None
        if edge_us is not None and edge_us < now_us + duration_ms * 1000:
            self.woken_by_pin = True
            duration_ms = (edge_us - now_us + 999) // 1000
        self.clock.sleep_ms(duration_ms)

    def live(self, seconds):
        """Wake as often as the node wants for `seconds`; returns (topic port, payload) of what was published."""
        until = self.clock.now() + seconds
        if self.network:
            return self._live_by_radio(until)
        seen = len(self.broker.published)
        while self.clock.now() < until:
            board = self.wake(self.woken_by_pin)
            if board.ended[0] != "sleep":
                raise AssertionError(board.ended)
        return [(int(topic.split("/")[-1]), payload) for topic, payload in self.broker.published[seen:]]

    def _live_by_radio(self, until):
        seen = len(self.network.received)
        while self.clock.now() < until:
            board = self.wake(self.woken_by_pin)
            if board.ended[0] != "sleep":
                raise AssertionError(board.ended)
        return self.network.received[seen:]
