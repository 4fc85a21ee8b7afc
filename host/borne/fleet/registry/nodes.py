"""Nodes in the registry: which board stands at an asset, how far it is, and what became of those before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sql

from borne.errors import RegistryError
from borne.fleet.model import Asset, Node
from borne.fleet.registry import assets as asset_table
from borne.fleet.registry.assets import ANY, Filter
from borne.fleet.registry.store import Stamp
from borne.fleet.registry.tables import assets, flashes, history, nodes, pending

# How far a node is, in order; it never goes back but by being provisioned again.
STATES: Final = ("planned", "flashed", "provisioned", "joined", "seen", "retired")


# In the history.
SELF_TEST: Final = "self-test"
PASSED: Final = "passed"


@dataclass(frozen=True)
class Standing:
    """An asset and its node as the registry knows them; `id` is None where no board is reserved for it yet.

    `wanted` is the revision of the asset, `revision` that which the node was told; `settings` is the settings file as
    it was read back, `digest` its SHA-256 (hex). Times are unix seconds.
    """

    asset: Asset
    asset_id: int
    wanted: int
    id: int | None
    mac: str | None
    dev_eui: str | None
    join_eui: str | None
    state: str
    key_record: str | None
    key_print: str | None
    settings: str | None
    digest: str | None
    revision: int
    firmware: str | None
    provisioned_at: int | None
    joined_at: int | None
    seen_at: int | None
    rssi: float | None
    snr: float | None

    @property
    def node(self) -> Node:
        return Node(
            self.asset, self.asset.node_name, self.dev_eui, self.join_eui, self.state, self.key_record
        )

    @property
    def is_provisioned(self) -> bool:
        return self.provisioned_at is not None

    @property
    def is_outdated(self) -> bool:
        """The asset was changed after its node was told."""
        return self.is_provisioned and self.revision < self.wanted


_NODE_COLUMNS: Final = (
    *(
        "id",
        "mac",
        "dev_eui",
        "join_eui",
        "state",
        "key_record",
        "key_print",
        "settings",
        "digest",
        "revision",
    ),
    *("firmware", "provisioned_at", "joined_at", "seen_at", "rssi", "snr"),
)


def find(db: sql.Connection, wanted: Filter = ANY) -> Iterator[Standing]:
    """Every asset with what stands there, in the order of the list."""
    for row in db.execute(_query().where(*wanted.clauses()).order_by(assets.c.id)):
        yield _standing(row)


def get(db: sql.Connection, asset: str) -> Standing:
    """Raises RegistryError for an unknown asset."""
    row = db.execute(_query().where(assets.c.asset == asset)).first()
    if row is None:
        raise RegistryError(asset_table.unknown(db, asset))
    return _standing(row)


def by_mac(db: sql.Connection, mac: str) -> Standing | None:
    """Where the board with this MAC stands."""
    row = db.execute(_query().where(nodes.c.mac == mac, nodes.c.retired_at.is_(None))).first()
    return _standing(row) if row else None


def by_dev_eui(db: sql.Connection, dev_eui: str) -> Standing | None:
    row = db.execute(_query().where(nodes.c.dev_eui == dev_eui, nodes.c.retired_at.is_(None))).first()
    return _standing(row) if row else None


def by_name(db: sql.Connection, name: str) -> Standing | None:
    """By the node's name, as it stands in MQTT topics."""
    row = db.execute(_query().where(assets.c.node_name == name)).first()
    return _standing(row) if row else None


def free(
    db: sql.Connection, site: str | None, board: str | None = None, default: str | None = None
) -> Standing | None:
    """The first asset of the list that has no board yet; of those for `board` where that is given.

    `default`: the board of assets that name none.
    """
    clauses: list[sql.ColumnElement[bool]] = [nodes.c.id.is_(None)]
    if site is not None:
        clauses.append(assets.c.site == site)
    if board is not None:
        named = sql.func.coalesce(assets.c.board, default)
        clauses.append(sql.or_(named == board, named.is_(None)))
    row = db.execute(_query().where(*clauses).order_by(assets.c.id).limit(1)).first()
    return _standing(row) if row else None


def begun(db: sql.Connection, wanted: Filter = ANY) -> Iterator[Standing]:
    """Those for which a board is reserved that was not provisioned to the end."""
    clauses = (nodes.c.id.is_not(None), nodes.c.provisioned_at.is_(None), *wanted.clauses())
    for row in db.execute(_query().where(*clauses).order_by(assets.c.id)):
        yield _standing(row)


