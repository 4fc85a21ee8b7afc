"""A gate among its real neighbours, driven as app.py drives it: what tests of the gate share."""

import hashlib
from collections import namedtuple

from store import FakeStore

from borne_node import RELEASED
from borne_node.errors import SensorFault
from borne_node.past import Past
from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report import codec, schema

Parking = namedtuple("Parking", ("occupied", "confidence"))
Light = namedtuple("Light", ("lux", "triggers", "lamp", "dimming", "energy"))
_Fill = namedtuple("Fill", ("level", "temperature", "tilt", "fire", "emptied"))

# Midnight UTC after the firmware's release, so that every kind's window begins here.
MIDNIGHT = RELEASED + 86400
FAULT = SensorFault("QMC5883L", "no answer")


def Fill(level, temperature, tilt, fire, emptied=None):
    return _Fill(level, temperature, tilt, fire, emptied)


HOUR = 3600


class Entropy:
    """A seeded os.urandom: SHA-256 in counter mode. `broken`, if set, is asked instead."""

    def __init__(self, seed=1):
        self.seed = seed
        self.count = 0
        self.broken = None

    def __call__(self, size):
        if self.broken:
            return self.broken(size)
        out = b""
        while len(out) < size:
            self.count += 1
            out += hashlib.sha256(b"%d/%d" % (self.seed, self.count)).digest()
        return out[:size]


def cars(*occupied):
    """A reading of bays, whatever the time."""
    return lambda now: Parking(occupied, (100,) * len(occupied))


class Street:
    """One node from wake to wake. `reading(now)` gives a Reading or raises SensorFault; `sent`: (time, Released)."""

    def __init__(self, kind, profile, reading, now=MIDNIGHT - 7, seed=1, **settings):
        self.row = policy.row(kind, profile)
        self.reading = reading
        self.settings = settings
        self.now = now
        self.store = FakeStore()
        self.entropy = Entropy(seed)
        self.seeding = True
        self.memory = None
        self.slept = False
        self.sent = []
        self.gate = None
        self.past = Past()
        self.woken = now

    def wake(self):
        """One wake; returns what it sent."""
        now = self.woken = self.now
        drbg = Drbg(self.entropy, self.store)
        self.gate = Gate(
            self.row, self.settings, drbg, Ledger(self.store), self.memory, None if self.slept else now
        )
        self.slept = True
        try:
            reading = self.reading(now)
        except SensorFault as fault:
            reading = fault
        out = self.gate.add(reading, now)
        self.sent.extend((now, one) for one in out)
        for one in out:
            if schema.row(one.port)[3]:
                self.past.add(*one)
        if self.seeding and drbg.due(now):
            drbg.reseed(now)
        self.gate.prepare()
        self.memory = self.gate.state()
        return out

    def sleep(self):
        self.now = self.gate.next_wake(self.now)

    def until(self, end):
        """Wake and sleep as long as the next wake is before `end`; returns what was sent meanwhile."""
        start = len(self.sent)
        while self.now < end:
            self.wake()
            self.sleep()
        return [released for _, released in self.sent[start:]]

    def power_off(self, seconds=0):
        """RTC memory is lost, the store is what was committed."""
        self.store.reboot()
        self.memory = None
        self.past = Past()
        self.slept = False
        self.now += seconds


def zone(*occupied, **more):
    return Street("parking", "zone", cars(*occupied), bays=len(occupied), **more)


def fill(level=50, temperature=12, tilt=None, fire=None, **more):
    return Street("fill", "fill", lambda now: Fill(level, temperature, tilt, fire), **more)


def light(triggers=40, lux=7, lamp=(None, None, None), **more):
    # Each window's triggers, and energy, are read on the boundary, with the last reading of the hour.
    def reading(now):
        within = now % HOUR
        state, dimming, energy = lamp
        return Light(lux, 0 if within else triggers, state, dimming, energy and (0 if within else energy))

    return Street("light", "light", reading, **more)


def running(street, windows=2):
    """Past the windows that were not seen whole or had no noise yet."""
    street.until(MIDNIGHT + windows * street.row.window_s + 240)
    street.sent.clear()
    return street


def schedule(street):
    # Bytes on air, not only values: encode as app.py does.
    return [
        (time, one.port, len(codec.encode(one.port, one.window, one.values, history_of(street, one))))
        for time, one in street.sent
    ]


def history_of(street, one):
    return street.past.history(one.port, one.window) if schema.row(one.port)[3] else None


def silence(street):
    street.gate._noise, street.gate._next_noise = [0] * 8, [0] * 8
