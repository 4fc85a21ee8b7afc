"""The identity of a LoRaWAN node: EUIs as people write them, new ones and new keys from the operating system."""

from __future__ import annotations

import secrets
from typing import Final

from borne.errors import SettingError

_SEPARATORS: Final = str.maketrans("", "", " :-.")


def eui(name: str, given: str) -> str:
    """An EUI-64 as the settings hold it, 16 lower-case digits; separators do not count. Raises SettingError."""
    digits = given.translate(_SEPARATORS).lower()
    if len(digits) != 16 or digits.strip("0123456789abcdef"):
        raise SettingError(f"{name}: {given!r} is no EUI of 16 hexadecimal digits")
    return digits


def new_dev_eui() -> str:
    """A random EUI-64 that is nobody else's: locally administered, individual (IEEE 802-2014, 8.2.2)."""
    drawn = bytearray(secrets.token_bytes(8))
    drawn[0] = drawn[0] & 0xFC | 0x02
    return drawn.hex()


def new_app_key() -> bytes:
    """A new AppKey, as 32 hexadecimal digits. It goes to the node and to the network server, and nowhere else."""
    return secrets.token_hex(16).encode()
