"""A TCP or TLS connection on which every wait has a limit.

Sockets are MicroPython's, never blocking: `readinto` and `write` return the number of bytes, None when they
would block, 0 at the end. A TLS handshake goes on inside `write`, so that a silent peer cannot hold the node
in it.
"""

from errno import EINPROGRESS

from borne_node.compat import const, ticks_diff
from borne_node.errors import LinkDown, LinkRefused

# Polls are cut into slices so that time is also counted where the clock stands still (see Limit).
_SLICE_MS = const(250)


class Limit:
    """`ms` milliseconds from now, by the clock's ticks or by the time spent in polls, whichever ends first.

    On a virtual street the clock stands still while a node runs; its waits for real sockets must end too.
    """

    def __init__(self, clock, ms):
        self._ticks_ms = clock.ticks_ms
        self._start = clock.ticks_ms()
        self._ms = ms
        self._spent = 0

    def left(self):
        """Milliseconds left, at least 1. Raises LinkDown when there are none."""
        left = self._ms - max(self._spent, ticks_diff(self._ticks_ms(), self._start))
        if left <= 0:
            raise LinkDown("no answer in time")
        return left

    def spend(self, ms):
        self._spent += ms


class Stream:
    """`sock` and `poll` (a select.poll()) as described above."""

    def __init__(self, sock, poll, pollin, pollout):
        self._sock = sock
        self._poll = poll
        self._pollin = pollin
        self._pollout = pollout
        poll.register(sock, pollin)

    def read(self, view, limit):
        """Fill the memoryview `view`. Raises LinkDown, or LinkRefused for a certificate that is not good."""
        done = 0
        while done < len(view):
            limit.left()
            count = self._try(self._sock.readinto, view[done:])
            if count == 0:
                raise LinkDown("the broker hung up")
            if count is None:
                self._wait(self._pollin, limit)
            else:
                done += count

    def write(self, data, limit):
        """Send all of `data`. Raises as `read`."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            limit.left()
            count = self._try(self._sock.write, view[done:])
            if count is None:
                self._wait(self._pollout, limit)
            else:
                done += count

    def waiting(self):
        """Whether something can be read at once."""
        self._poll.modify(self._sock, self._pollin)
        return bool(self._poll.poll(0))

    def close(self):
        try:
            self._poll.unregister(self._sock)
            self._sock.close()
        except OSError:
            pass  # closed by the peer

    def _try(self, operation, view):
        try:
            return operation(view)
        except ValueError as error:
            # MicroPython's tls raises what mbedtls_x509_crt_verify_info says, in lines
            # (extmod/modtls_mbedtls.c).
            raise LinkRefused("the broker's certificate: %s" % " ".join(str(error).split()))
        except OSError as error:
            raise LinkDown("connection lost: %s" % error)

    def _wait(self, flag, limit):
        ms = min(limit.left(), _SLICE_MS)
        self._poll.modify(self._sock, flag)
        # A socket that is ready and yet would block must not hold the node for ever either.
        limit.spend(1 if self._poll.poll(ms) else ms)


def connect(host, port, limit, socket, select, context=None):
    """A Stream to `host`, with TLS when `context` (see tls_context) is given.

    Raises LinkDown: no such name, nobody answers, no connection. A name server that is silent is limited by
    the network stack, not by `limit`: getaddrinfo blocks on every port of MicroPython.
    """
    try:
        addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    except OSError:
        raise LinkDown("no address known for %s" % host)
    down = LinkDown("no address known for %s" % host)
    for family, kind, _, _, address in addresses:
        try:
            sock = _connected(socket.socket(family, kind), address, limit, select)
            break
        except LinkDown as error:
            down = error
    else:
        raise down
    if context:
        try:
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            sock.close()
            raise LinkDown("TLS: %s" % error)
    return Stream(sock, select.poll(), select.POLLIN, select.POLLOUT)


def _connected(sock, address, limit, select):
    try:
        sock.setblocking(False)
        try:
            sock.connect(address)
        except OSError as error:
            if error.errno != EINPROGRESS:
                raise
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        while True:
            ms = min(limit.left(), _SLICE_MS)
            events = poll.poll(ms)
            if events:
                break
            limit.spend(ms)
        if events[0][1] & (select.POLLERR | select.POLLHUP):
            raise OSError("nobody listens")
        return sock
    except (OSError, LinkDown) as error:
        sock.close()
        raise LinkDown("cannot connect: %s" % error)


def tls_context(ssl, ca, certificate=None, key=None):
    """A context that checks the broker against the authority `ca` and shows `certificate`, if any.

    All DER bytes. There is no way to make one that does not check. Raises LinkRefused for anything else.
    """
    if not ca:
        raise LinkRefused("mqtt_ca: missing; TLS needs it")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(cadata=ca)
    except (OSError, ValueError):
        raise LinkRefused("mqtt_ca: is no certificate in DER form")
    if certificate:
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ValueError, TypeError):
            raise LinkRefused("mqtt_cert, mqtt_key: are no certificate and key in DER form")
    return context
