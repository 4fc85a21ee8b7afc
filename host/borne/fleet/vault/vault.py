"""The vault's folder: one age file a record, encrypted to every recipient.

    recipients.txt      public keys, one a line (age, or SSH), with a name behind a #
    identity.age        the vault's own identity under a passphrase, where it has one
    records/NAME.age    {"record": NAME, "secret": hex}
    access.log          a JSON object for each record that was issued or read, never what is in it

Whoever issues a key needs `recipients.txt` alone, so a technician who provisions cannot read what others issued. Any
age program opens a record with an identity of one of the recipients. A record is never changed, and a name never
used twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyrage  # type: ignore[import-untyped]

from borne.errors import VaultError
from borne.fleet import durable
from borne.fleet.registry import store
from borne.fleet.vault import identities
from borne.fleet.vault.identities import Ask, Identity

VARIABLE: Final = "BORNE_VAULT"
# What stands before a key when its print is made, here and on the node (fleet/provision.py); no other hash is like it.
PRINT_NONCE: Final = b"borne key print\0"
_RECIPIENTS: Final = "recipients.txt"
_IDENTITY: Final = "identity.age"
_RECORDS: Final = "records"
_LOG: Final = "access.log"
_LOCK: Final = ".lock"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_SERIALS: Final = 10_000


def home() -> Path:
    """Where the vault lies where nothing else is said: the environment's, or beside the registry."""
    given = os.environ.get(VARIABLE)
    return Path(given).expanduser() if given else store.home() / "vault"


def fingerprint(secret: bytes) -> str:
    """Tells two random keys apart and gives neither away: SHA-256 behind a prefix, of 128 random bits or more."""
    return hashlib.sha256(PRINT_NONCE + secret).hexdigest()


class Vault:
    """An existing vault at `path`; locked until `unlock`. `who` is noted with each access, where it is given."""

    def __init__(self, path: Path, who: str | None = None) -> None:
        self.path = path
        self._who = who
        self._identity: Identity | None = None

    def __repr__(self) -> str:
        return f"Vault({str(self.path)!r})"

    @property
    def is_locked(self) -> bool:
        return self._identity is None

    @property
    def recipients(self) -> tuple[str, ...]:
        """Lines of recipients.txt that are none of comments alone."""
        lines = self._read(_RECIPIENTS).decode(errors="replace").splitlines()
        return tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))

    def unlock(self, identity: Path | None = None, ask: Ask | None = None) -> None:
        """Once a session. `identity`: a file; else the environment's, the keyring's, or the vault's own passphrase.

        `ask` asks for a passphrase, None where nobody can be asked. Raises VaultError.
        """
        if self._identity is not None:
            return
        given = identity or os.environ.get(identities.IDENTITY_VARIABLE)
        if given:
            found = identities.from_file(Path(given).expanduser(), ask)
        else:
            found = identities.remembered(self.path) or self._own(ask)
        if found.recipient not in map(identities.key_of, self.recipients):
            raise VaultError(f"vault {self.path}: is not encrypted to this identity")
        self._identity = found

    def _own(self, ask: Ask | None) -> Identity:
        if not (self.path / _IDENTITY).exists():
            raise VaultError(
                f"vault {self.path}: has no passphrase: give --identity FILE with the key of one of its recipients"
            )
        sealed = self._read(_IDENTITY)
        return identities.opened(sealed, identities.passphrase(ask), f"vault {self.path}")

    def identity(self) -> Identity:
        """Raises VaultError where the vault is locked."""
        if self._identity is None:
            raise VaultError(
                f"vault {self.path}: is locked: set {identities.PASSPHRASE_VARIABLE}, give --identity FILE, "
                "or run `borne fleet vault unlock`"
            )
        return self._identity

    def issue(self, owner: str, what: str, secret: bytes) -> str:
        """Encrypt a secret into a new record; gives its name, `OWNER.WHAT.SERIAL`. On the disk when this returns."""
        stem = f"{owner}.{what}"
        if not _NAME.fullmatch(stem):
            raise VaultError(f"vault: {stem!r} cannot be a record's name")
        with self._mapped(), durable.locked(self.path / _LOCK):
            for serial in range(self._after(stem), _SERIALS):
                name = f"{stem}.{serial}"
                try:
                    durable.write_new(self._record(name), self._sealed(name, secret))
                except FileExistsError:
                    continue
                self._log("issued", name)
                return name
        raise VaultError(f"vault: {stem} has {_SERIALS} records: something issues keys without end")

    def read(self, name: str) -> bytes:
        """The secret of a record. Raises VaultError: locked, unknown, damaged."""
        identity = self.identity()
        with self._mapped():
            self._log("read", name)
        return self._opened(name, identity)

    def has(self, name: str) -> bool:
        return bool(_NAME.fullmatch(name)) and self._record(name).exists()

    def records(self) -> Iterator[str]:
        """Names of all records, sorted."""
        folder = self.path / _RECORDS
        names = sorted(path.name for path in folder.iterdir() if path.suffix == ".age")
        yield from (name.removesuffix(".age") for name in names if not name.startswith("."))

    def latest(self, owner: str, what: str) -> str | None:
        """The newest record of that name."""
        serial = self._after(f"{owner}.{what}") - 1
        return f"{owner}.{what}.{serial}" if serial else None

    def add_recipient(self, line: str) -> int:
        """Encrypt every record to one more public key too; needs an unlocked vault. Gives the number of records.

        Breaking it off loses nothing: a record is as it was or has the new recipient, who is named when all have.
        """
        identity = self.identity()
        identities.recipient(line)
        if identities.key_of(line) in map(identities.key_of, self.recipients):
            return 0
        return self._encrypt_to((*self.recipients, line.strip()), identity)

    def remove_recipient(self, key: str) -> int:
        """The same with one less. What was read before stays known: keys that must not be are to be issued anew."""
        identity = self.identity()
        left = tuple(line for line in self.recipients if identities.key_of(line) != identities.key_of(key))
        if len(left) == len(self.recipients):
            raise VaultError(f"vault: {key[:70]!r} is no recipient")
        if identity.recipient not in map(identities.key_of, left):
            raise VaultError("vault: that is the key that you opened it with; open it with another one first")
        return self._encrypt_to(left, identity)

    def _encrypt_to(self, lines: Sequence[str], identity: Identity) -> int:
        count = 0
        with self._mapped(), durable.locked(self.path / _LOCK):
            for name in self.records():
                secret = self._opened(name, identity)
                durable.replace(self._record(name), self._sealed(name, secret, lines))
                count += 1
            durable.replace(self.path / _RECIPIENTS, _lines(lines))
            self._log("recipients changed", "")
        return count

    def check(self) -> int:
        """Open every record, as a backup's proof; gives their number. Raises VaultError at the first that fails."""
        identity = self.identity()
        with self._mapped():
            self._log("all checked", "")
        count = 0
        for name in self.records():
            self._opened(name, identity)
            count += 1
        return count

    def damaged(self) -> list[str]:
        """Records that do not open; none where the vault is locked, for then nobody can tell."""
        if self._identity is None:
            return []
        with self._mapped():
            self._log("all checked", "")
        return [name for name in self.records() if not self._opens(name, self._identity)]

    def _opens(self, name: str, identity: Identity) -> bool:
        try:
            self._opened(name, identity)
        except VaultError:
            return False
        return True

    def _sealed(self, name: str, secret: bytes, lines: Sequence[str] | None = None) -> bytes:
        content = json.dumps({"record": name, "secret": secret.hex()}).encode()
        keys = [identities.recipient(line) for line in lines or self.recipients]
        return bytes(pyrage.encrypt(content, keys))

    def _opened(self, name: str, identity: Identity) -> bytes:
        if not self.has(name):
            raise VaultError(
                f"vault {self.path}: has no record {name}; `borne fleet restore` brings back a backup"
            )
        sealed = self._read(f"{_RECORDS}/{name}.age")
        try:
            content = json.loads(bytes(pyrage.decrypt(sealed, [identity.age])))
            # A file that was renamed would give one node the key of another.
            if content["record"] != name:
                raise ValueError
            return bytes.fromhex(content["secret"])
        except Exception:
            raise VaultError(
                f"vault {self.path}: record {name} is damaged, or not for this identity; "
                "`borne fleet restore` brings back a backup"
            ) from None

    def _after(self, stem: str) -> int:
        serial = 1
        while self._record(f"{stem}.{serial}").exists():
            serial += 1
        return serial

    def _record(self, name: str) -> Path:
        return self.path / _RECORDS / f"{name}.age"

    def _read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise VaultError(f"vault {self.path}: {name}: {error.strerror}") from None

    def _log(self, event: str, name: str) -> None:
        line = {"at": int(time.time()), "event": event, "record": name}
        if self._who:
            line["who"] = self._who
        durable.append(self.path / _LOG, json.dumps(line).encode() + b"\n")

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise
        except OSError as error:
            raise VaultError(f"vault {self.path}: {error.strerror}") from None


