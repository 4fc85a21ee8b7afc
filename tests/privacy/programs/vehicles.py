"""The same vehicles under two nodes on two days: what each node sends of each, through driver, sensor, gate, codec."""

import random

from bus import FakeBoard, FakeI2C
from clock import FakeClock
from gated import MIDNIGHT, Entropy
from silicon.qmc5883l import QMC5883L
from store import FakeStore

from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report import codec
from borne_node.sense import parking

EARTH = (21.0, 1.0, 43.0)  # microtesla
_SETTINGS = {"kind": "parking", "profile": "zone", "bays": 1}


class OneBay:
    def __init__(self, number, start):
        self.field = EARTH
        self.clock = FakeClock(start)
        chip = QMC5883L(lambda t: self.field, seed=number)
        self.sensor = parking.build(_SETTINGS, FakeBoard(self.clock, FakeI2C([chip], self.clock)))
        self.start = start
        self._learn()
        store = FakeStore()
        drbg = Drbg(Entropy(number), store)
        drbg.reseed(start)
        self.row = policy.row("parking", "zone")
        self.gate = Gate(self.row, _SETTINGS, drbg, Ledger(store))

    def _learn(self):
        """A bay is judged by its empty field once that came back; before, by how strange a car's is."""
        car = tuple(earth + 20.0 for earth in EARTH)
        for self.field in (EARTH, car, EARTH):
            reading = self.sensor.read(self.start)
        if reading != ((0,), (100,)):
            raise ValueError("not learned")

    def window(self, field):
        """A car stands there for a window; the frames that left meanwhile, which are of the window before."""
        out = []
        self.field = field
        for second in (self.row.jitter_s, self.row.period_s):
            out += self.gate.add(self.sensor.read(self.start + second), self.start + second)
            self.gate.prepare()
        self.start += self.row.window_s
        return [codec.encode(one.port, one.window, one.values).hex() for one in out]


def vehicle():
    """The field under some car: 15 to 100 microtesla in any direction, of its own."""
    size = random.uniform(15, 100)
    axes = [random.uniform(-1, 1) for _ in range(3)]
    length = sum(axis * axis for axis in axes) ** 0.5 or 1
    return tuple(earth + size * axis / length for earth, axis in zip(EARTH, axes))


def main(tell, count, seed):
    random.seed(seed)
    nodes = (OneBay(1, MIDNIGHT), OneBay(2, MIDNIGHT + 86400))
    # The frame of a window leaves in the next; two windows have no noise yet.
    for n in range(count + 3):
        field = vehicle()
        frames = [node.window(field) for node in nodes]
        if n >= 3:
            tell([frame[0] for frame in frames])
