"""Settings on their way to a node by downlink: queued, sent, confirmed by the settings hash that the node reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from borne.fleet.registry.store import Stamp
from borne.fleet.registry.tables import assets, nodes, pending


@dataclass(frozen=True)
class Waiting:
    """One setting that a node has not confirmed yet."""

    id: int
    setting: str
    value: int
    sent_at: int | None


def queue(db: sql.Connection, node_id: int, setting: str, value: int, stamp: Stamp) -> None:
    """A newer value of the same setting takes the place of one that waits."""
    db.execute(
        pending.update()
        .where(pending.c.node_id == node_id, pending.c.setting == setting, *_OPEN)
        .values(refused_at=stamp.at)
    )
    db.execute(pending.insert().values(node_id=node_id, setting=setting, value=value, queued_at=stamp.at))


def waiting(db: sql.Connection, node_id: int) -> list[Waiting]:
    """Oldest first, which is the order in which the node takes them."""
    query = sql.select(pending.c.id, pending.c.setting, pending.c.value, pending.c.sent_at)
    return [
        Waiting(*row)
        for row in db.execute(query.where(pending.c.node_id == node_id, *_OPEN).order_by(pending.c.id))
    ]


def sent(db: sql.Connection, one: int, stamp: Stamp) -> None:
    db.execute(pending.update().where(pending.c.id == one).values(sent_at=stamp.at))


def done(db: sql.Connection, one: int, stamp: Stamp) -> None:
    db.execute(pending.update().where(pending.c.id == one).values(done_at=stamp.at))


def drop(db: sql.Connection, node_id: int, stamp: Stamp) -> None:
    """What waits is of no use any more: the node was provisioned anew, or retired."""
    db.execute(pending.update().where(pending.c.node_id == node_id, *_OPEN).values(refused_at=stamp.at))


def overtaken(db: sql.Connection, asset: str, settings: Mapping[str, Any], stamp: Stamp) -> None:
    """What waits for the node of an asset and is no longer what the list says goes to nobody any more."""
    of = (
        sql.select(nodes.c.id)
        .join(assets, assets.c.id == nodes.c.asset_id)
        .where(assets.c.asset == asset, nodes.c.retired_at.is_(None))
    )
    node_id = db.execute(of).scalar()
    if node_id is None:
        return
    for one in waiting(db, node_id):
        if settings.get(one.setting) != one.value:
            db.execute(pending.update().where(pending.c.id == one.id).values(refused_at=stamp.at))


def of_node(db: sql.Connection, node_id: int) -> Iterator[dict[str, Any]]:
    for one in waiting(db, node_id):
        state = "queued" if one.sent_at is None else "sent, not confirmed yet"
        yield {"setting": one.setting, "value": one.value, "state": state}


_OPEN = (pending.c.done_at.is_(None), pending.c.refused_at.is_(None))
