"""The registry as a store: its form, its migrations, two writers at once, and PostgreSQL where there is one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sql
from real_postgres import KINDS, database

from borne.errors import RegistryError
from borne.fleet.model import Asset
from borne.fleet.registry import Stamp, assets, exists, nodes, open_registry, pending, sites, status
from borne.fleet.registry import migrate as room
from borne.fleet.registry.sites import Site
from borne.fleet.registry.tables import metadata

AT = Stamp(1_800_000_000)


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    with database(request.param, tmp_path_factory.mktemp("database")) as make:
        yield make


@pytest.fixture
def url(server):
    return server()


@pytest.fixture
def registry(url, monkeypatch):
    monkeypatch.setenv("BORNE_REGISTRY", url)
    made = open_registry()
    yield made
    made.close()


def fill(registry, count=3, first=0):
    with registry.writing() as db:
        assets.add(db, [Asset(f"A{n}", "light", street="Rue É") for n in range(first, first + count)], AT)


def test_the_migrations_make_what_the_tables_say(registry):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with registry.reading() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_head_is_the_newest_migration(registry):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "borne.fleet.registry:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == room.HEAD
    assert room.revision(registry.engine) == room.HEAD


def test_a_newer_registry_is_refused(registry, url, monkeypatch):
    with registry.engine.begin() as db:
        db.execute(sql.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RegistryError, match="was written by a newer borne: upgrade this one"):
        open_registry()


def test_a_database_of_somebody_else_is_refused(url, monkeypatch):
    monkeypatch.setenv("BORNE_REGISTRY", url)
    engine = sql.create_engine(url)
    with engine.begin() as db:
        db.execute(sql.text("CREATE TABLE lamps (id INTEGER)"))
    engine.dispose()
    with pytest.raises(RegistryError, match="holds tables that are not borne's"):
        open_registry()


def test_what_fails_inside_a_transaction_leaves_nothing(registry):
    with pytest.raises(ZeroDivisionError), registry.writing() as db:
        assets.add(db, [Asset("A", "light")], AT)
        raise ZeroDivisionError
    with registry.reading() as db:
        assert list(assets.find(db)) == []


def test_an_asset_stands_once(registry):
    fill(registry, 1)
    with pytest.raises(RegistryError) as caught:
        fill(registry, 1)
    assert "Rue" not in str(caught.value)


def test_two_writers_wait_for_each_other(registry):
    """Each adds what it finds missing; with a lost update both would add the same."""

    def work():
        for _ in range(10):
            with registry.writing() as db:
                count = len(list(assets.find(db)))
                assets.add(db, [Asset(f"A{count}", "light")], AT)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with registry.reading() as db:
        assert [one.asset for one in assets.find(db)] == [f"A{n}" for n in range(40)]


def test_processes_that_open_it_first_at_once(url):
    code = "from borne.fleet.registry import open_registry; print(open_registry() is not None)"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**__import__("os").environ, "BORNE_REGISTRY": url},
        )
        for _ in range(3)
    ]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (out, err) == ("True\n", "")


def test_filters(registry):
    with registry.writing() as db:
        assets.add(
            db,
            [
                Asset("A", "light", site="S", street="Rue de l'Église", network="tts"),
                Asset("B", "fill", site="S", street="Quai 100%", settings={"depth_mm": 900}),
                Asset("C", "fill", site="T"),
            ],
            AT,
        )

    def found(**wanted):
        with registry.reading() as db:
            return "".join(one.asset for one in assets.find(db, assets.Filter(**wanted)))

    assert found() == "ABC"
    assert (found(site="S"), found(kind="fill"), found(network="tts"), found(asset="C")) == (
        "AB",
        "BC",
        "A",
        "C",
    )
    assert (found(street="église"[1:]), found(street="100%"), found(street="%")) == ("A", "B", "B")
    assert (found(state="planned"), found(state="seen"), found(site="S", kind="fill")) == ("ABC", "", "B")


def test_a_nodes_way_on_each_database(registry):
    """What SQLite takes and PostgreSQL does not, or the other way round."""
    with registry.writing() as db:
        assets.add(db, [Asset("A", "fill", site="S", settings={"depth_mm": 900}), Asset("B", "light")], AT)
        assert nodes.free(db, "S", "board", None).asset.asset == "A"
        nodes.flashed(db, "240ac4010203", AT, board="b", micropython="1", firmware="1", files="f", policy="p")
        nodes.reserve(db, nodes.get(db, "A"), "240ac4010203", "0" * 16, None, AT)
        at = nodes.get(db, "A")
        nodes.key_issued(db, at, "r", "p" * 64, AT)
        nodes.provisioned(db, at, '{"depth_mm":900}', "ab" * 32, "0.1.0", AT)
        pending.queue(db, at.id, "depth_mm", 1000, AT)
        nodes.heard(db, nodes.get(db, "A"), AT, -97.5, 7.25)
        nodes.confirmed(db, at, '{"depth_mm":1000}', "cd" * 32, AT)
        sites.put(db, Site("S", region="EU868"))
        old = assets.get(db, "A")
        assets.change(db, [(old, Asset("A", "fill", site="S", settings={"depth_mm": 1100}))], AT)
    with registry.reading() as db:
        found = {
            (one.site, one.kind, one.state, one.assets, one.outdated, one.silent)
            for one in status.counts(db, since=AT.at + 1)
        }
        assert found == {("S", "fill", "seen", 1, 1, 1), (None, "light", "planned", 1, 0, 0)}
        assert nodes.last_of_range(db, "0" * 16, "1" * 16) == "0" * 16
        assert nodes.was_flashed(db, "240ac4010203") and status.pending_settings(db) == 1
        assert nodes.count_unfinished(db, assets.Filter(site="S")) == 0
        assert [one.asset.asset for one in nodes.find(db, assets.Filter(state="seen"))] == ["A"]
        assert len(list(status.history_of(db, nodes.get(db, "A").asset_id))) == 7
        assert len(list(status.flashes_of(db, nodes.get(db, "A").asset_id))) == 1
        assert sites.get(db, "S").region == "EU868"
    with registry.writing() as db:
        nodes.retire(db, nodes.get(db, "A"), "", AT)
        nodes.reserve(db, nodes.get(db, "A"), "240ac4010203", "0" * 16, None, AT)


def test_an_unknown_asset_is_said_with_the_nearest(registry):
    with registry.reading() as db, pytest.raises(RegistryError, match="the registry is empty"):
        assets.get(db, "A")
    fill(registry, 2)
    with (
        registry.reading() as db,
        pytest.raises(RegistryError, match="asset 'a1' is unknown; did you mean 'A1'"),
    ):
        assets.get(db, "a1")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("mysql://h/d", "must be a file, or a URL postgresql://"),
        ("nonsense://h/d", "must be a file, or a URL postgresql://"),
        ("postgresql://u:secret@h/d", "a password does not belong on a command line"),
        ("postgresql://h:port/d", "is no URL"),
        ("postgresql://127.0.0.1:1/d", "onnection"),
        ("sqlite://", "must be a file"),
    ],
)
def test_addresses_that_are_none(given, says):
    with pytest.raises(RegistryError) as caught:
        open_registry(given)
    assert says in str(caught.value) and "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_password_of_the_environment_is_not_shown(monkeypatch):
    monkeypatch.setenv("BORNE_REGISTRY", "postgresql://user:canary@127.0.0.1:1/d")
    with pytest.raises(RegistryError) as caught:
        open_registry()
    assert "canary" not in str(caught.value) + repr(caught.value)


def test_paths_that_cannot_be(tmp_path):
    with pytest.raises(RegistryError, match="is no file"):
        open_registry(str(tmp_path))
    (tmp_path / "file").write_text("x")
    with pytest.raises(RegistryError, match="Not a directory|File exists"):
        open_registry(str(tmp_path / "file" / "r.sqlite"))
    with pytest.raises(RegistryError, match="is not there; `borne fleet import LIST` makes one"):
        open_registry(str(tmp_path / "none.sqlite"), create=False)
    assert not exists(str(tmp_path / "none.sqlite"))


def test_a_truncated_registry_is_one_line(tmp_path):
    path = tmp_path / "r.sqlite"
    made = open_registry(str(path))
    fill(made, 500)
    with made.engine.connect() as db:
        db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    made.close()
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xff" * (len(content) - 12288)
    path.write_bytes(content)
    with pytest.raises(RegistryError, match="is damaged|is no registry"):
        again = open_registry(str(path))
        with again.reading() as db:
            list(assets.find(db))


def test_a_commit_is_on_the_disk(tmp_path):
    """As another program reads the file, while ours has it open."""
    made = open_registry(str(tmp_path / "r.sqlite"))
    fill(made, 2)
    other = sqlite3.connect(tmp_path / "r.sqlite")
    assert other.execute("SELECT count(*) FROM assets").fetchone() == (2,)
    assert made.engine.connect().exec_driver_sql("PRAGMA synchronous").scalar() == 2
    other.close()
