"""A node of the list as one image, made without its board: settings out of the registry, keys out of the vault.

The key of a node belongs to one board: its DevEUI is the chip's, and no two boards may have it. So a node that has a
key of its own has a board reserved first, by provisioning or by its MAC here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from borne import boards, wiring
from borne.boards import Board
from borne.errors import RegistryError, SettingError, VaultError
from borne.flashing import node
from borne.flashing.node import Identity
from borne.fleet import checks, issuing, wanted
from borne.fleet import identity as identities
from borne.fleet.registry import nodes, sites
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.sites import Site
from borne.fleet.registry.store import Registry, Stamp
from borne.fleet.vault import Vault

_OPTION: Final = "put it into --secrets-file"


@dataclass(frozen=True)
class Made:
    """`mac`: of the only board that this is for, None where any board will do. `was_on_air`: its board has counted
    DevNonces already, which an image that holds no counters begins anew.
    """

    identity: Identity
    asset: str
    mac: str | None
    was_on_air: bool


def of_node(
    registry: Registry,
    vault: Vault,
    asset: str,
    board: Board,
    *,
    mac: str | None = None,
    secrets: Mapping[str, bytes] | None = None,
    unlock: Callable[[], None] = lambda: None,
    stamp: Stamp | None = None,
) -> Made:
    """The identity of an asset's node on such a board. `mac`: reserve the board that has it, if none is.

    `secrets`: those from outside that are at hand, the vault has the others; `unlock` opens it, where it must be read.
    Raises RegistryError (unknown; has another board), SettingError (cannot be that node, or lacks something) and
    VaultError (locked).
    """
    stamp, at_hand = stamp or Stamp(), secrets or {}
    with registry.reading() as db:
        standing = nodes.get(db, asset)
        site = sites.get(db, standing.asset.site)
    _check_board(standing, site, board)
    # Before a board is reserved or a key is made: whoever lacks a password has changed nothing.
    given = _outside(vault, standing, site, at_hand, unlock)
    if mac is not None:
        standing = _reserved(registry, asset, site, identities.mac(mac), stamp)
    _check_reserved(standing, site)
    found = wanted.of(standing, site)
    if found.key:
        given[found.key] = _key(registry, vault, standing, found.key, unlock, stamp)
    made = Identity(found.settings, given)
    on_air = found.settings["link"] == "lorawan" and (standing.joined_at or standing.seen_at)
    return Made(made, asset, standing.mac if found.key else None, bool(on_air))


def _check_board(standing: Standing, site: Site, board: Board) -> None:
    name = standing.asset.board or site.board
    if name is not None and boards.load(name).name != board.name:
        raise SettingError(
            f"board: {standing.asset.asset} has board {boards.load(name).name} by the list, not {board.name}"
        )
    asset = wanted.merged(standing.asset, site)
    complete = checks.complete(asset)
    wiring.check(board, complete)
    if asset.link == "lorawan":
        node.check_radio(board, complete["region"])


def _outside(
    vault: Vault, standing: Standing, site: Site, at_hand: Mapping[str, bytes], unlock: Callable[[], None]
) -> dict[str, bytes]:
    """Secrets that are not the node's own, in its form; by LoRaWAN there are none."""
    if wanted.merged(standing.asset, site).link == "lorawan":
        return {}
    found = wanted.of(standing, site)
    if any(vault.latest(site.owner, name) for name in found.needed - at_hand.keys()):
        unlock()
    given = issuing.outside(vault, at_hand, found, site)
    for name in sorted(found.needed - given.keys()):
        raise SettingError(issuing.missing(name, _OPTION))
    return issuing.prepared(found, given)


def _reserved(registry: Registry, asset: str, site: Site, mac: str, stamp: Stamp) -> Standing:
    """What stands at the asset once the board with this MAC is its own. Raises RegistryError where another is."""
    with registry.writing() as db:
        standing = nodes.get(db, asset)
        if standing.mac == mac:
            return standing
        if standing.id is not None:
            raise RegistryError(
                f"mac: {asset} has the board with MAC {standing.mac}; to give it another: borne fleet replace {asset}"
            )
        link = wanted.merged(standing.asset, site).link
        nodes.reserve(db, standing, mac, *issuing.euis(db, link, mac, site), stamp)
        return nodes.get(db, asset)


def _check_reserved(standing: Standing, site: Site) -> None:
    """Raises RegistryError for a node with a key of its own that has no board yet."""
    if standing.id is not None:
        return
    asset = standing.asset
    if wanted.merged(asset, site).link == "lorawan" or wanted.of(standing, site).key:
        raise RegistryError(
            f"{asset.asset}: has no board yet, and its key belongs to one: give the board's MAC with --mac "
            f"(borne ports shows it), or plug it in and run borne provision {asset.asset}"
        )


def _key(
    registry: Registry, vault: Vault, standing: Standing, name: str, unlock: Callable[[], None], stamp: Stamp
) -> bytes:
    """The node's own key; a new one only where it has none, so that the same image can be made again."""
    if standing.key_record is None:
        return issuing.new_key(registry, vault, standing, name, stamp)
    if not vault.has(standing.key_record):
        raise VaultError(
            f"vault {vault.path}: has no record {standing.key_record}, the key of {standing.asset.asset}; is it "
            "another registry's vault?"
        )
    unlock()
    return vault.read(standing.key_record)
