"""A new node for an asset: the old one is retired, the place, the name and the history stay."""

from __future__ import annotations

from borne.errors import RegistryError
from borne.fleet.registry import nodes
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.store import Registry, Stamp


def replace(registry: Registry, asset: str, why: str, stamp: Stamp | None = None) -> Standing:
    """Retire the node of an asset; gives what it was. The next board that is provisioned for it takes its place.

    Its topic, asset number and place stay, so whoever reads the town's platform sees one series; its key stays in the
    vault, and is never given to another. Raises RegistryError: an unknown asset, or one without a node.
    """
    with registry.writing() as db:
        standing = nodes.get(db, asset)
        if standing.id is None:
            raise RegistryError(f"asset {asset}: has no node that could be replaced")
        nodes.retire(db, standing, why, stamp or Stamp())
    return standing
