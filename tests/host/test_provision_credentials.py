from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from cryptography.x509.oid import NameOID

from borne.errors import SettingError
from borne.fleet import credentials
from borne_node import settings as node_settings

BASE = {"kind": "fill", "name": "n", "wifi_ssid": "w", "mqtt_host": "h", "depth_mm": 1000}
PLAIN = node_settings.validate(BASE)
TLS = node_settings.validate({**BASE, "mqtt_tls": True})
USER = node_settings.validate({**BASE, "mqtt_user": "u"})
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(key=KEY):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker.example")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )


CA = certificate()
PEM, DER = CA.public_bytes(Encoding.PEM), CA.public_bytes(Encoding.DER)


def refusal(settings, secrets):
    with pytest.raises(SettingError) as caught:
        credentials.prepare(settings, secrets)
    return str(caught.value)


def test_an_open_network_needs_nothing():
    assert credentials.prepare(PLAIN, {}) == {}
    assert credentials.prepare(PLAIN, {"wifi_password": b""}) == {}


@pytest.mark.parametrize("password", [b"12345678", b"x" * 63, b"0123456789abcdefABCDEF" + b"0" * 42])
def test_wifi_passwords_that_there_are(password):
    assert credentials.prepare(PLAIN, {"wifi_password": password}) == {"wifi_password": password}


@pytest.mark.parametrize(
    "password", [b"1234567", b"x" * 64, b"x" * 65, "mot-de-passé".encode(), b"tab\there"]
)
def test_wifi_passwords_that_there_are_not(password):
    said = refusal(PLAIN, {"wifi_password": password})
    assert said.startswith("wifi_password: must have 8 to 63")
    assert repr(password)[2:-1] not in said


def test_certificates_become_der():
    for given in (PEM, DER, b"Subject: broker\n" + PEM):
        prepared = credentials.prepare(TLS, {"mqtt_ca": given})
        assert prepared == {"mqtt_ca": DER}


def test_a_client_certificate_and_its_key():
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        for encoding in (Encoding.PEM, Encoding.DER):
            key = KEY.private_bytes(encoding, form, NoEncryption())
            secrets = {"mqtt_ca": PEM, "mqtt_cert": PEM, "mqtt_key": key}
            prepared = credentials.prepare(TLS, secrets)
            loaded = load_der_private_key(prepared["mqtt_key"], None)
            assert loaded.public_key() == KEY.public_key()
            assert list(prepared) == list(secrets)


def test_malformed_certificates_and_keys():
    assert "mqtt_ca: is no certificate" in refusal(TLS, {"mqtt_ca": b"nonsense"})
    assert "mqtt_ca: is no certificate" in refusal(TLS, {"mqtt_ca": PEM.replace(b"MII", b"XXX", 1)})
    assert "mqtt_ca: holds 2 certificates" in refusal(TLS, {"mqtt_ca": PEM * 2})
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    for key in (b"nonsense", PEM, locked):
        said = refusal(TLS, {"mqtt_ca": PEM, "mqtt_cert": PEM, "mqtt_key": key})
        assert "mqtt_key: is no private key in PEM or DER without a passphrase" in said


def test_what_does_not_fit_a_blob():
    assert credentials.prepare(USER, {"mqtt_password": bytes(4000)})
    assert "mqtt_password: has 4001 bytes; the node keeps at most 4000" in refusal(
        USER, {"mqtt_password": bytes(4001)}
    )


@pytest.mark.parametrize(
    ("settings", "secrets", "says"),
    [
        (TLS, {}, "mqtt_ca: is missing"),
        (PLAIN, {"mqtt_ca": PEM}, "mqtt_ca: is of use with TLS only"),
        (TLS, {"mqtt_ca": PEM, "mqtt_cert": PEM}, "belong together"),
        (PLAIN, {"mqtt_password": b"x"}, "mqtt_user: is missing"),
        (PLAIN, {"wifi_pasword": b"x"}, "'wifi_pasword' is unknown; did you mean 'wifi_password'"),
    ],
)
def test_what_does_not_go_together(settings, secrets, says):
    assert says in refusal(settings, secrets)


def private(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_password_file_is_its_first_line(tmp_path):
    for ending in (b"", b"\n", b"\r\n"):
        path = private(tmp_path / "password", b" spaces stay " + ending)
        assert credentials.read_password("wifi_password", path) == b" spaces stay "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_open_to_others_is_refused(tmp_path, mode):
    path = private(tmp_path / "password", b"12345678", mode)
    with pytest.raises(
        SettingError, match=f"wifi_password: {path} is open to others: run `chmod 600 {path}`"
    ):
        credentials.read_password("wifi_password", path)
    assert credentials.read_file("mqtt_ca", path, private=False) == b"12345678"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingError, match="mqtt_ca: .*nowhere: No such file"):
        credentials.read_file("mqtt_ca", tmp_path / "nowhere")


def test_a_secrets_file(tmp_path):
    path = private(tmp_path / "secrets.toml", 'wifi_password = "pässword"\nmqtt_password = "x"\n'.encode())
    assert credentials.read_table(path) == {"wifi_password": "pässword".encode(), "mqtt_password": b"x"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hunter2", "no TOML"),
        (b"\xff", "no TOML"),
        (b'wifi_pasword = "hunter2"', "'wifi_pasword' is unknown; did you mean 'wifi_password'"),
        (b"wifi_password = 12345678", "wifi_password: is no text"),
    ],
)
def test_malformed_secrets_files_are_named_and_not_quoted(tmp_path, content, says):
    path = private(tmp_path / "secrets.toml", content)
    with pytest.raises(SettingError, match=says) as caught:
        credentials.read_table(path)
    assert "hunter2" not in str(caught.value)
    assert "12345678" not in str(caught.value)
