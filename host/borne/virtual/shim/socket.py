# mypy: ignore-errors
"""`socket`: real sockets behind the simulated station; waits cost simulated time and little real time."""

import errno
import io
import select as _select

import _link
import uselect
import usocket

AF_INET = usocket.AF_INET
SOCK_STREAM = usocket.SOCK_STREAM
SOCK_DGRAM = usocket.SOCK_DGRAM
SOL_SOCKET = usocket.SOL_SOCKET
SO_REUSEADDR = usocket.SO_REUSEADDR
SO_BROADCAST = usocket.SO_BROADCAST
IPPROTO_TCP = 6
IPPROTO_UDP = 17
TCP_NODELAY = 1

_MP_STREAM_POLL = 3
_MP_STREAM_CLOSE = 4
_MP_STREAM_GET_FILENO = 10
_EAI_FAIL = -202  # lwIP's EAI_FAIL, what getaddrinfo raises without a network


def getaddrinfo(host, port, af=0, type=0, proto=0, flags=0):
    """One real look-up; the native call gives packed addresses, the ESP32's gives (ip, port)."""
    if not _link.state.link_up:
        raise OSError(_EAI_FAIL)
    _link.wait(_select.ROUND_TRIP_US)
    try:
        found = usocket.getaddrinfo(host, port, AF_INET, type or SOCK_STREAM)
    except OSError:
        raise OSError(_EAI_FAIL)
    out = []
    for family, kind, _protocol, _name, address in found:
        plain = usocket.sockaddr(address)
        out.append((family, kind, 0, "", (usocket.inet_ntop(plain[0], plain[1]), plain[2])))
    return out


def _address(address):
    if isinstance(address, tuple):
        return usocket.getaddrinfo(address[0], address[1], AF_INET, SOCK_STREAM)[0][-1]
    return address


class socket(io.IOBase):
    def __init__(self, af=AF_INET, type=SOCK_STREAM, proto=0, _native=None):
        self._socket = usocket.socket(af, type) if _native is None else _native
        self._timeout_ms = -1
        self._poller = uselect.poll()
        self._poller.register(self._socket, 0)

    def _await(self, mask):
        """Wait until the socket is ready or the timeout has passed in simulated time."""
        if not _link.state.link_up:
            raise OSError(errno.ECONNABORTED)
        self._poller.modify(self._socket, mask)
        if not _select.ready(self._poller, self._timeout_ms, True, False):
            raise OSError(errno.EAGAIN if self._timeout_ms == 0 else errno.ETIMEDOUT)

    def connect(self, address):
        if not _link.state.link_up:
            raise OSError(errno.EHOSTUNREACH)
        _link.wait(_select.ROUND_TRIP_US)
        self._socket.connect(_address(address))

    def bind(self, address):
        self._socket.bind(_address(address))

    def listen(self, backlog=1):
        self._socket.listen(backlog)

    def accept(self):
        self._await(_select.POLLIN)
        native, address = self._socket.accept()
        plain = usocket.sockaddr(address)
        return socket(_native=native), (usocket.inet_ntop(plain[0], plain[1]), plain[2])

    def settimeout(self, seconds):
        self._timeout_ms = -1 if seconds is None else int(seconds * 1000)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)

    def setsockopt(self, level, option, value):
        self._socket.setsockopt(level, option, value)

    def fileno(self):
        return self._socket.fileno()

    def recv(self, n, flags=0):
        self._await(_select.POLLIN)
        return self._socket.recv(n)

    def recvfrom(self, n, flags=0):
        self._await(_select.POLLIN)
        data, address = self._socket.recvfrom(n)
        plain = usocket.sockaddr(address)
        return data, (usocket.inet_ntop(plain[0], plain[1]), plain[2])

    def readinto(self, buf, n=None):
        # MicroPython's stream protocol: None says "would block", as a non-blocking socket must to TLS.
        try:
            self._await(_select.POLLIN)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return None
            raise
        return self._socket.readinto(buf) if n is None else self._socket.readinto(buf, n)

    def read(self, n=-1):
        out = b""
        while n < 0 or len(out) < n:
            piece = self.recv(512 if n < 0 else n - len(out))
            if not piece:
                break
            out += piece
        return out

    def readline(self):
        out = b""
        while not out.endswith(b"\n"):
            piece = self.recv(1)
            if not piece:
                break
            out += piece
        return out

    def write(self, buf, n=None):
        if not _link.state.link_up:
            raise OSError(errno.ECONNABORTED)
        _link.spend(200)
        return self._socket.write(buf) if n is None else self._socket.write(buf, n)

    def send(self, buf, flags=0):
        return self.write(buf)

    def sendall(self, buf, flags=0):
        self.write(buf)

    def sendto(self, buf, address):
        if not _link.state.link_up:
            raise OSError(errno.EHOSTUNREACH)
        return self._socket.sendto(buf, _address(address))

    def makefile(self, mode="rb", buffering=0):
        return self

    def close(self):
        self._socket.close()

    def ioctl(self, request, argument):
        if request == _MP_STREAM_GET_FILENO:
            return self._socket.fileno()
        if request == _MP_STREAM_POLL:
            self._poller.modify(self._socket, argument)
            found = self._poller.poll(0)
            return found[0][1] if found else 0
        if request == _MP_STREAM_CLOSE:
            self.close()
        return 0
