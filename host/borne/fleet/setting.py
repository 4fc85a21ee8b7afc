"""A setting changed later: in the list, and on its way to the node, by downlink or at the next visit with the cable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from borne.errors import SettingError
from borne.fleet import checks
from borne.fleet.hearing import SETTABLE
from borne.fleet.lists import cells, columns
from borne.fleet.lists.cells import CellError
from borne.fleet.registry import assets, nodes, pending
from borne.fleet.registry.store import Registry, Stamp


def change(registry: Registry, asset: str, given: dict[str, str], stamp: Stamp | None = None) -> list[str]:
    """Change settings of an asset, checked as the node does; gives those that go by downlink.

    The others reach the node when it is provisioned again. Raises SettingError, RegistryError.
    """
    stamp = stamp or Stamp()
    values = {name: _value(name, text) for name, text in given.items()}
    with registry.writing() as db:
        standing = nodes.get(db, asset)
        old = standing.asset
        settings = {name: value for name, value in {**old.settings, **values}.items() if value is not None}
        new = replace(old, settings=settings)
        checks.check(new)
        if dict(new.settings) == dict(old.settings):
            return []
        assets.change(db, [(old, new)], stamp)
        queued = []
        if standing.is_provisioned and standing.id is not None:
            for name, value in values.items():
                if name in SETTABLE and isinstance(value, int) and old.settings.get(name) != value:
                    pending.queue(db, standing.id, name, value, stamp)
                    queued.append(name)
    return queued


def _value(name: str, text: str) -> Any:
    if name not in columns.SETTINGS:
        from borne.boards import unknown

        raise SettingError(f"setting {unknown(name, columns.SETTINGS)}")
    try:
        return cells.value(name, text)
    except CellError as error:
        raise SettingError(f"{name}: {error}") from None
