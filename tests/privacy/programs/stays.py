"""What a gate releases while cars come and go: FILE holds {"start", "end", "bays": [[[arrive, leave], ...], ...]}."""

import json

from gated import Entropy, Parking
from store import FakeStore

from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.report.schema import SUPPRESSED


class Bay:
    """Stays in order; asked for times that only grow."""

    def __init__(self, stays):
        self.stays = stays
        self.at = 0

    def occupied(self, now):
        while self.at < len(self.stays) and self.stays[self.at][1] <= now:
            self.at += 1
        return int(self.at < len(self.stays) and self.stays[self.at][0] <= now)


def main(tell, file, profile, seed):
    with open(file) as stream:
        street = json.loads(stream.read())
    bays = [Bay(stays) for stays in street["bays"]]
    row = policy.row("parking", profile)
    store = FakeStore()
    drbg = Drbg(Entropy(seed), store)
    drbg.reseed(street["start"])
    gate = Gate(row, {"bays": len(bays)}, drbg, Ledger(store))
    now = street["start"]
    while now < street["end"]:
        reading = Parking([bay.occupied(now) for bay in bays], (100,) * len(bays))
        for port, window, values in gate.add(reading, now):
            tell([now, port, window, [-1 if one is SUPPRESSED else one for one in values]])
        gate.prepare()
        now = gate.next_wake(now)
