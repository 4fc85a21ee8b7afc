"""Where the registry lies, and how it is opened: as it should be, or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import platformdirs
import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from borne.errors import RegistryError

VARIABLE: Final = "BORNE_REGISTRY"
# Another process may hold the registry for as long as an import of 100,000 rows takes.
_PATIENCE_S: Final = 60
_SQLITE, _POSTGRESQL = "sqlite", "postgresql"


@dataclass(frozen=True)
class Stamp:
    """When something was done; and by whom, where that is asked for."""

    at: int = field(default_factory=lambda: int(time.time()))
    who: str | None = None


class Registry:
    """An open registry. Its functions take a connection out of `reading` or `writing`."""

    def __init__(self, engine: sql.Engine) -> None:
        self.engine = engine

    def __repr__(self) -> str:
        return f"Registry({self})"

    def __str__(self) -> str:
        url = self.engine.url
        return str(url.database) if url.get_backend_name() == _SQLITE else url.render_as_string()

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A connection that sees one state of everything. Raises RegistryError."""
        with self._mapped(), self.engine.connect() as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """A transaction, alone: on the disk when the block ends, or not at all. Raises RegistryError."""
        with self._mapped(), self.engine.connect().execution_options(borne_writes=True) as db, db.begin():
            if db.dialect.name == _POSTGRESQL:
                db.execute(sql.text("LOCK TABLE assets, nodes IN SHARE ROW EXCLUSIVE MODE"))
            yield db

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise RegistryError(f"registry {self}: {_reason(error)}") from None

    def close(self) -> None:
        self.engine.dispose()


def home() -> Path:
    """The folder of the fleet where nothing else is said."""
    return platformdirs.user_data_path("borne") / "fleet"


def open_registry(given: str | None = None, *, create: bool = True) -> Registry:
    """The registry at a path or URL, at the environment's, or in the user's data folder; brought up to date.

    `create`: make it where there is none. Raises RegistryError; what it says holds no password.
    """
    if given is not None and _has_password(given):
        raise RegistryError(
            "registry: a password does not belong on a command line, where every user can read it: "
            f"set {VARIABLE}, or use a .pgpass file"
        )
    url = _url(given or os.environ.get(VARIABLE) or str(home() / "registry.sqlite"))
    if url.get_backend_name() == _SQLITE:
        _prepare_file(Path(str(url.database)), create)
    registry = Registry(_engine(url))
    from borne.fleet.registry import migrate

    with registry._mapped():
        try:
            migrate.up_to_date(registry.engine)
        except DBAPIError as error:
            registry.close()
            raise RegistryError(f"registry {registry}: {_reason(error)}") from None
    return registry


def scratch() -> Registry:
    """An empty registry in memory, gone when it is closed."""
    engine = sql.create_engine(
        "sqlite://", poolclass=sql.StaticPool, connect_args={"check_same_thread": False}
    )
    sql.event.listen(engine, "connect", _on_connect)
    sql.event.listen(engine, "begin", _on_begin)
    from borne.fleet.registry import migrate

    migrate.upgrade(engine)
    return Registry(engine)


def exists(given: str | None = None) -> bool:
    """Whether `open_registry` would find one, or is to look on a server."""
    url = _url(given or os.environ.get(VARIABLE) or str(home() / "registry.sqlite"))
    return url.get_backend_name() != _SQLITE or Path(str(url.database)).exists()


def _has_password(given: str) -> bool:
    try:
        return "://" in given and make_url(given).password is not None
    except (ArgumentError, ValueError):
        return False


def _url(text: str) -> URL:
    if "://" not in text:
        return URL.create(_SQLITE, database=str(Path(text).expanduser()))
    try:
        url = make_url(text)
        if url.get_backend_name() == "postgres":
            url = url.set(drivername=_POSTGRESQL)
        if url.get_backend_name() == _POSTGRESQL:
            url = url.set(drivername=f"{_POSTGRESQL}+psycopg")
        elif url.get_backend_name() != _SQLITE or not url.database:
            raise RegistryError("registry: must be a file, or a URL postgresql://[USER@]HOST[:PORT]/DATABASE")
        url.get_dialect()
    except (ArgumentError, ValueError):
        # Not the library's words: they quote the URL, with what it holds.
        raise RegistryError(
            "registry: is no URL of the form postgresql://[USER@]HOST[:PORT]/DATABASE"
        ) from None
    except (NoSuchModuleError, ModuleNotFoundError):
        raise RegistryError("registry: PostgreSQL needs psycopg: pip install 'borne[postgresql]'") from None
    return url


def _prepare_file(path: Path, create: bool) -> None:
    """A file that others cannot read: it says where each node stands."""
    try:
        if not path.exists():
            if not create:
                raise RegistryError(f"registry {path}: is not there; `borne fleet import LIST` makes one")
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        elif not path.is_file():
            raise RegistryError(f"registry {path}: is no file")
    except OSError as error:
        raise RegistryError(f"registry {path}: {error.strerror}") from None


def _engine(url: URL) -> sql.Engine:
    # What a statement was given stays out of errors: a URL's password, and who stands where.
    if url.get_backend_name() == _POSTGRESQL:
        return sql.create_engine(
            url, hide_parameters=True, pool_pre_ping=True, isolation_level="REPEATABLE READ"
        )
    engine = sql.create_engine(
        url, hide_parameters=True, connect_args={"timeout": _PATIENCE_S, "check_same_thread": False}
    )
    sql.event.listen(engine, "connect", _on_connect)
    sql.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, record: Any) -> None:
    # SQLite, "Write-Ahead Logging": readers do not wait for a writer; with FULL, a commit outlives a power cut.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-65536"):
        connection.execute(f"PRAGMA {pragma}").close()


def _on_begin(connection: sql.Connection) -> None:
    # IMMEDIATE: a transaction that is going to write waits at its begin, and never finds its reading outdated.
    writes = connection.get_execution_options().get("borne_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _reason(error: SQLAlchemyError) -> str:
    said = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    if "file is not a database" in said:
        return "is no registry, or damaged; move it away, and `borne fleet restore` brings back a backup"
    if "database is locked" in said:
        return "another program has held it for a minute; try again when that is done"
    if "malformed" in said:
        return "is damaged; move it away, and `borne fleet restore` brings back a backup"
    return said
