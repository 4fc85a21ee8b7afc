"""Assets in the registry: the rows of the town's list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sql

from borne.errors import RegistryError
from borne.fleet.model import Asset
from borne.fleet.registry.store import Stamp
from borne.fleet.registry.tables import assets, history, nodes, sites

_NAMES: Final = tuple(one.name for one in fields(Asset))
_COLUMNS: Final = tuple(assets.c[name] for name in _NAMES)
# What changes nothing that a node is told or that lies on it.
_FOR_PEOPLE: Final = frozenset({"network", "latitude", "longitude", "board"})
_NO_SETTINGS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Filter:
    """What to look for; None means any. `street` is a part of it; `state` that of the node ("planned": none yet);
    `network` the asset's own, or its site's.
    """

    site: str | None = None
    kind: str | None = None
    state: str | None = None
    network: str | None = None
    street: str | None = None
    asset: str | None = None

    def clauses(self) -> list[sql.ColumnElement[bool]]:
        found = [
            assets.c[name] == given
            for name in ("site", "kind", "asset")
            if (given := getattr(self, name)) is not None
        ]
        if self.network is not None:
            # As sites.put writes it; quotes in a value are escaped there, so that nothing else reads like this.
            says = f'"network":{json.dumps(self.network)}'
            of_site = sql.select(sites.c.name).where(sites.c.defaults.contains(says, autoescape=True))
            inherited = assets.c.network.is_(None), assets.c.link == "lorawan", assets.c.site.in_(of_site)
            found.append(sql.or_(assets.c.network == self.network, sql.and_(*inherited)))
        if self.street is not None:
            found.append(assets.c.street.icontains(self.street, autoescape=True))
        if self.state is not None:
            found.append(sql.func.coalesce(nodes.c.state, "planned") == self.state)
        return found


ANY: Final = Filter()


def standing() -> sql.FromClause:
    """Assets with the node that stands there, if any."""
    return assets.outerjoin(nodes, sql.and_(nodes.c.asset_id == assets.c.id, nodes.c.retired_at.is_(None)))


def find(db: sql.Connection, wanted: Filter = ANY) -> Iterator[Asset]:
    """In the order of the list."""
    source = standing() if wanted.state is not None else assets
    query = sql.select(*_COLUMNS).select_from(source).where(*wanted.clauses()).order_by(assets.c.id)
    for row in db.execute(query):
        yield from_row(row)


def get(db: sql.Connection, asset: str) -> Asset:
    """Raises RegistryError, with the nearest number that there is."""
    row = db.execute(sql.select(*_COLUMNS).where(assets.c.asset == asset)).first()
    if row is None:
        raise RegistryError(unknown(db, asset))
    return from_row(row)


def site_names(db: sql.Connection) -> list[str]:
    """Sites that have assets."""
    query = sql.select(assets.c.site).distinct().where(assets.c.site.is_not(None)).order_by(assets.c.site)
    return list(db.execute(query).scalars())


def unknown(db: sql.Connection, asset: str) -> str:
    """Why there is no such asset, in words."""
    import difflib

    known = list(db.execute(sql.select(assets.c.asset)).scalars())
    if not known:
        return f"asset {asset!r}: the registry is empty: `borne fleet import LIST` fills it"
    small = {one.lower(): one for one in known}
    near = difflib.get_close_matches(asset.lower(), small, n=1)
    return f"asset {asset!r} is unknown" + (f"; did you mean {small[near[0]]!r}?" if near else "")


def number(db: sql.Connection, asset: str) -> int:
    """The id of an asset. Raises RegistryError."""
    found = db.execute(sql.select(assets.c.id).where(assets.c.asset == asset)).scalar()
    if found is None:
        raise RegistryError(unknown(db, asset))
    return int(found)


def from_row(row: Any) -> Asset:
    """An Asset out of the first columns of a row, which are those of `columns`."""
    values = dict(zip(_NAMES, row, strict=False))
    return Asset(**values | {"settings": _settings(values["settings"])})


def columns() -> tuple[sql.ColumnElement[Any], ...]:
    return _COLUMNS


@lru_cache(maxsize=4096)
def _settings(text: str) -> Mapping[str, Any]:
    return MappingProxyType(json.loads(text)) if text != "{}" else _NO_SETTINGS


def canonical(settings: Mapping[str, Any]) -> str:
    """Settings as the registry keeps them."""
    return json.dumps(dict(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def tells_node(old: Asset, new: Asset) -> bool:
    """Whether a node that was provisioned for `old` has to be told of `new`."""
    return any(
        getattr(old, one.name) != getattr(new, one.name)
        for one in fields(Asset)
        if one.name not in _FOR_PEOPLE
    )


def add(db: sql.Connection, new: Iterable[Asset], stamp: Stamp) -> None:
    """Assets that the registry has not yet."""
    rows = [_row(one) | {"revision": 1, "created_at": stamp.at, "changed_at": stamp.at} for one in new]
    if not rows:
        return
    before = db.execute(sql.select(sql.func.coalesce(sql.func.max(assets.c.id), 0))).scalar_one()
    db.execute(assets.insert(), rows)
    _note_created(db, before, stamp)


def _note_created(db: sql.Connection, after: int, stamp: Stamp) -> None:
    created = sql.select(
        assets.c.id,
        sql.literal(stamp.at),
        sql.literal("created"),
        sql.literal(""),
        sql.literal(stamp.who, sql.String),
    ).where(assets.c.id > after)
    db.execute(history.insert().from_select(["asset_id", "at", "event", "detail", "who"], created))


def change(db: sql.Connection, pairs: Iterable[tuple[Asset, Asset]], stamp: Stamp) -> None:
    """Assets as they were and as they are now."""
    rows, noted = [], []
    ids = {row.asset: row.id for row in db.execute(sql.select(assets.c.asset, assets.c.id))}
    for old, new in pairs:
        rows.append(
            _row(new) | {"b_asset": old.asset, "more": int(tells_node(old, new)), "changed_at": stamp.at}
        )
        what = ", ".join(_changes(old, new))
        noted.append(
            {"asset_id": ids[old.asset], "at": stamp.at, "event": "changed", "detail": what, "who": stamp.who}
        )
    if rows:
        update = assets.update().where(assets.c.asset == sql.bindparam("b_asset"))
        own = (name for name in rows[0] if name not in ("b_asset", "more"))
        values: dict[str, Any] = {name: sql.bindparam(name) for name in own}
        db.execute(update.values(**values, revision=assets.c.revision + sql.bindparam("more")), rows)
        db.execute(history.insert(), noted)


def told_anew(db: sql.Connection, names: Sequence[str], why: str, stamp: Stamp) -> None:
    """The nodes of these assets have to be told anew, though the assets are as they were."""
    if not names:
        return
    ids = {row.asset: row.id for row in db.execute(sql.select(assets.c.asset, assets.c.id))}
    later = assets.update().where(assets.c.id == sql.bindparam("b_id"))
    db.execute(later.values(revision=assets.c.revision + 1), [{"b_id": ids[name]} for name in names])
    db.execute(
        history.insert(),
        [
            {"asset_id": ids[name], "at": stamp.at, "event": "changed", "detail": why, "who": stamp.who}
            for name in names
        ],
    )


def _changes(old: Asset, new: Asset) -> Iterator[str]:
    """The fields that differ; of settings what they are now."""
    for name in _NAMES:
        if name == "settings":
            both = {**old.settings, **new.settings}
            differ = (one for one in both if old.settings.get(one) != new.settings.get(one))
            yield from (f"{one} {new.settings.get(one, 'unset')}" for one in differ)
        elif getattr(old, name) != getattr(new, name):
            yield name


def _row(one: Asset) -> dict[str, Any]:
    row = {field.name: getattr(one, field.name) for field in fields(Asset)}
    return row | {"settings": canonical(one.settings), "node_name": one.node_name}
