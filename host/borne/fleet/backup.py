"""Registry and vault as one file, and back: nothing is called done before it was read again and compared.

A .tar.gz of `manifest.json` (SHA-256 of each member), `registry/TABLE.jsonl` and the vault's files as they are: keys
stay encrypted, so that the backup needs no passphrase and reveals none.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import sqlalchemy as sql

from borne.errors import RegistryError, VaultError
from borne.fleet import durable
from borne.fleet.registry import migrate
from borne.fleet.registry.store import Registry, scratch
from borne.fleet.registry.tables import metadata, nodes
from borne.fleet.vault.vault import Vault, open_vault

_FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_REGISTRY, _VAULT = "registry", "vault"
# The lock, and parts of files that a power cut left.
_NOT_KEPT: Final = "."
_SHOWN: Final = 5


@dataclass(frozen=True)
class Backup:
    """What a backup holds: rows by table, and how many records of the vault.

    `damaged` are records that do not open, or that nodes have and the vault has not; `is_opened`: each was tried.
    """

    rows: dict[str, int]
    records: int
    damaged: tuple[str, ...] = ()
    is_opened: bool = False


def backup(registry: Registry, vault: Vault | None, path: Path) -> Backup:
    """Write, read again, restore into memory and compare; then the file gets its name.

    An unlocked vault's records are opened, too. With damaged ones among them it never replaces an older backup, which
    may have them whole. Raises RegistryError, VaultError.
    """
    # The registry first: every record that it names is in the vault by then.
    with registry.reading() as db:
        members = {f"{_REGISTRY}/{table.name}.jsonl": _dump(db, table) for table in metadata.sorted_tables}
        named = _named(db)
    damaged: set[str] = set()
    if vault:
        members.update(_vault_files(vault))
        damaged = {name for name in named if not vault.has(name)} | set(vault.damaged())
    data = _packed(members)
    held = replace(
        verify(data), damaged=tuple(sorted(damaged)), is_opened=vault is not None and not vault.is_locked
    )
    if damaged and path.exists():
        raise VaultError(
            f"vault {vault and vault.path}: {_listed(damaged)} cannot be opened; {path} is older, may have them "
            "whole, and stays: name another file"
        )
    try:
        durable.replace(path, data)
        if path.read_bytes() != data:
            raise OSError(0, "what was written does not read back")
    except OSError as error:
        raise RegistryError(f"backup {path}: {error.strerror}") from None
    return held


def verify(data: bytes) -> Backup:
    """What a backup holds, after every member was compared and the registry built anew. Raises RegistryError."""
    members = _unpacked(data)
    registry = scratch()
    try:
        rows = _load(registry, members)
    finally:
        registry.close()
    records = sum(name.startswith(f"{_VAULT}/records/") for name in members)
    return Backup(rows, records)


def checked(path: Path, vault: Path) -> tuple[Backup, dict[str, bytes]]:
    """What a backup holds, and its members, where its vault may go to that folder. Raises RegistryError, VaultError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RegistryError(f"backup {path}: {error.strerror}") from None
    try:
        held = verify(data)
    except RegistryError as error:
        raise RegistryError(str(error).replace("backup:", f"backup {path}:", 1)) from None
    members = _unpacked(data)
    has_vault = any(name.startswith(f"{_VAULT}/") for name in members)
    if has_vault and vault.exists() and any(vault.iterdir()):
        raise VaultError(f"vault {vault}: is there already: name another folder with --vault")
    return held, members


def restore(path: Path, registry: Registry, vault: Path) -> Backup:
    """Into an empty registry and a folder where no vault is, all checked before. Raises RegistryError, VaultError."""
    held, members = checked(path, vault)
    files = {name: content for name, content in members.items() if name.startswith(f"{_VAULT}/")}
    if _load(registry, members) != held.rows:
        raise RegistryError(f"registry {registry}: does not hold what the backup holds")
    if files:
        _put_vault(files, vault)
        if sum(1 for _ in open_vault(vault).records()) != held.records:
            raise VaultError(f"vault {vault}: does not hold what the backup holds")
    return held


