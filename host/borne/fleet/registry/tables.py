"""The tables of the registry. Times are unix seconds; JSON is text with its names sorted, so that equal is equal.

A change here needs a migration (migrations/versions); a test compares the two.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sql
from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

# `node_name` as the nodes of the asset are called; `revision` rises when something changes that its node is told.
# The order of ids is the order of the list.
assets: Final = Table(
    "assets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("asset", String(40), nullable=False, unique=True),
    Column("node_name", String(40), nullable=False, unique=True),
    Column("kind", String(20), nullable=False),
    Column("profile", String(20)),
    Column("board", String(120)),
    Column("link", String(20), nullable=False),
    Column("region", String(20)),
    Column("network", String(120)),
    Column("site", String(120)),
    Column("street", String(120)),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("settings", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("changed_at", Integer, nullable=False),
    Index("ix_assets_status", "site", "kind", "id", "revision"),
    sqlite_autoincrement=True,
)

# A row from the moment on at which a board is reserved for the asset. `key_record` names the vault's record of the
# key, `key_print` tells two keys apart and gives none away. `settings` and `digest`: what was read back from the node.
nodes: Final = Table(
    "nodes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("asset_id", ForeignKey("assets.id"), nullable=False),
    Column("mac", String(12)),
    Column("dev_eui", String(16)),
    Column("join_eui", String(16)),
    Column("state", String(12), nullable=False),
    Column("key_record", String(120)),
    Column("key_print", String(64), unique=True),
    Column("settings", Text),
    Column("digest", String(64)),
    Column("revision", Integer, nullable=False),
    Column("firmware", String(40)),
    Column("reserved_at", Integer, nullable=False),
    Column("provisioned_at", Integer),
    Column("joined_at", Integer),
    Column("seen_at", Integer),
    Column("rssi", Float),
    Column("snr", Float),
    Column("retired_at", Integer),
    sqlite_autoincrement=True,
)
_STANDS = nodes.c.retired_at.is_(None)
# An asset has one node at a time. The condition says more than it must: SQLite then does not take this index for a
# lookup where the one below, which holds all that `status` reads, is twice as fast.
_STANDS_ALONE = sql.and_(_STANDS, nodes.c.id > 0)
for _name, _column, _where in (
    ("uq_nodes_standing", nodes.c.asset_id, _STANDS_ALONE),
    ("uq_nodes_mac", nodes.c.mac, _STANDS),
    ("uq_nodes_dev_eui", nodes.c.dev_eui, _STANDS),
):
    Index(_name, _column, unique=True, sqlite_where=_where, postgresql_where=_where)
Index(
    "ix_nodes_status",
    *(nodes.c.asset_id, nodes.c.state, nodes.c.revision, nodes.c.seen_at, nodes.c.retired_at),
    sqlite_where=_STANDS,
    postgresql_where=_STANDS,
)
Index("ix_nodes_dev_eui", nodes.c.dev_eui)

# What was written to which chip. A board is flashed before it is anybody's node, so the MAC leads.
flashes: Final = Table(
    "flashes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("mac", String(12), nullable=False, index=True),
    Column("node_id", ForeignKey("nodes.id"), index=True),
    Column("at", Integer, nullable=False),
    Column("board", String(120), nullable=False),
    Column("micropython", String(20), nullable=False),
    Column("firmware", String(40), nullable=False),
    Column("files", String(16), nullable=False),
    Column("policy", String(64), nullable=False),
    sqlite_autoincrement=True,
)

history: Final = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("asset_id", ForeignKey("assets.id"), nullable=False, index=True),
    Column("node_id", ForeignKey("nodes.id")),
    Column("at", Integer, nullable=False),
    Column("event", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("who", String(120)),
    sqlite_autoincrement=True,
)

# What all assets of a site share, as JSON (registry/sites.py).
sites: Final = Table(
    "sites",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("defaults", Text, nullable=False),
)

# Settings that shall reach a node by downlink: queued, sent, and done when the node says so.
pending: Final = Table(
    "pending",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, index=True),
    Column("setting", String(40), nullable=False),
    Column("value", Integer, nullable=False),
    Column("queued_at", Integer, nullable=False),
    Column("sent_at", Integer),
    Column("done_at", Integer),
    Column("refused_at", Integer),
    sqlite_autoincrement=True,
)
