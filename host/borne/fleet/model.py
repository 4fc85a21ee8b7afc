"""What the fleet list says of one asset, and what a node is: the two values all rooms of the fleet share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

# What MQTT topics cannot hold (borne_node.settings, `name`).
_UNSAFE: Final = re.compile(r"[/+#\0\s]+")


@dataclass(frozen=True)
class Asset:
    """A place in the town that has, or shall have, a node: one row of the list.

    `asset` is the town's own number of it (`LAMP-0412`). `settings` are further settings of the node by the names of
    borne_node.settings, such as `bays`, `container`, `depth_mm`; they have been checked. Degrees are WGS 84.
    """

    asset: str
    kind: str
    profile: str | None = None
    board: str | None = None
    link: str = "lorawan"
    region: str | None = None
    network: str | None = None
    site: str | None = None
    street: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def node_name(self) -> str:
        """The name of its nodes: the asset's number, with a dash for what an MQTT topic cannot hold."""
        return _UNSAFE.sub("-", self.asset)


@dataclass(frozen=True)
class Node:
    """A board that stands, or shall stand, at an asset. EUIs are 16 lower-case digits, most significant first.

    `name` is the node's name in settings and MQTT topics. `state` is where it stands: planned, flashed, provisioned,
    joined, seen or retired. A node by Wi-Fi has no EUIs.
    """

    asset: Asset
    name: str
    dev_eui: str | None = None
    join_eui: str | None = None
    state: str = "planned"
