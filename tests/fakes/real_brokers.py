"""Real brokers on the loopback for tests of the node's MQTT client: amqtt always, mosquitto where it is installed."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

USER, PASSWORD = "street", "kerb stone"
LIMIT_S = 20.0
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
KINDS = ["amqtt", "mosquitto"] if MOSQUITTO else ["amqtt"]
SERVER_CERTIFICATES = ("good", "wrong", "expired")


class Authority:
    """A certificate authority of its own, and the certificates that the tests need, as files in `folder`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key, self.certificate = self._issue(name, None, 0, 365, None)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.der = self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(
        self, name: str, host: str | None = None, begin: int = -1, end: int = 365
    ) -> tuple[Path, Path, bytes, bytes]:
        """Certificate and key for `host`, valid from day `begin` to day `end`: two PEM files, and both as DER."""
        key, certificate = self._issue(name, host, begin, end, self.certificate)
        files = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(_private(key, serialization.Encoding.PEM))
        return (
            *files,
            certificate.public_bytes(serialization.Encoding.DER),
            _private(key, serialization.Encoding.DER),
        )

    def _issue(
        self, name: str, host: str | None, begin: int, end: int, issuer: x509.Certificate | None
    ) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host or name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begin))
            .not_valid_after(now + datetime.timedelta(days=end))
            .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return key, builder.sign(self._key if issuer else key, hashes.SHA256())


def _private(key: ec.EllipticCurvePrivateKey, encoding: serialization.Encoding) -> bytes:
    return key.private_bytes(
        encoding, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def free_port() -> int:
    """A port that nobody listens on; not one of those that the system hands out, lest it is gone before it is used."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Broker:
    """A broker process of `kind` with a plain listener and one TLS listener for each server certificate."""

    def __init__(self, kind: str, folder: Path, authority: Authority | None = None) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.tls: dict[str, int] = {}
        self._authority = authority
        self._process: subprocess.Popen[str] | None = None
        if authority:
            self.tls = {name: free_port() for name in SERVER_CERTIFICATES}

    def start(self) -> None:
        command = self._mosquitto() if self.kind == "mosquitto" else self._amqtt()
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        seen = ""
        for line in self._process.stderr:
            seen += line
            if line.rstrip().endswith(" running"):
                break
        else:
            raise RuntimeError(f"{self.kind} did not start:\n{seen}")
        # Keep the pipe empty, or the broker stands still when it is full.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(LIMIT_S)
            self._process = None

    def _mosquitto(self) -> list[str]:
        salt = b"salt of 12 b"
        digest = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 101)
        encoded = base64.b64encode(salt).decode(), base64.b64encode(digest).decode()
        (self.folder / "passwords").write_text(f"{USER}:$7$101${encoded[0]}${encoded[1]}\n")
        lines = ["user root", "allow_anonymous false", f"password_file {self.folder / 'passwords'}"]
        lines += [f"listener {self.port} 127.0.0.1"]
        for name, port in self.tls.items():
            files = self._authority_files(name)
            lines += [f"listener {port} 127.0.0.1", f"certfile {files[0]}", f"keyfile {files[1]}"]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        assert MOSQUITTO
        return [MOSQUITTO, "-v", "-c", str(self.folder / "mosquitto.conf")]

    def _amqtt(self) -> list[str]:
        listeners: dict[str, dict[str, object]] = {
            "default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}", "max_connections": 50}
        }
        for name, port in self.tls.items():
            files = self._authority_files(name)
            listeners[name] = {
                "bind": f"127.0.0.1:{port}",
                "ssl": True,
                "certfile": str(files[0]),
                "keyfile": str(files[1]),
            }
        listeners_text = json.dumps({"listeners": listeners, "user": USER, "password": PASSWORD})
        return [sys.executable, str(Path(__file__).with_name("amqtt_process.py")), listeners_text]

    def _authority_files(self, name: str) -> tuple[Path, Path]:
        assert self._authority
        return self._authority.folder / f"{name}.crt", self._authority.folder / f"{name}.key"


def issue_server_certificates(authority: Authority) -> None:
    authority.issue("good", "localhost")
    authority.issue("wrong", "other.example")
    authority.issue("expired", "localhost", begin=-30, end=-1)


@contextmanager
def listening(make_peer: object, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve peers in RAM (see tests/fakes/net.py) on a real port; yields the port. None: accept and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, make_peer, context), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        # Wakes accept(); a close() alone would leave it waiting.
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT_S)


def _serve(server: socket.socket, make_peer: object, context: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            raw, _ = server.accept()
            raw.settimeout(LIMIT_S)
            with suppress(OSError), raw:
                connection = context.wrap_socket(raw, server_side=True) if context else raw
                with connection:
                    _converse(connection, make_peer() if callable(make_peer) else None)


def _converse(connection: socket.socket, peer: object) -> None:
    while data := connection.recv(4096):
        if peer is None:
            continue
        peer.receive(data)  # type: ignore[attr-defined]
        connection.sendall(peer.output)  # type: ignore[attr-defined]
        peer.output.clear()  # type: ignore[attr-defined]
        if peer.closed:  # type: ignore[attr-defined]
            return
