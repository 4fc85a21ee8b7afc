"""What the nodes of a fleet are told, for whoever has to document it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sql

from borne.errors import SettingError
from borne.fleet import checks
from borne.fleet.registry import nodes
from borne.fleet.registry.assets import ANY, Filter


def settings(db: sql.Connection, wanted: Filter = ANY) -> Iterator[tuple[str, dict[str, Any]]]:
    """(asset, settings of its node): as they were read back, or for an asset without a node as they will be.

    What only site and board tell (network, identity) is then a stand-in. Raises SettingError that names the asset.
    """
    for one in nodes.find(db, wanted):
        name = one.asset.asset
        if one.settings is not None:
            yield name, json.loads(one.settings)
            continue
        try:
            yield name, checks.complete(one.asset)
        except SettingError as error:
            raise SettingError(f"{name}: {error}") from None