def count_unfinished(db: sql.Connection, wanted: Filter = ANY) -> int:
    """How many assets have no node that was provisioned."""
    source = asset_table.standing()
    query = sql.select(sql.func.count()).select_from(source)
    return int(db.execute(query.where(nodes.c.provisioned_at.is_(None), *wanted.clauses())).scalar_one())


def _query() -> sql.Select[Any]:
    source = asset_table.standing()
    own = (nodes.c[name].label(f"node_{name}") for name in _NODE_COLUMNS)
    more = (assets.c.id.label("asset_id"), assets.c.revision.label("wanted"))
    return sql.select(*asset_table.columns(), *more, *own).select_from(source)


def _standing(row: Any) -> Standing:
    found = {name: getattr(row, f"node_{name}") for name in _NODE_COLUMNS}
    found |= {"state": found["state"] or "planned", "revision": found["revision"] or 0}
    return Standing(asset_table.from_row(row), row.asset_id, row.wanted, **found)


def reserve(
    db: sql.Connection, at: Standing, mac: str, dev_eui: str | None, join_eui: str | None, stamp: Stamp
) -> None:
    """Put a board down for an asset before anything is written to it. Raises RegistryError: one of them is taken."""
    if at.id is not None:
        raise RegistryError(f"asset {at.asset.asset}: has a node already")
    other = by_mac(db, mac)
    if other:
        raise RegistryError(f"the board with MAC {mac} is the node of {other.asset.asset}")
    other = by_dev_eui(db, dev_eui) if dev_eui else None
    if other:
        raise RegistryError(f"DevEUI {dev_eui} is that of {other.asset.asset}")
    node = db.execute(
        nodes.insert().values(
            asset_id=at.asset_id,
            mac=mac,
            dev_eui=dev_eui,
            join_eui=join_eui,
            state="planned",
            revision=0,
            reserved_at=stamp.at,
        )
    ).inserted_primary_key
    assert node is not None
    note(db, at.asset_id, node[0], "reserved", f"MAC {mac}", stamp)
    # What was flashed before the board was anybody's.
    db.execute(
        flashes.update().where(flashes.c.mac == mac, flashes.c.node_id.is_(None)).values(node_id=node[0])
    )


def key_issued(db: sql.Connection, at: Standing, record: str, print_: str, stamp: Stamp) -> None:
    """Raises RegistryError where another node has, or had, that key."""
    other = db.execute(
        sql.select(assets.c.asset)
        .join(nodes, nodes.c.asset_id == assets.c.id)
        .where(nodes.c.key_print == print_)
    ).scalar()
    if other:
        raise RegistryError(
            f"asset {at.asset.asset}: its new key is one that {other} has: is the random source broken?"
        )
    db.execute(nodes.update().where(nodes.c.id == at.id).values(key_record=record, key_print=print_))
    note(db, at.asset_id, at.id, "key", record, stamp)


def flashed(
    db: sql.Connection,
    mac: str,
    stamp: Stamp,
    *,
    board: str,
    micropython: str,
    firmware: str,
    files: str,
    policy: str,
) -> None:
    """What was written to the chip with this MAC, whoever's it is."""
    at = by_mac(db, mac)
    db.execute(
        flashes.insert().values(
            mac=mac,
            node_id=at.id if at else None,
            at=stamp.at,
            board=board,
            micropython=micropython,
            firmware=firmware,
            files=files,
            policy=policy,
        )
    )
    if at is not None:
        db.execute(
            nodes.update()
            .where(nodes.c.id == at.id)
            .values(state=_at_least(at.state, "flashed"), firmware=firmware)
        )
        note(
            db, at.asset_id, at.id, "flashed", f"firmware {firmware}, MicroPython image {micropython}", stamp
        )


def was_flashed(db: sql.Connection, mac: str) -> bool:
    """Whether the chip with this MAC has our firmware, as far as the registry knows."""
    written = sql.select(sql.literal(1)).where(flashes.c.mac == mac)
    told = sql.select(sql.literal(1)).where(nodes.c.mac == mac, nodes.c.provisioned_at.is_not(None))
    return db.execute(written.union_all(told).limit(1)).first() is not None


def runs(db: sql.Connection, mac: str, micropython: str) -> None:
    """What the chip with this MAC says that it runs; until it does, what was flashed counts by its image's name."""
    last = sql.select(sql.func.max(flashes.c.id)).where(flashes.c.mac == mac).scalar_subquery()
    db.execute(flashes.update().where(flashes.c.id == last).values(micropython=micropython))


