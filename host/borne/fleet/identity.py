"""Who a node is: its EUI from its chip or from an allotted range, and secrets from the operating system."""

from __future__ import annotations

import secrets
from typing import Final

from borne.errors import SettingError
from borne.fleet import lorawan

# 120 bits, and well below what a broker's password file takes.
_PASSWORD_BYTES: Final = 24


def dev_eui_of(mac: str) -> str:
    """The EUI-64 of a chip: FFFE between the maker's and the chip's half of its MAC (12 digits).

    Source: IEEE, "Guidelines for Use of Extended Unique Identifier", Mapping an EUI-48 to an EUI-64; ESP-IDF,
    "Miscellaneous System APIs", MAC address of IEEE 802.15.4.
    """
    return mac[:6] + "fffe" + mac[6:]


def mac(given: str) -> str:
    """A MAC as the registry holds it: 12 lower-case digits. Raises SettingError."""
    digits = given.translate(str.maketrans("", "", " :-.")).lower()
    if len(digits) != 12 or digits.strip("0123456789abcdef"):
        raise SettingError(f"mac: {given!r} is no MAC of 12 hexadecimal digits")
    return digits


def eui_range(text: str) -> tuple[str, str]:
    """First and last EUI of "FIRST-LAST" or "PREFIX/BITS". Raises SettingError."""
    first, dash, last = text.partition("..")
    if dash:
        found = lorawan.eui("dev_eui_range", first), lorawan.eui("dev_eui_range", last)
    else:
        found = _block(*text.partition("/")[::2])
    if found[0] > found[1]:
        raise SettingError(f"dev_eui_range: {text!r} ends before it begins")
    return found


def _block(prefix: str, bits: str) -> tuple[str, str]:
    if not bits.isdigit() or not 8 <= int(bits) <= 63:
        raise SettingError("dev_eui_range: give FIRST..LAST, or FIRST/BITS such as 70B3D57ED0000000/40")
    first = int(lorawan.eui("dev_eui_range", prefix), 16)
    rest = (1 << 64 - int(bits)) - 1
    if first & rest:
        raise SettingError(f"dev_eui_range: {prefix} is not the first of a block of {bits} bits")
    return f"{first:016x}", f"{first | rest:016x}"


def new_app_key() -> bytes:
    """128 random bits."""
    return secrets.token_bytes(16)


def new_password() -> bytes:
    """A password for one node at the broker, of letters and digits that no configuration file has to quote."""
    return secrets.token_hex(_PASSWORD_BYTES).encode()
