"""What the QR code of a label says: LoRa Alliance TR005 for a LoRaWAN node, a URN for one by Wi-Fi.

TR005-1.0.0, LoRaWAN Device Identification QR Codes: fields in the QR code's alphanumeric alphabet (ISO/IEC 18004,
table 5), separated by ':', which no field may hold:

    LW:D0:JOINEUI:DEVEUI:PROFILEID[:Sserial][:Cchecksum]

An OwnerToken proves who owns a node, so it never stands on a label in the street; a key has no field at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from borne.errors import SettingError
from borne.fleet.model import Node

# VendorID and VendorProfileID of those who have none from the LoRa Alliance.
NO_PROFILE: Final = "00000000"
_SERIAL: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ$*+-./")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")
# The entity of the device in an NGSI-LD platform (ETSI GS CIM 009, annex A.3).
_URN: Final = "urn:ngsi-ld:Device:"


@dataclass(frozen=True)
class Scanned:
    """What stood in a TR005 code: EUIs as in model.Node, `profile_id` 8 upper-case digits, `asset` None if not given.

    TR005 has capitals only, so `asset` is compared without regard to case.
    """

    join_eui: str
    dev_eui: str
    profile_id: str = NO_PROFILE
    asset: str | None = None


def text_of(
    node: Node, profile_id: str = NO_PROFILE, *, with_asset: bool = True, checksum: bool = False
) -> str:
    """The text of a node's QR code. Raises SettingError: a ProfileID of the wrong form, a LoRaWAN node without EUIs."""
    if node.asset.link != "lorawan":
        return _URN + quote(node.name, safe="")
    if node.dev_eui is None:
        raise SettingError(f"{node.asset.asset}: its node has no DevEUI yet: provision it first")
    if len(profile_id) != 8 or not _HEX.fullmatch(profile_id):
        raise SettingError(
            f"profile_id: {profile_id!r} is not 8 hexadecimal digits: VendorID, VendorProfileID"
        )
    join_eui = node.join_eui or "0" * 16
    text = f"LW:D0:{join_eui}:{node.dev_eui}:{profile_id}".upper()
    text += f":S{serial(node.asset.asset)}" if with_asset else ""
    return f"{text}:C{_crc(text):04X}" if checksum else text


def serial(asset: str) -> str:
    """An asset's number in TR005's alphabet: capitals; what is not in it becomes %XX of its UTF-8 bytes."""
    return "".join(
        letter if letter in _SERIAL else "".join(f"%{byte:02X}" for byte in letter.encode())
        for letter in asset.upper()
    )


def parse(text: str) -> Scanned:
    """What a scanner read from a TR005 label. Raises SettingError: no such code, or its checksum does not agree."""
    fields = text.strip().split(":")
    if len(fields) < 5 or fields[0].upper() != "LW" or fields[1].upper() != "D0":
        raise SettingError(f"{text.strip()[:60]!r} is no label of a LoRaWAN device (TR005: LW:D0:...)")
    for name, digits, field in (("JoinEUI", 16, 2), ("DevEUI", 16, 3), ("ProfileID", 8, 4)):
        if len(fields[field]) != digits or not _HEX.fullmatch(fields[field]):
            raise SettingError(f"label: its {name} {fields[field][:20]!r} is not {digits} hexadecimal digits")
    extension = {field[0].upper(): field[1:] for field in fields[5:] if field}
    covered = text.strip().rpartition(":")[0]
    if "C" in extension and extension["C"].upper() != f"{_crc(covered):04X}":
        raise SettingError("label: its checksum does not agree with its text: scan it again")
    asset = unquote(extension["S"]) if "S" in extension else None
    return Scanned(fields[2].lower(), fields[3].lower(), fields[4].upper(), asset)


def named(text: str) -> str | None:
    """The node's name in the code of a Wi-Fi node's label, or None where it is none."""
    return unquote(text[len(_URN) :]) if text.lower().startswith(_URN.lower()) else None


def _crc(text: str) -> int:
    """CRC-16 with the reflected polynomial 0xA001 from 0xFFFF: gives the AF2C of TR005's own example."""
    value = 0xFFFF
    for byte in text.encode():
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
