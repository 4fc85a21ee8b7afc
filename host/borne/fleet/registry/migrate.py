"""Brings a registry to the form that this borne knows, with Alembic."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sql

from borne.errors import RegistryError

# The newest of migrations/versions. Alembic itself takes a quarter of a second to load, so it is asked only when
# a registry is of another form; a test holds this to what it says.
HEAD: Final = "0001"
_LOCK: Final = 0x626F726E


def up_to_date(engine: sql.Engine) -> None:
    """Raises RegistryError where it was written by a newer borne."""
    if revision(engine) != HEAD:
        upgrade(engine)


def revision(engine: sql.Engine) -> str | None:
    """The form that the registry has, None for an empty one."""
    with engine.connect() as db:
        if not sql.inspect(db).has_table("alembic_version"):
            if sql.inspect(db).get_table_names():
                raise RegistryError(
                    f"registry {engine.url.database}: holds tables that are not borne's: name another"
                )
            return None
        return db.execute(sql.text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: sql.Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "borne.fleet.registry:migrations")
    # One process alone migrates; another that waited for it finds nothing left to do.
    waiting = {"isolation_level": "READ COMMITTED"} if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(borne_writes=True, **waiting) as db, db.begin():
        if db.dialect.name == "postgresql":
            db.execute(sql.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config.attributes["connection"] = db
        try:
            command.upgrade(config, HEAD)
        except CommandError:
            raise RegistryError(
                f"registry {engine.url.database}: was written by a newer borne: upgrade this one"
            ) from None
