"""Who may read the vault: age identities, out of a file, the environment, the system's keyring, or a passphrase."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyrage  # type: ignore[import-untyped]

from borne.errors import VaultError

PASSPHRASE_VARIABLE: Final = "BORNE_VAULT_PASSPHRASE"
IDENTITY_VARIABLE: Final = "BORNE_VAULT_IDENTITY"
_SERVICE: Final = "borne vault"
_AGE: Final = b"age-encryption.org/"
_SECRET: Final = "AGE-SECRET-KEY-1"
_OTHERS_MAY: Final = stat.S_IRWXG | stat.S_IRWXO

Ask = Callable[[], str]


class Identity:
    """An age identity in memory. Nothing shows what it is."""

    __slots__ = ("age", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        try:
            self.age = pyrage.x25519.Identity.from_str(text)
        except Exception:
            # Without `from None` an error could quote what it was given.
            raise VaultError("identity: is no age identity (AGE-SECRET-KEY-1...)") from None

    def __repr__(self) -> str:
        return "Identity(...)"

    def __reduce__(self) -> Any:
        raise TypeError("an identity is not copied into files")

    @property
    def recipient(self) -> str:
        return str(self.age.to_public())

    def revealed(self) -> str:
        """The secret itself, for the keyring."""
        return self._text


def new() -> Identity:
    return Identity(str(pyrage.x25519.Identity.generate()))


def key_of(line: str) -> str:
    """The public key in a line of recipients.txt: without the name behind it."""
    words = line.split("#")[0].split()
    return " ".join(words[:2] if words and words[0].startswith("ssh-") else words[:1])


def recipient(line: str) -> Any:
    """A recipient as pyrage takes it, out of such a line. Raises VaultError."""
    text = key_of(line)
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except Exception:
        if text.upper().startswith(_SECRET):
            raise VaultError("recipient: is a secret key; give the public one (age1...)") from None
        raise VaultError(f"recipient: {text[:70]!r} is no age public key (age1...) nor an SSH one") from None


def sealed(identity: Identity, passphrase: str) -> bytes:
    """An identity under a passphrase, as `age -p` writes one. Takes seconds, as it must for whoever guesses."""
    if len(passphrase) < 8:
        raise VaultError("passphrase: must have at least 8 characters")
    return bytes(pyrage.passphrase.encrypt(identity.revealed().encode() + b"\n", passphrase))


def opened(data: bytes, passphrase: str, where: str) -> Identity:
    """The identity that `sealed` sealed. Raises VaultError."""
    try:
        text = bytes(pyrage.passphrase.decrypt(data, passphrase)).decode()
    except Exception:
        raise VaultError(f"{where}: wrong passphrase, or the file is damaged") from None
    return _first(text, where)


def from_file(path: Path, ask: Ask | None) -> Identity:
    """An identity file as age-keygen writes it (it must be 0600), or one under a passphrase. Raises VaultError."""
    try:
        data = path.read_bytes()
        if os.name == "posix" and not data.startswith(_AGE) and path.stat().st_mode & _OTHERS_MAY:
            raise VaultError(f"identity {path}: is open to others: run `chmod 600 {path}`")
    except OSError as error:
        raise VaultError(f"identity {path}: {error.strerror}") from None
    if data.startswith(_AGE):
        return opened(data, passphrase(ask), f"identity {path}")
    return _first(data.decode(errors="replace"), f"identity {path}")


def _first(text: str, where: str) -> Identity:
    for line in text.splitlines():
        if line.strip().startswith(_SECRET):
            return Identity(line.strip())
    raise VaultError(f"{where}: holds no age identity (AGE-SECRET-KEY-1...)")


def passphrase(ask: Ask | None) -> str:
    """Out of the environment, or asked for. Raises VaultError."""
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if ask is None:
        raise VaultError(
            f"vault: is locked: set {PASSPHRASE_VARIABLE}, give --identity FILE, or run `borne fleet vault unlock`"
        )
    return ask()


def remembered(vault: Path) -> Identity | None:
    """What the system's keyring keeps for this vault; None where it keeps nothing, or there is none."""
    import keyring
    from keyring.errors import KeyringError

    try:
        text = keyring.get_password(_SERVICE, str(vault.resolve()))
    except KeyringError:
        return None
    return Identity(text) if text else None


def remember(vault: Path, identity: Identity) -> None:
    """Keep an identity in the system's keyring until `forget`. Raises VaultError."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(_SERVICE, str(vault.resolve()), identity.revealed())
    except (KeyringError, RuntimeError):
        raise VaultError(
            f"vault: this system has no keyring to remember it in: set {PASSPHRASE_VARIABLE} for the session instead"
        ) from None


def forget(vault: Path) -> bool:
    """Whether the keyring kept anything."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.delete_password(_SERVICE, str(vault.resolve()))
    except KeyringError:
        return False
    return True
