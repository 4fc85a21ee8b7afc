"""A broker of our own: Mosquitto's password file and ACL file, kept in step with the list.

mosquitto(8), mosquitto.conf(5) and mosquitto_passwd(1) of version 2: `name:$7$iterations$salt$hash`, PBKDF2 with
SHA-512; `pattern` lines with %u for the name that a client logged in with.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from borne.errors import SettingError, UserError
from borne.fleet import files
from borne.fleet.model import Node
from borne.fleet.networks import describe
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.plan import Step

# mosquitto_passwd's own default. A node's password is drawn at random, so guessing it is hopeless at any count, and
# four hundred nodes that come back after a power cut are not to wait for one another.
ITERATIONS: Final = 101
_SALT_BYTES: Final = 12
_PATTERNS: Final = ("pattern write borne/v1/%u/up/#", "pattern read borne/v1/%u/down/#")
_COMMENT: Final = "# borne: a node publishes and reads its own topics only; %u is its name"


def hashed(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """What stands behind a name in the password file."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    return f"$7${iterations}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def agrees(stored: str, password: str) -> bool:
    """Whether a password is the one that was hashed; False for a hash of another kind, such as $6$."""
    parts = stored.split("$")
    try:
        if len(parts) != 5 or parts[1] != "7":
            return False
        salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
        ours = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, int(parts[2]), len(digest))
    except ValueError:
        return False
    return hmac.compare_digest(ours, digest)


def user(node: Node) -> str:
    """The name that a node logs in with: its own, which is also the level of its topics. Raises SettingError."""
    wanted = node.asset.settings.get("mqtt_user") or node.name
    if wanted != node.name:
        raise SettingError(
            f"{node.asset.asset}: its mqtt_user is {wanted!r}; to keep it to its topics it has to be its name"
        )
    if ":" in wanted or wanted.startswith("#") or not wanted.isprintable() or wanted != wanted.strip():
        raise SettingError(
            f"{node.asset.asset}: a name such as {wanted!r} cannot stand in Mosquitto's password file"
        )
    return wanted


class Mosquitto:
    """Both files; others' lines stay as they are. The broker reads them when it gets SIGHUP."""

    link = "wifi"

    def __init__(self, passwords: Path, acl: Path) -> None:
        self._passwords, self._acl = passwords, acl
        self._users: dict[str, str] = {}

    def __enter__(self) -> Mosquitto:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def shared(self, nodes: Sequence[Node]) -> list[Step]:
        there = [" ".join(line.split()) for line in _lines(self._acl)]
        missing = [line for line in _PATTERNS if line not in there]
        return [Step(f"access rules in {self._acl.name}", self._allow)] if missing else []

    def _allow(self) -> None:
        with files.changing(self._acl):
            lines = _lines(self._acl)
            there = [" ".join(line.split()) for line in lines]
            missing = [line for line in _PATTERNS if line not in there]
            if missing:
                # Patterns hold for everybody wherever they stand; at the end nobody's lines come to belong to others.
                _replace(self._acl, [*lines, _COMMENT, *missing])

    def present(self) -> Mapping[str, str]:
        self._users = {}
        for number, line in enumerate(_lines(self._passwords), 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, colon, stored = line.partition(":")
            if not colon or not stored.startswith("$"):
                raise UserError(
                    f"{self._passwords}, line {number}: is no name and hash: run mosquitto_passwd -U on it first"
                )
            self._users[name] = stored
        return {name: name for name in self._users}

    def identify(self, node: Node) -> str:
        return user(node)

    def steps(self, node: Node, keys: Keys) -> list[Step]:
        name, password = user(node), describe.password(node, keys)
        stored = self._users.get(name)
        if stored is not None and agrees(stored, password):
            return []
        what = "password" if stored is None else "password, which was another"
        return [Step(what, lambda: self._write(name, hashed(password)))]

    def _write(self, name: str, stored: str) -> None:
        """In its place, or at the end; read again before, for somebody else may have changed it since."""
        new = f"{name}:{stored}"
        with files.changing(self._passwords):
            lines = _lines(self._passwords)
            places = [n for n, line in enumerate(lines) if line.partition(":")[0] == name]
            lines = [new if n in places[:1] else line for n, line in enumerate(lines) if n not in places[1:]]
            _replace(self._passwords, lines if places else [*lines, new])
        self._users[name] = stored


def _replace(path: Path, lines: Sequence[str]) -> None:
    files.write(path, "".join(f"{line}\n" for line in lines).encode(), private=True)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None
