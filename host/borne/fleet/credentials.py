"""A node's secrets: gathered from files and prompts, checked, brought into the form that the node reads.

They are bytes by name (the names of borne_node.secrets.SECRETS). None of them is ever part of an error, a
log line, a repr or a command line.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from borne.boards import unknown
from borne.errors import SettingError
from borne_node.secrets import SECRETS

# ESP-IDF, Non-Volatile Storage Library: what one blob may hold within a page.
BLOB_MAX: Final = 4000
_PEM: Final = b"-----BEGIN"
_OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO


def prepare(settings: Mapping[str, Any], given: Mapping[str, bytes]) -> dict[str, bytes]:
    """The secrets as the node stores them: certificates and keys in DER, empty ones left out.

    `settings` are validated ones. Raises SettingError that names the secret: unknown, malformed, or one that
    the settings need or do not use.
    """
    prepared = {}
    for name, value in given.items():
        if name not in SECRETS:
            raise SettingError(unknown(name, SECRETS))
        if value:
            prepared[name] = form(name, value)
    _check_together(settings, prepared)
    return prepared


def form(name: str, value: bytes) -> bytes:
    """One secret as the node stores it. Raises SettingError."""
    formed = _FORMS[name](value)
    if len(formed) > BLOB_MAX:
        raise SettingError(f"{name}: has {len(formed)} bytes; the node keeps at most {BLOB_MAX}")
    return formed


def _check_together(settings: Mapping[str, Any], secrets: Mapping[str, bytes]) -> None:
    by_radio = settings["link"] == "lorawan"
    for name in secrets:
        if (name == "app_key") != by_radio:
            raise SettingError(f"{name}: is no secret of a {settings['link']} node")
    if by_radio:
        if not secrets:
            raise SettingError("app_key: is missing: a LoRaWAN node joins with it")
        return
    if settings["mqtt_tls"] and "mqtt_ca" not in secrets:
        raise SettingError(
            "mqtt_ca: is missing: with TLS the node checks the broker against this CA certificate"
        )
    for name in ("mqtt_ca", "mqtt_cert", "mqtt_key"):
        if name in secrets and not settings["mqtt_tls"]:
            raise SettingError(f"{name}: is of use with TLS only: give the broker as mqtts://")
    if ("mqtt_cert" in secrets) != ("mqtt_key" in secrets):
        raise SettingError("mqtt_cert: the client certificate and mqtt_key, its key, belong together")
    if "mqtt_password" in secrets and not settings["mqtt_user"]:
        raise SettingError("mqtt_user: is missing, but there is a password: give mqtt://USER@HOST")


def _wifi_password(value: bytes) -> bytes:
    # IEEE 802.11-2020, J.4.1: a passphrase has 8 to 63 printable ASCII characters; 64 hex digits are the key
    # itself.
    if 8 <= len(value) <= 63 and all(32 <= byte <= 126 for byte in value):
        return value
    if len(value) == 64 and all(byte in b"0123456789abcdefABCDEF" for byte in value):
        return value
    raise SettingError("wifi_password: must have 8 to 63 printable ASCII characters, or 64 hex digits")


def _certificate(name: str) -> Callable[[bytes], bytes]:
    def form(value: bytes) -> bytes:
        # Most nodes have no certificate, and this is as large as all the rest.
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        load = x509.load_pem_x509_certificates if _PEM in value else _one_der_certificate
        try:
            found = load(value)
        except ValueError:
            raise SettingError(f"{name}: is no certificate in PEM or DER") from None
        if len(found) != 1:
            raise SettingError(f"{name}: holds {len(found)} certificates; the node takes one")
        return found[0].public_bytes(Encoding.DER)

    return form


def _one_der_certificate(value: bytes) -> list[Any]:
    from cryptography import x509

    return [x509.load_der_x509_certificate(value)]


def _key(value: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_der_private_key,
        load_pem_private_key,
    )

    load = load_pem_private_key if _PEM in value else load_der_private_key
    try:
        key = load(value, password=None)
    except (ValueError, TypeError):
        # Without `from None` the library's error could quote what it was given.
        raise SettingError("mqtt_key: is no private key in PEM or DER without a passphrase") from None
    return key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def _app_key(value: bytes) -> bytes:
    digits = value.translate(None, b" :-")
    if len(digits) != 32 or digits.translate(None, b"0123456789abcdefABCDEF"):
        raise SettingError("app_key: must have 32 hexadecimal digits")
    key = bytes.fromhex(digits.decode())
    if len(set(key)) == 1:
        raise SettingError("app_key: is no key but one byte over and over; make one with --new-app-key")
    return key


_FORMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "wifi_password": _wifi_password,
    "mqtt_password": lambda value: value,
    "mqtt_ca": _certificate("mqtt_ca"),
    "mqtt_cert": _certificate("mqtt_cert"),
    "mqtt_key": _key,
    "app_key": _app_key,
}


def read_file(name: str, path: Path, *, private: bool = True) -> bytes:
    """Content of a file that holds one secret. `private`: others than its owner must have no access (0600).

    Raises SettingError.
    """
    try:
        if private and os.name == "posix" and path.stat().st_mode & _OTHERS_MAY:
            raise SettingError(f"{name}: {path} is open to others: run `chmod 600 {path}`")
        return path.read_bytes()
    except OSError as error:
        raise SettingError(f"{name}: {path}: {error.strerror}") from None


def read_password(name: str, path: Path) -> bytes:
    """A password out of a file of one line; its line end does not count. Raises SettingError."""
    return read_file(name, path).rstrip(b"\r\n")


def read_table(path: Path) -> dict[str, bytes]:
    """Several secrets out of one TOML file, `wifi_password = "..."`; it must be 0600. Raises SettingError."""
    try:
        content = tomllib.loads(read_file("secrets file", path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        # Not the parser's words: they may quote the line.
        raise SettingError(f'secrets file: {path}: no TOML of the form  wifi_password = "..."') from None
    for name, value in content.items():
        if name not in SECRETS:
            raise SettingError(f"secrets file: {path}: {unknown(name, SECRETS)}")
        if not isinstance(value, str):
            raise SettingError(f"secrets file: {path}: {name}: is no text")
    return {name: value.encode() for name, value in content.items()}
