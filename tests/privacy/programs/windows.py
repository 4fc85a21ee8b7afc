"""What a gate releases of one count, window after window: {released: how often}; SUPPRESSED is "hidden"."""

from gated import MIDNIGHT, Entropy, Light, Parking
from store import FakeStore

from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report import codec
from borne_node.report.schema import SUPPRESSED

# Two readings of three are enough for a window; the second comes when the frame before it has left.
_BAYS = 8


def main(tell, kind, profile, count, windows, seed):
    row = policy.row(kind, profile)
    store = FakeStore()
    drbg = Drbg(Entropy(seed), store)
    drbg.reseed(MIDNIGHT)
    gate = Gate(row, {"bays": _BAYS}, drbg, Ledger(store))
    step = _zone if kind == "parking" else _light
    found = {}
    start, seen = MIDNIGHT, 0
    while seen < windows:
        start, end = policy.window(row, start)
        for one in step(gate, row, count, start, end):
            # The attacker has the bytes, so count what the bytes say.
            value = codec.decode(one.port, codec.encode(one.port, one.window, one.values)).values[0]
            # The first windows were not seen whole, or had no noise yet.
            if end - MIDNIGHT > 3 * (end - start):
                name = "hidden" if value is SUPPRESSED else str(value)
                found[name] = found.get(name, 0) + 1
                seen += 1
        gate.prepare()
        start = end
    tell(found)


def _zone(gate, row, count, start, end):
    reading = Parking([int(bay < count) for bay in range(_BAYS)], (100,) * _BAYS)
    out = gate.add(reading, start + row.jitter_s)
    gate.prepare()
    return out + gate.add(reading, start + row.period_s)


def _light(gate, row, count, start, end):
    # Read when the frame of the hour leaves: the triggers are those since the last reading.
    return gate.add(Light(7, count, None, None, None), end + row.jitter_s)
