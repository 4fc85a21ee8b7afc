"""How the fleet stands: counts by site and state, and the history of one asset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from borne.fleet.registry import assets as asset_table
from borne.fleet.registry.assets import ANY, Filter
from borne.fleet.registry.tables import assets, flashes, history, nodes, pending


@dataclass(frozen=True)
class Count:
    """Assets of one site and kind by their node's state.

    `outdated`: changed after the node was told; `silent`: seen once, and not since `since` (see `counts`).
    """

    site: str | None
    kind: str
    state: str
    assets: int
    outdated: int
    silent: int


def counts(db: sql.Connection, wanted: Filter = ANY, since: int = 0) -> list[Count]:
    """By site, kind and state. `since`: unix seconds before which a node that was last heard counts as silent."""
    state = sql.func.coalesce(nodes.c.state, "planned").label("state")
    told = sql.and_(nodes.c.revision > 0, nodes.c.revision < assets.c.revision)
    query = (
        sql.select(
            assets.c.site,
            assets.c.kind,
            state,
            sql.func.count(),
            _number_of(told),
            _number_of(nodes.c.seen_at < since),
        )
        .select_from(asset_table.standing())
        .where(*wanted.clauses())
        .group_by(assets.c.site, assets.c.kind, state)
        .order_by(assets.c.site, assets.c.kind, state)
    )
    return [Count(*row) for row in db.execute(query)]


def _number_of(condition: sql.ColumnElement[bool]) -> sql.ColumnElement[int]:
    return sql.func.coalesce(sql.func.sum(sql.case((condition, 1), else_=0)), 0)


def pending_settings(db: sql.Connection) -> int:
    """Settings that are queued or sent and not yet confirmed."""
    query = sql.select(sql.func.count()).where(pending.c.done_at.is_(None), pending.c.refused_at.is_(None))
    return int(db.execute(query).scalar_one())


def history_of(db: sql.Connection, asset_id: int) -> Iterator[dict[str, Any]]:
    """Oldest first: at, event, detail, mac, and who where it was stored."""
    query = (
        sql.select(history.c.at, history.c.event, history.c.detail, nodes.c.mac, history.c.who)
        .select_from(history.outerjoin(nodes, nodes.c.id == history.c.node_id))
        .where(history.c.asset_id == asset_id)
        .order_by(history.c.id)
    )
    for row in db.execute(query):
        yield {name: value for name, value in row._mapping.items() if name != "who" or value is not None}


def flashes_of(db: sql.Connection, asset_id: int) -> Iterator[dict[str, Any]]:
    """What was flashed onto the boards that stand or stood there, oldest first."""
    query = (
        sql.select(*(column for column in flashes.c if column.name not in ("id", "node_id")))
        .select_from(flashes.join(nodes, nodes.c.id == flashes.c.node_id))
        .where(nodes.c.asset_id == asset_id)
        .order_by(flashes.c.id)
    )
    for row in db.execute(query):
        yield dict(row._mapping)
