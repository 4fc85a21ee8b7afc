"""The first form of the registry."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _assets()
    _sites()
    _nodes()
    _flashes()
    _history()
    _pending()


def _assets() -> None:
    op.create_table(
        "assets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset", sa.String(length=40), nullable=False),
        sa.Column("node_name", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("profile", sa.String(length=20), nullable=True),
        sa.Column("board", sa.String(length=120), nullable=True),
        sa.Column("link", sa.String(length=20), nullable=False),
        sa.Column("region", sa.String(length=20), nullable=True),
        sa.Column("network", sa.String(length=120), nullable=True),
        sa.Column("site", sa.String(length=120), nullable=True),
        sa.Column("street", sa.String(length=120), nullable=True),
        sa.Column("latitude", sa.Float(), nullable=True),
        sa.Column("longitude", sa.Float(), nullable=True),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
        sa.UniqueConstraint("asset", name=op.f("uq_assets_asset")),
        sa.UniqueConstraint("node_name", name=op.f("uq_assets_node_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assets_status", "assets", ["site", "kind", "id", "revision"], unique=False)


def _sites() -> None:
    op.create_table(
        "sites",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("defaults", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sites")),
    )


def _nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("mac", sa.String(length=12), nullable=True),
        sa.Column("dev_eui", sa.String(length=16), nullable=True),
        sa.Column("join_eui", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("key_record", sa.String(length=120), nullable=True),
        sa.Column("key_print", sa.String(length=64), nullable=True),
        sa.Column("settings", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("firmware", sa.String(length=40), nullable=True),
        sa.Column("reserved_at", sa.Integer(), nullable=False),
        sa.Column("provisioned_at", sa.Integer(), nullable=True),
        sa.Column("joined_at", sa.Integer(), nullable=True),
        sa.Column("seen_at", sa.Integer(), nullable=True),
        sa.Column("rssi", sa.Float(), nullable=True),
        sa.Column("snr", sa.Float(), nullable=True),
        sa.Column("retired_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_nodes_asset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
        sa.UniqueConstraint("key_print", name=op.f("uq_nodes_key_print")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_nodes_dev_eui", "nodes", ["dev_eui"], unique=False)
    op.create_index(
        "ix_nodes_status",
        "nodes",
        ["asset_id", "state", "revision", "seen_at", "retired_at"],
        unique=False,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_index(
        "uq_nodes_dev_eui",
        "nodes",
        ["dev_eui"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_index(
        "uq_nodes_mac",
        "nodes",
        ["mac"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )
    op.create_index(
        "uq_nodes_standing",
        "nodes",
        ["asset_id"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL AND id > 0"),
        postgresql_where=sa.text("retired_at IS NULL AND id > 0"),
    )


def _flashes() -> None:
    op.create_table(
        "flashes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("mac", sa.String(length=12), nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("board", sa.String(length=120), nullable=False),
        sa.Column("micropython", sa.String(length=20), nullable=False),
        sa.Column("firmware", sa.String(length=40), nullable=False),
        sa.Column("files", sa.String(length=16), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_flashes_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flashes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_flashes_mac"), "flashes", ["mac"], unique=False)
    op.create_index(op.f("ix_flashes_node_id"), "flashes", ["node_id"], unique=False)


def _history() -> None:
    op.create_table(
        "history",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("asset_id", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("who", sa.String(length=120), nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_history_asset_id")),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_history_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_history")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_history_asset_id"), "history", ["asset_id"], unique=False)


def _pending() -> None:
    op.create_table(
        "pending",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("node_id", sa.Integer(), nullable=False),
        sa.Column("setting", sa.String(length=40), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("queued_at", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.Integer(), nullable=True),
        sa.Column("done_at", sa.Integer(), nullable=True),
        sa.Column("refused_at", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_pending_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pending")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_pending_node_id"), "pending", ["node_id"], unique=False)
