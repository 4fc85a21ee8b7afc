"""What the gate does to a count: the released ones of streets whose true count follows a triangle over the windows."""

from gated import MIDNIGHT, Entropy
from store import FakeStore

from borne_node.privacy import policy
from borne_node.privacy.drbg import Drbg
from borne_node.privacy.gate import Gate
from borne_node.privacy.ledger import Ledger
from borne_node.privacy.noise import Sampler

# A node has at most this many bays; more are several nodes, each with a noise of its own.
_BAYS = 8


def triangle(n, top):
    turn = n % (2 * top) if top else 0
    return turn if turn <= top else 2 * top - turn


def main(tell, kind, profile, top, low, draws, seed):
    """Root of the mean square of released - true, for one count of `top`, and as several nodes give it."""
    row = policy.row(kind, profile)
    store = FakeStore()
    drbg = Drbg(Entropy(seed), store)
    drbg.reseed(MIDNIGHT)
    gate = Gate(row, {"bays": _BAYS}, drbg, Ledger(store))
    sizes = [min(_BAYS, top - at) for at in range(0, top, _BAYS)]
    one = several = hidden = 0
    for n in range(draws):
        true = low + triangle(n, top - low)
        released = noised(gate, row, drbg, true, top if kind == "parking" else row.top)
        if released == "*":
            hidden += 1
        else:
            one += (released - true) ** 2
        if kind == "parking":
            several += (nodes(gate, row, drbg, true, sizes) - true) ** 2
    said = max(1, draws - hidden)
    tell({"one": (one / said) ** 0.5, "several": (several / draws) ** 0.5, "hidden": hidden / draws})


def noised(gate, row, drbg, true, top):
    gate._noise = [Sampler(drbg.generate).laplace(row.sensitivity, row.epsilon)]
    return gate._noised(true, top)


def nodes(gate, row, drbg, true, sizes):
    total = 0
    for size in sizes:
        here = min(true, size)
        true -= here
        total += noised(gate, row, drbg, here, size)
    return total
