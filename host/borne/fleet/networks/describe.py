"""What every server is told of a node, and the key in the form that it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from borne.errors import SettingError
from borne.fleet.model import Node

Keys = Callable[[Node], bytes]

_SEPARATORS: Final = str.maketrans("", "", " :-\r\n")


class NotYet(SettingError):
    """Of an asset whose node is still to be made: nothing is wrong with it."""


def dev_eui(node: Node) -> str:
    if node.dev_eui is None:
        raise NotYet(f"{node.asset.asset}: has no node yet: borne provision {node.asset.asset}")
    return node.dev_eui


def join_eui(node: Node) -> str:
    return node.join_eui or "0" * 16


def region(node: Node) -> str:
    """The node's region by the name that settings have for it; EU868 is what a node takes that was told nothing."""
    return node.asset.region or "EU868"


def tags(node: Node) -> dict[str, str]:
    """What a platform behind the server wants to know of a report's origin, as text."""
    asset = node.asset
    found = {"asset": asset.asset, "kind": asset.kind, "profile": asset.profile, "site": asset.site}
    found["street"] = asset.street
    if asset.latitude is not None and asset.longitude is not None:
        found |= {"latitude": f"{asset.latitude:.6f}", "longitude": f"{asset.longitude:.6f}"}
    return {name: value for name, value in found.items() if value}


def description(node: Node) -> str:
    return ", ".join(filter(None, (node.asset.kind, node.asset.profile, node.asset.street, node.asset.site)))


def app_key(node: Node, keys: Keys) -> str:
    """The AppKey as 32 capital hexadecimal digits. Raises SettingError, which never holds the key."""
    given = keys(node)
    digits = given.hex() if len(given) == 16 else given.decode("ascii", "replace").translate(_SEPARATORS)
    if len(digits) != 32 or digits.strip("0123456789abcdefABCDEF"):
        raise SettingError(f"{node.asset.asset}: its key is no AppKey of 16 bytes")
    if len(set(bytes.fromhex(digits))) == 1:
        raise SettingError(f"{node.asset.asset}: its key is no key but one byte over and over")
    return digits.upper()


def password(node: Node, keys: Keys) -> str:
    """The MQTT password of a node by Wi-Fi. Raises SettingError, which never holds it."""
    try:
        text = keys(node).decode()
    except UnicodeDecodeError:
        raise SettingError(f"{node.asset.asset}: its password is no text in UTF-8") from None
    if not text or "\0" in text:
        raise SettingError(f"{node.asset.asset}: its password is empty or holds a zero byte")
    return text