def provisioned(
    db: sql.Connection,
    at: Standing,
    settings: str,
    digest: str,
    firmware: str,
    stamp: Stamp,
    micropython: str | None = None,
) -> None:
    """The node holds these settings, read back, and the key that `key_issued` named. Both versions as it says them."""
    runs_on = f" on MicroPython {micropython}" if micropython else ""
    if micropython and at.mac:
        runs(db, at.mac, micropython)
    db.execute(
        nodes.update()
        .where(nodes.c.id == at.id)
        .values(
            state=_at_least(at.state, "provisioned"),
            settings=settings,
            digest=digest,
            firmware=firmware,
            revision=at.wanted,
            provisioned_at=stamp.at,
        )
    )
    note(db, at.asset_id, at.id, "provisioned", f"settings {digest[:8]}, firmware {firmware}{runs_on}", stamp)


def confirmed(db: sql.Connection, at: Standing, settings: str, digest: str, stamp: Stamp) -> None:
    """The node reports that it has these settings, which were sent to it."""
    left = sql.select(sql.literal(1)).where(
        pending.c.node_id == at.id, pending.c.done_at.is_(None), pending.c.refused_at.is_(None)
    )
    more = {} if db.execute(left).first() else {"revision": at.wanted}
    db.execute(nodes.update().where(nodes.c.id == at.id).values(settings=settings, digest=digest, **more))
    note(db, at.asset_id, at.id, "confirmed", f"settings {digest[:8]}", stamp)


def heard(
    db: sql.Connection, at: Standing, stamp: Stamp, rssi: float | None = None, snr: float | None = None
) -> None:
    """A message of the node arrived. Its first is worth a line in the history."""
    if at.seen_at is None:
        detail = "" if rssi is None else f"RSSI {rssi:g} dBm" + ("" if snr is None else f", SNR {snr:g} dB")
        note(db, at.asset_id, at.id, "seen", detail, stamp)
    values: dict[str, Any] = {"state": _at_least(at.state, "seen"), "seen_at": max(stamp.at, at.seen_at or 0)}
    if rssi is not None:
        values |= {"rssi": rssi, "snr": snr}
    db.execute(nodes.update().where(nodes.c.id == at.id).values(**values))


def failed_self_test(db: sql.Connection, at: Standing) -> bool:
    """Whether the node's last self-test found something."""
    query = (
        sql.select(history.c.detail)
        .where(history.c.node_id == at.id, history.c.event == SELF_TEST)
        .order_by(history.c.id.desc())
        .limit(1)
    )
    return db.execute(query).scalar() not in (None, PASSED)


def had(db: sql.Connection, at: Standing, digest: str) -> bool:
    """Whether the node had the settings whose SHA-256 begins with `digest` (8 hexadecimal digits or more)."""
    told = history.c.detail.startswith(f"settings {digest[:8]}", autoescape=True)
    query = sql.select(sql.literal(1)).where(history.c.node_id == at.id, told).limit(1)
    return db.execute(query).first() is not None


def joined(db: sql.Connection, at: Standing, stamp: Stamp) -> None:
    db.execute(
        nodes.update()
        .where(nodes.c.id == at.id)
        .values(state=_at_least(at.state, "joined"), joined_at=stamp.at)
    )
    note(db, at.asset_id, at.id, "joined", "", stamp)


def retire(db: sql.Connection, at: Standing, why: str, stamp: Stamp) -> None:
    """The board stands there no longer; its row, its key's record and its history stay."""
    db.execute(nodes.update().where(nodes.c.id == at.id).values(state="retired", retired_at=stamp.at))
    note(db, at.asset_id, at.id, "retired", why, stamp)


def last_of_range(db: sql.Connection, first: str, last: str) -> str | None:
    """The highest EUI of a range that was ever given, also to nodes that are retired: none is given twice."""
    found = db.execute(
        sql.select(sql.func.max(nodes.c.dev_eui)).where(nodes.c.dev_eui.between(first, last))
    ).scalar()
    return str(found) if found else None


def note(
    db: sql.Connection, asset_id: int, node_id: int | None, event: str, detail: str, stamp: Stamp
) -> None:
    """A line in an asset's history."""
    db.execute(
        history.insert().values(
            asset_id=asset_id, node_id=node_id, at=stamp.at, event=event, detail=detail, who=stamp.who
        )
    )


def _at_least(state: str, reached: str) -> str:
    return max(state, reached, key=STATES.index)
