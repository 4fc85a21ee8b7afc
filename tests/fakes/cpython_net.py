"""CPython's sockets, poll and TLS with the face of MicroPython's, for real connections from firmware on
CPython.

MicroPython's streams return None where they would block; its TLS shakes hands inside read and write, takes
DER bytes, and polling a TLS socket waits for what the handshake needs.
"""

import select as _select
import socket as _socket
import ssl as _ssl
import tempfile
from pathlib import Path


class Socket:
    def __init__(self, sock):
        self.raw = sock
        self.wants = 0
        self.setblocking = sock.setblocking
        self.connect = sock.connect
        self.fileno = sock.fileno

    def write(self, view):
        return self._try(self.raw.send, view)

    def readinto(self, view):
        return self._try(self.raw.recv_into, view)

    def close(self):
        self.raw.close()

    def _try(self, operation, view):
        self.wants = 0
        try:
            return operation(view)
        except _ssl.SSLWantReadError:
            self.wants = _select.POLLIN
        except _ssl.SSLWantWriteError:
            self.wants = _select.POLLOUT
        except BlockingIOError:
            pass
        return None


class TlsSocket(Socket):
    shaken = False

    def _try(self, operation, view):
        if not self.shaken:
            if super()._try(lambda _: self.raw.do_handshake() or 1, view) is None:
                return None
            self.shaken = True
        return super()._try(operation, view)


class Poll:
    def __init__(self):
        self.sock = None
        self.flags = 0

    def register(self, sock, flags):
        self.sock, self.flags = sock, flags

    modify = register

    def unregister(self, sock):
        self.sock = None

    def poll(self, ms):
        if isinstance(self.sock, TlsSocket) and self.flags & _select.POLLIN and self.sock.raw.pending():
            return [(self.sock, _select.POLLIN)]
        poll = _select.poll()
        poll.register(self.sock.fileno(), self.sock.wants or self.flags)
        return [(self.sock, flags) for _, flags in poll.poll(ms)]


class _SocketModule:
    SOCK_STREAM = _socket.SOCK_STREAM
    getaddrinfo = staticmethod(_socket.getaddrinfo)

    @staticmethod
    def socket(family, kind):
        return Socket(_socket.socket(family, kind))


class _SelectModule:
    POLLIN, POLLOUT = _select.POLLIN, _select.POLLOUT
    POLLERR, POLLHUP = _select.POLLERR, _select.POLLHUP
    poll = Poll


class _SslContext:
    def __init__(self, protocol):
        self._context = _ssl.SSLContext(protocol)
        self._context.check_hostname = True

    def __setattr__(self, name, value):
        if name == "verify_mode":
            self._context.verify_mode = value
        object.__setattr__(self, name, value)

    def load_verify_locations(self, cadata):
        self._context.load_verify_locations(cadata=cadata)

    def load_cert_chain(self, certificate, key):
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for name, der, label in (("cert", certificate, "CERTIFICATE"), ("key", key, "EC PRIVATE KEY")):
                paths.append(Path(folder) / name)
                pem = _ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", label)
                paths[-1].write_text(pem)
            self._context.load_cert_chain(*paths)

    def wrap_socket(self, sock, server_hostname, do_handshake_on_connect):
        raw = self._context.wrap_socket(
            sock.raw, server_hostname=server_hostname, do_handshake_on_connect=do_handshake_on_connect
        )
        return TlsSocket(raw)


class _SslModule:
    PROTOCOL_TLS_CLIENT = _ssl.PROTOCOL_TLS_CLIENT
    CERT_REQUIRED = _ssl.CERT_REQUIRED
    SSLContext = _SslContext


socket = _SocketModule
select = _SelectModule
ssl = _SslModule
