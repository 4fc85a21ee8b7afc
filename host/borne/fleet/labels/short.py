"""A short code by which people name a node on the telephone: 7 characters and one that checks them, `K7QX-2MTD`.

It is drawn from what the node is (its DevEUI; by Wi-Fi its name), so no list of codes has to be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from borne.errors import SettingError
from borne.fleet.labels import tr005
from borne.fleet.model import Node

# Without 0 and O, 1, I and L. 31 is prime, so that the weights below find every wrong character and every two that
# changed places, wherever they stand.
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_BASE: Final = len(ALPHABET)
_LENGTH: Final = 7


def code(node: Node) -> str:
    """A node's short code. Among 10,000 nodes two share one with a chance of 1 in 550."""
    drawn = hashlib.sha256(f"borne label {node.dev_eui or node.name}".encode()).digest()
    number = int.from_bytes(drawn[:8], "big")
    digits = [number // _BASE**place % _BASE for place in range(_LENGTH)]
    check = -_weighed(digits) * pow(_LENGTH + 1, -1, _BASE) % _BASE
    text = "".join(ALPHABET[digit] for digit in (*digits, check))
    return f"{text[:4]}-{text[4:]}"


def _weighed(digits: Iterable[int]) -> int:
    return sum(place * digit for place, digit in enumerate(digits, 1)) % _BASE


def parse(text: str) -> str:
    """A code as people type it (case, spaces and hyphens do not count), as `code` writes it. Raises SettingError."""
    typed = text.upper().translate({ord(letter): None for letter in " -.\t\n"})
    for letter in typed:
        if letter not in ALPHABET:
            raise SettingError(f"{text!r}: no code holds {letter!r}; there is no 0, O, 1, I or L in one")
    if len(typed) != _LENGTH + 1:
        raise SettingError(f"{text!r}: a code has {_LENGTH + 1} characters, this has {len(typed)}")
    if _weighed(ALPHABET.index(letter) for letter in typed):
        raise SettingError(f"{text!r}: a character is wrong, or two changed places: read it again")
    return f"{typed[:4]}-{typed[4:]}"


def find(text: str, nodes: Iterable[Node]) -> list[Node]:
    """The nodes that a scanned or typed text names: QR code, short code, asset, name or DevEUI. None is no error."""
    given = text.strip()
    if given.upper().startswith("LW:"):
        wanted = tr005.parse(given).dev_eui
        return [node for node in nodes if node.dev_eui == wanted]
    name = tr005.named(given) or given
    return [node for node in nodes if _is(node, name)]


def _is(node: Node, given: str) -> bool:
    if given.casefold() in (node.asset.asset.casefold(), node.name.casefold(), node.dev_eui):
        return True
    return code(node).replace("-", "") == given.upper().replace("-", "").replace(" ", "")
