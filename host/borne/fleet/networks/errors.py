"""What can go wrong with a server, so that the plan can tell what to try again, what to leave out and when to stop.

NetworkError (borne.errors)
├── Busy       not now: a limit, a restart, a lost line; worth another attempt
├── Denied     the token is unknown, expired, or has not the rights: no further call will do better
└── Refused    this one, not: the server will not have what was asked
    ├── Missing    it is not there
    └── Exists     it is there already
"""

from __future__ import annotations

import re
from typing import Final

from borne.errors import NetworkError

# 16 bytes as hexadecimal digits, with or without separators, or in Base64: an AppKey. An EUI has 8.
_KEY_HEX: Final = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[ :-]?){15}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])")
_KEY_LONG: Final = re.compile(r"[0-9A-Fa-f]{32,}")
_KEY_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{22}==")


class Busy(NetworkError):
    """`after` is how many seconds the server asks to wait, None where it does not say."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Denied(NetworkError):
    pass


class Refused(NetworkError):
    pass


class Missing(Refused):
    pass


class Exists(Refused):
    pass


def lost_line(where: str, words: str) -> NetworkError:
    """Busy, or where the server's certificate is not to be trusted, what no repetition mends."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return NetworkError(
            f"{where}: its certificate is not to be trusted: name its authority as ca in networks.toml"
        )
    return Busy(f"{where}: {words}")


def scrub(text: str, *secrets: str) -> str:
    """A server's words in one line, without keys: what looks like one, and `secrets` as they are."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "[secret]")
    for pattern in (_KEY_LONG, _KEY_HEX, _KEY_BASE64):
        text = pattern.sub("[key]", text)
    return " ".join(text.split())[:300]
