"""The keys of nodes, in the form in which people and networks write them."""

from __future__ import annotations

from collections.abc import Callable

from borne.errors import VaultError
from borne.fleet.model import Node
from borne.fleet.vault.vault import Vault


def of_nodes(vault: Vault) -> Callable[[Node], bytes]:
    """How to get a node's key out of an unlocked vault: an AppKey as 32 hexadecimal digits, a password as it is.

    What is given raises VaultError: the node has no key yet, or its record is damaged.
    """

    def key_of(node: Node) -> bytes:
        if node.key is None:
            raise VaultError(f"{node.asset.asset}: has no key yet: provision it first")
        secret = vault.read(node.key)
        return secret.hex().encode() if ".app_key." in node.key else secret

    return key_of
