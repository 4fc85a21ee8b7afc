"""Sockets without a network, as MicroPython's `socket` and `select` modules in one object; time is a
FakeClock's.

A peer is an object with `receive(data)`, `output` (a bytearray of what it sent) and `closed`.
"""

from errno import EINPROGRESS


class FakeNet:
    """`peers`: (host, port) -> callable that makes the peer of a new connection, or None: nobody listens
    there.

    `chunk`: most bytes that one read or write moves, as a slow network does.
    """

    SOCK_STREAM = 1
    POLLIN, POLLOUT, POLLERR, POLLHUP = 1, 4, 8, 16

    def __init__(self, clock, peers, chunk=1500):
        self.clock = clock
        self.peers = peers
        self.chunk = chunk
        self.sockets = []

    def getaddrinfo(self, host, port, family=0, kind=0):
        if not any(known == host for known, _ in self.peers):
            raise OSError(-2, "no such name")
        return [(2, kind, 0, "", (host, port))]

    def socket(self, family, kind):
        self.sockets.append(FakeSocket(self))
        return self.sockets[-1]

    def poll(self):
        return FakePoll(self)

    def open_sockets(self):
        return sum(1 for sock in self.sockets if not sock.closed)


class FakeSocket:
    def __init__(self, net):
        self.net = net
        self.blocking = True
        self.peer = None
        self.refused = False
        self.closed = False

    def setblocking(self, blocking):
        self.blocking = blocking

    def connect(self, address):
        if self.blocking:
            raise AssertionError("a blocking connect has no limit")
        make = self.net.peers.get(address)
        self.refused = make is None
        self.peer = make() if make else None
        raise OSError(EINPROGRESS, "in progress")

    def write(self, view):
        self._usable()
        if self.peer.closed:
            raise OSError(32, "broken pipe")
        data = bytes(view[: self.net.chunk])
        self.peer.receive(data)
        return len(data)

    def readinto(self, view):
        self._usable()
        output = self.peer.output
        count = min(len(view), len(output), self.net.chunk)
        if not count:
            return 0 if self.peer.closed else None
        view[:count] = output[:count]
        output[:count] = b""
        return count

    def close(self):
        self.closed = True

    def _usable(self):
        if self.closed or self.peer is None:
            raise AssertionError("use of a socket that is not connected")


class FakePoll:
    def __init__(self, net):
        self.net = net
        self.sock = None
        self.flags = 0

    def register(self, sock, flags):
        self.sock = sock
        self.flags = flags

    def modify(self, sock, flags):
        if sock is not self.sock:
            raise AssertionError("poll of a socket that was not registered")
        self.flags = flags

    def unregister(self, sock):
        self.sock = None

    def poll(self, ms):
        if ms < 0:
            raise AssertionError("a poll without limit")
        peer = self.sock.peer
        if self.sock.refused:
            return [(self.sock, self.net.POLLERR | self.net.POLLHUP)]
        ready = self.flags & self.net.POLLOUT
        if peer.output or peer.closed:
            ready |= self.flags & self.net.POLLIN
        if ready:
            return [(self.sock, ready)]
        self.net.clock.sleep_ms(ms)
        return []


class Script:
    """A peer that answers with fixed bytes, whatever it is sent, and then hangs up or stays."""

    def __init__(self, output, closed):
        self.output = bytearray(output)
        self.closed = False
        self.close_after = closed

    def receive(self, data):
        self.closed = self.close_after
