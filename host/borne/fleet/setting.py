"""A setting changed later: in the list, and on its way to the node, by downlink or at the next visit with the cable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from borne.errors import SettingError
from borne.fleet import checks, wanted
from borne.fleet.hearing import SETTABLE
from borne.fleet.lists import cells, columns
from borne.fleet.lists.cells import CellError
from borne.fleet.registry import assets, nodes, pending, sites
from borne.fleet.registry.assets import Filter
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.sites import Site
from borne.fleet.registry.store import Registry, Stamp
from borne.fleet.wanted import Wanted


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


def change_site(
    registry: Registry,
    name: str,
    given: Mapping[str, Any],
    secrets: Collection[str] = (),
    stamp: Stamp | None = None,
) -> list[str]:
    """Change what the assets of a site share (None clears); gives those whose nodes have to be told anew.

    `secrets`: names of those that were changed in the vault. Raises RegistryError.
    """
    stamp = stamp or Stamp()
    with registry.writing() as db:
        old = sites.get(db, name)
        new = replace(old, **given)
        sites.put(db, new)
        behind = [
            one.asset.asset
            for one in nodes.find(db, Filter(site=name))
            if one.is_provisioned and _is_behind(one, old, new, secrets)
        ]
        assets.told_anew(db, behind, f"site: {', '.join((*given, *secrets))}", stamp)
    return behind


def _is_behind(one: Standing, old: Site, new: Site, secrets: Collection[str]) -> bool:
    before, now = _wanted(one, old), _wanted(one, new)
    if before is None or now is None:
        # What is missing is said when it is provisioned again.
        return before is not now
    return before.settings != now.settings or not now.needed.isdisjoint(secrets)


def _wanted(one: Standing, site: Site) -> Wanted | None:
    try:
        return wanted.of(one, site)
    except SettingError:
        return None


def _value(name: str, text: str) -> Any:
    if name not in columns.SETTINGS:
        from borne.boards import unknown

        raise SettingError(f"setting {unknown(name, columns.SETTINGS)}")
    try:
        return cells.value(name, text)
    except CellError as error:
        raise SettingError(f"{name}: {error}") from None
