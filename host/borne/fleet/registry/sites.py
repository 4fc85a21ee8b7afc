"""What all assets of a site share: how its nodes reach the network. Never a secret; those are in the vault."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from borne.errors import RegistryError
from borne.fleet.registry.tables import sites


@dataclass(frozen=True)
class Site:
    """Defaults of a site; an asset's own word counts before them.

    `mqtt`: the broker's URL without a password. Without a user in it every node has an account of its own, named like
    the node; `mqtt_open` where the broker asks for none. `dev_eui_range`: EUIs to allot instead of the chips' own.
    """

    name: str
    board: str | None = None
    region: str | None = None
    network: str | None = None
    wifi_ssid: str | None = None
    wifi_open: bool = False
    mqtt: str | None = None
    mqtt_open: bool = False
    ntp_host: str | None = None
    join_eui: str | None = None
    dev_eui_range: str | None = None
    fair_use_s: int | None = None
    antenna_dbi: int | None = None

    @property
    def owner(self) -> str:
        """Whose secrets of the vault are the site's."""
        return "site-" + "".join(
            letter if letter.isalnum() and letter.isascii() else "-" for letter in self.name
        )


def get(db: sql.Connection, name: str | None) -> Site:
    """A site's defaults; all empty for one that has none yet."""
    if name is None:
        return Site("")
    row = db.execute(sql.select(sites.c.defaults).where(sites.c.name == name)).scalar()
    return _site(name, row or "{}")


def find(db: sql.Connection) -> Iterator[Site]:
    for row in db.execute(sql.select(sites).order_by(sites.c.name)):
        yield _site(row.name, row.defaults)


def put(db: sql.Connection, site: Site) -> None:
    content: dict[str, Any] = {
        name: value
        for name, value in dataclasses.asdict(site).items()
        if name != "name" and value is not None and value is not False
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    changed = db.execute(sites.update().where(sites.c.name == site.name).values(defaults=text))
    if not changed.rowcount:
        db.execute(sites.insert().values(name=site.name, defaults=text))


def _site(name: str, text: str) -> Site:
    try:
        return Site(name, **json.loads(text))
    except (TypeError, ValueError):
        raise RegistryError(f"site {name}: was written by a newer borne: upgrade this one") from None
