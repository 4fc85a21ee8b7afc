# mypy: ignore-errors
"""`select`: polls are real, but what they cost in simulated time does not depend on the host's speed.

A poll that finds something costs a fixed time. One that finds nothing waits a bounded real time if it holds a
socket (the peer is a real program), and then the simulated clock passes the asked time.
"""

import sys

import _link
import _ops
import uselect

POLLIN = uselect.POLLIN
POLLOUT = uselect.POLLOUT
POLLERR = uselect.POLLERR
POLLHUP = uselect.POLLHUP

_POLL_US = 100
# A round trip on a Wi-Fi network with a broker in the same country.
ROUND_TRIP_US = 20000
_FOREVER_MS = 1000
_patience_ms = 250


def _set_patience(ms):
    global _patience_ms
    _patience_ms = ms


def ready(poller, timeout_ms, has_socket, has_input):
    """What `poller` finds within simulated `timeout_ms` (negative: for ever)."""
    found = poller.poll(0)
    if found and has_socket and timeout_ms and any(event & POLLIN for _, event in found):
        # Whether an answer is here already depends on how fast the host is: it costs what waiting for it costs.
        _link.wait(ROUND_TRIP_US)
        return found
    if found or timeout_ms == 0:
        _link.spend(_POLL_US)
        return found
    while True:
        if has_socket:
            found = poller.poll(_patience_ms if timeout_ms < 0 else min(timeout_ms, _patience_ms))
            if found:
                _link.wait(ROUND_TRIP_US)
                return found
        _link.wait(
            (_FOREVER_MS if timeout_ms < 0 else timeout_ms) * 1000, _ops.UNTIL_INPUT if has_input else 0
        )
        found = poller.poll(0)
        if found or timeout_ms >= 0:
            return found


class _Poll:
    def __init__(self):
        self._poll = uselect.poll()
        self._input = False
        self._sockets = 0

    def register(self, obj, mask=POLLIN | POLLOUT):
        if obj is sys.stdin or obj is getattr(sys.stdin, "buffer", None):
            self._input = True
        else:
            self._sockets += 1
        self._poll.register(obj, mask)

    def unregister(self, obj):
        if obj is sys.stdin:
            self._input = False
        else:
            self._sockets -= 1
        self._poll.unregister(obj)

    def modify(self, obj, mask):
        self._poll.modify(obj, mask)

    def poll(self, timeout=-1, flags=0):
        return ready(self._poll, timeout, self._sockets > 0, self._input)

    def ipoll(self, timeout=-1, flags=0):
        return iter(self.poll(timeout))


def poll():
    return _Poll()


def select(rlist, wlist, xlist, timeout=None):
    p = poll()
    for s in rlist:
        p.register(s, POLLIN)
    for s in wlist:
        p.register(s, POLLOUT)
    found = p.poll(-1 if timeout is None else int(timeout * 1000))
    return (
        [s for s, e in found if e & ~POLLOUT and s in rlist],
        [s for s, e in found if e & POLLOUT and s in wlist],
        [],
    )