def refuse_old(path: Path | None = None) -> Path:
    """Where a new vault goes. Raises VaultError: there is one."""
    path = path or home()
    if path.exists() and any(path.iterdir()):
        raise VaultError(f"vault {path}: is there already")
    return path


def create(path: Path | None = None, passphrase: str | None = None, recipients: Sequence[str] = ()) -> Vault:
    """A new vault: with an identity of its own under the passphrase, and for the public keys given. Raises VaultError.

    The passphrase opens all of it; without one, only the recipients' own identities do.
    """
    path = refuse_old(path)
    lines = [one.strip() for one in recipients]
    for line in lines:
        identities.recipient(line)
    if passphrase is None and not lines:
        raise VaultError("vault: give a passphrase, or the public key of somebody who may read it")
    try:
        (path / _RECORDS).mkdir(parents=True, exist_ok=True, mode=0o700)
        path.chmod(0o700)
        if passphrase is not None:
            own = identities.new()
            durable.write_new(path / _IDENTITY, identities.sealed(own, passphrase))
            lines.insert(0, f"{own.recipient} # the passphrase")
        # Last: a folder without it is no vault.
        durable.write_new(path / _RECIPIENTS, _lines(lines))
    except OSError as error:
        raise VaultError(f"vault {path}: {error.strerror}") from None
    return Vault(path)


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def open_vault(path: Path | None = None, who: str | None = None) -> Vault:
    """The vault at `path`, the environment's, or the one beside the registry; locked. Raises VaultError."""
    path = path or home()
    if not (path / _RECIPIENTS).exists():
        raise VaultError(f"vault {path}: is not there; `borne fleet vault create` makes one")
    vault = Vault(path, who)
    if not vault.recipients:
        raise VaultError(
            f"vault {path}: {_RECIPIENTS} names nobody; `borne fleet restore` brings back a backup"
        )
    return vault
