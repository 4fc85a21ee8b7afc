"""When to try the network again after it failed: exponential back-off with full jitter.

Full jitter, a delay drawn evenly from the whole interval, spreads a street of nodes best when its broker
comes back (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). The state is two whole
numbers that the app keeps in RTC memory: (failures in a row, unix seconds of the next attempt).
"""

from borne_node.compat import const

FRESH = (0, 0)

_FIRST_S = const(30)
_LONGEST_S = const(3600)
_DOUBLINGS = const(7)  # 30 s << 7 is the first beyond an hour
_BITS = const(16)


def due(state, now):
    """Whether to try at `now`. An attempt further away than the longest delay: the clock was set since."""
    return not now < state[1] <= now + _LONGEST_S


def failed(state, now, random_bits, refused=False):
    """The state after a failure at `now`; `random_bits(n)` gives n random bits as a whole number.

    `refused`: the network said no (LinkRefused), which only a person can mend: straight to the
    longest delays.
    """
    failures = _DOUBLINGS if refused else min(state[0] + 1, _DOUBLINGS)
    ceiling = min(_FIRST_S << failures, _LONGEST_S)
    return failures, now + _FIRST_S + ((ceiling - _FIRST_S) * random_bits(_BITS) >> _BITS)