def _named(db: sql.Connection) -> list[str]:
    """Records of the keys of the nodes that stand."""
    query = sql.select(nodes.c.key_record).where(
        nodes.c.key_record.is_not(None), nodes.c.retired_at.is_(None)
    )
    return list(db.execute(query).scalars())


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:_SHOWN])
    return first if len(names) <= _SHOWN else f"{first} and {len(names) - _SHOWN} more"


def _vault_files(vault: Vault) -> Iterator[tuple[str, bytes]]:
    for path in sorted(vault.path.rglob("*")):
        if path.is_file() and not path.name.startswith(_NOT_KEPT):
            yield f"{_VAULT}/{path.relative_to(vault.path).as_posix()}", path.read_bytes()


def _dump(db: sql.Connection, table: sql.Table) -> bytes:
    """A JSON array a row, its columns in the table's order; the first line names them."""
    out = io.StringIO()
    names = [column.name for column in table.c]
    out.write(json.dumps(names) + "\n")
    for row in db.execute(sql.select(table).order_by(*table.primary_key.columns)):
        out.write(json.dumps(list(row), ensure_ascii=False) + "\n")
    return out.getvalue().encode()


def _load(registry: Registry, members: dict[str, bytes]) -> dict[str, int]:
    """Put the tables into an empty registry, and compare what it then gives with what it was given."""
    rows = {}
    with registry.writing() as db:
        for table in metadata.sorted_tables:
            if db.execute(sql.select(sql.literal(1)).select_from(table).limit(1)).first():
                raise RegistryError(f"registry {registry}: is not empty: name another with --registry")
        for table in metadata.sorted_tables:
            given = members.get(f"{_REGISTRY}/{table.name}.jsonl", b"[]\n")
            names, *values = (json.loads(line) for line in given.decode().splitlines())
            if values:
                db.execute(table.insert(), [dict(zip(names, one, strict=True)) for one in values])
            _advance(db, table)
            if values and _dump(db, table) != given:
                raise RegistryError(
                    f"registry {registry}: {table.name} does not read back as the backup has it"
                )
            rows[table.name] = len(values)
    return rows


def _advance(db: sql.Connection, table: sql.Table) -> None:
    """PostgreSQL counts ids apart from the rows that have them."""
    if db.dialect.name == "postgresql" and "id" in table.c:
        last = f"(SELECT coalesce(max(id), 0) + 1 FROM {table.name})"
        db.execute(sql.text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {last}, false)"))


def _packed(members: dict[str, bytes]) -> bytes:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    manifest = {"format": _FORMAT, "registry": migrate.HEAD, "sha256": digests}
    out = io.BytesIO()
    # Without a time, so that the same registry and vault give the same bytes.
    with (
        gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in {_MANIFEST: json.dumps(manifest).encode(), **members}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), durable.OWN
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _unpacked(data: bytes) -> dict[str, bytes]:
    """Members by name, each as its digest says. Raises RegistryError."""
    try:
        # Unpacked as a whole, so that gzip's own checksum at its end counts too.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data)), mode="r:") as tar:
            members = {entry.name: _content(tar, entry) for entry in tar}
        manifest: dict[str, Any] = json.loads(members.pop(_MANIFEST))
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
        fine = digests == manifest["sha256"]
        newer = manifest["format"] != _FORMAT or manifest["registry"] > migrate.HEAD
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, KeyError, TypeError):
        raise RegistryError("backup: is none of borne's, or damaged; try an older one") from None
    if newer:
        raise RegistryError("backup: was written by a newer borne: upgrade this one")
    if not fine or any(".." in PurePosixPath(name).parts for name in members):
        raise RegistryError("backup: is damaged: a file in it is not what its digest says; try an older one")
    return members


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    if file is None:
        raise ValueError(entry.name)
    return file.read()


def _put_vault(files: dict[str, bytes], vault: Path) -> None:
    try:
        for name, content in files.items():
            path = vault / PurePosixPath(name).relative_to(_VAULT)
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, durable.OWN)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if path.read_bytes() != content:
                raise VaultError(f"vault {path}: does not read back as the backup has it")
        durable.sync_folder(vault)
    except OSError as error:
        raise VaultError(f"vault {vault}: {error.strerror}") from None
