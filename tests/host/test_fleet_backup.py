"""Registry and vault into one file and back; and the map."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
import zlib

import pytest
from real_postgres import KINDS, database

from borne.errors import ListError, RegistryError, VaultError
from borne.fleet import backup as room
from borne.fleet import vault
from borne.fleet.model import Asset
from borne.fleet.picture import page
from borne.fleet.registry import Stamp, assets, nodes, open_registry, scratch
from borne.fleet.vault import identities

AT = Stamp(1_800_000_000)
CANARY = b"CANARY-77aa-key!"


@pytest.fixture
def me(tmp_path):
    identity = identities.new()
    path = tmp_path / "me.txt"
    path.write_text(identity.revealed())
    path.chmod(0o600)
    return path, identity.recipient


@pytest.fixture
def keys(tmp_path, me):
    return vault.create(tmp_path / "vault", recipients=[me[1]])


def filled(registry, keys, count=5):
    with registry.writing() as db:
        assets.add(
            db,
            [
                Asset(f"L{n}", "light", street="Rue <É> & co", latitude=48 + n / 1000, longitude=2 + n / 500)
                for n in range(count)
            ],
            AT,
        )
        nodes.reserve(db, nodes.get(db, "L0"), "240ac4010203", "240ac4fffe010203", None, AT)
        record = keys.issue("240ac4fffe010203", "app_key", CANARY)
        nodes.key_issued(db, nodes.get(db, "L0"), record, vault.fingerprint(CANARY), AT)
    return registry


@pytest.fixture(scope="module", params=KINDS)
def server(request, tmp_path_factory):
    with database(request.param, tmp_path_factory.mktemp("database")) as make:
        yield make


def at(url, monkeypatch):
    monkeypatch.setenv("BORNE_REGISTRY", url)
    return open_registry()


def test_back_and_forth(server, tmp_path, keys, me, monkeypatch):
    source = filled(at(server(), monkeypatch), keys)
    path = tmp_path / "b.tar.gz"
    held = room.backup(source, keys, path)
    assert (held.rows["assets"], held.rows["nodes"], held.records) == (5, 1, 1)
    assert path.stat().st_mode & 0o777 == 0o600
    target, folder = at(server(), monkeypatch), tmp_path / "restored"
    assert room.restore(path, target, folder) == held
    with target.reading() as db, source.reading() as other:
        assert list(nodes.find(db)) == list(nodes.find(other))
        record = str(nodes.get(db, "L0").key_record)
    again = vault.open_vault(folder)
    again.unlock(me[0])
    assert again.read(record) == CANARY
    for one in folder.rglob("*"):
        assert one.stat().st_mode & 0o077 == 0
    # Ids go on where they were.
    with target.writing() as db:
        assets.add(db, [Asset("N", "light")], AT)
    second = tmp_path / "c.tar.gz"
    room.backup(source, keys, second)
    assert room.verify(second.read_bytes()) == held
    source.close()
    target.close()


def test_a_backup_between_kinds_of_database(tmp_path, keys):
    source = filled(scratch(), keys)
    room.backup(source, keys, tmp_path / "b")
    target = open_registry(str(tmp_path / "r.sqlite"))
    assert room.restore(tmp_path / "b", target, tmp_path / "v").rows["assets"] == 5


def test_keys_stay_encrypted(tmp_path, keys):
    room.backup(filled(scratch(), keys), keys, tmp_path / "b")
    with tarfile.open(tmp_path / "b") as tar:
        content = b"".join(tar.extractfile(one).read() for one in tar)
    assert CANARY not in content and CANARY.hex().encode() not in content


def test_without_a_vault(tmp_path, keys):
    assert room.backup(filled(scratch(), keys), None, tmp_path / "b").records == 0
    target = scratch()
    room.restore(tmp_path / "b", target, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_nothing_is_restored_over_anything(tmp_path, keys):
    registry = filled(scratch(), keys)
    room.backup(registry, keys, tmp_path / "b")
    with pytest.raises(RegistryError, match="is not empty: name another with --registry"):
        room.restore(tmp_path / "b", registry, tmp_path / "v")
    assert not (tmp_path / "v").exists()
    empty = scratch()
    with pytest.raises(VaultError, match="is there already: name another folder"):
        room.restore(tmp_path / "b", empty, keys.path)
    with empty.reading() as db:
        assert list(assets.find(db)) == []


def test_damage_is_found_wherever_it_is(tmp_path, keys):
    room.backup(filled(scratch(), keys), keys, tmp_path / "b")
    good = (tmp_path / "b").read_bytes()
    for at_byte in range(0, len(good), 7):
        bad = bytearray(good)
        bad[at_byte] ^= 0x10
        if not _says_the_same(bytes(bad), good):
            with pytest.raises(RegistryError, match=r"^backup: "):
                room.verify(bytes(bad))
    for size in (0, 10, len(good) // 2, len(good) - 1):
        with pytest.raises(RegistryError, match=r"^backup: "):
            room.verify(good[:size])


def _says_the_same(one, other):
    """gzip's header says which system packed it, and its last block ends within a byte: bits that mean nothing."""
    try:
        return gzip.decompress(one) == gzip.decompress(other)
    except (OSError, EOFError, zlib.error):
        return False


def test_a_damaged_key_is_named_and_replaces_no_older_backup(tmp_path, keys, me):
    registry = filled(scratch(), keys)
    (record,) = keys.records()
    assert not room.backup(registry, keys, tmp_path / "b").is_opened
    keys.unlock(me[0])
    good = room.backup(registry, keys, tmp_path / "b")
    assert (good.damaged, good.is_opened) == ((), True)
    file = keys.path / "records" / f"{record}.age"
    before, older = file.read_bytes(), (tmp_path / "b").read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(
        VaultError, match=f"{record} cannot be opened; .* is older, may have them whole, and stays"
    ):
        room.backup(registry, keys, tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == older
    assert room.backup(registry, keys, tmp_path / "b2").damaged == (record,)
    # One that is gone is missed even by who may not read.
    file.unlink()
    assert room.backup(registry, vault.open_vault(keys.path), tmp_path / "b3").damaged == (record,)


def repacked(path, change):
    with tarfile.open(path) as tar:
        members = {one.name: tar.extractfile(one).read() for one in tar}
    change(members)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def test_members_that_are_not_ours(tmp_path, keys):
    room.backup(filled(scratch(), keys), keys, tmp_path / "b")

    def newer(members):
        members["manifest.json"] = members["manifest.json"].replace(b'"format": 1', b'"format": 2')

    def more(members):
        members["vault/../../evil"] = b"x"

    def less(members):
        del members["registry/nodes.jsonl"]

    for change, says in ((newer, "newer borne"), (more, "is damaged"), (less, "is damaged")):
        with pytest.raises(RegistryError, match=says):
            room.verify(repacked(tmp_path / "b", change))


def test_the_commands(tmp_path, me):
    def borne(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "borne", "fleet", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    registry, folder, file = tmp_path / "r.sqlite", tmp_path / "v", tmp_path / "b.tar.gz"
    made = open_registry(str(registry))
    filled(made, vault.create(folder, recipients=[me[1]]))
    made.close()
    done = borne("backup", file, "--registry", registry, "--vault", folder)
    assert done.stdout == f"{file}: 5 assets, 1 nodes, 1 keys; read back and compared\n"
    assert done.stderr == "borne: the vault is locked, so whether its keys open was not tried\n"
    done = borne("backup", file, "--registry", registry, "--vault", folder, "--identity", me[0])
    assert done.stdout == f"{file}: 5 assets, 1 nodes, 1 keys; read back, opened and compared\n"
    done = borne("restore", file, "--registry", tmp_path / "r2.sqlite", "--vault", tmp_path / "v2")
    assert done.stdout == f"{file}: 5 assets, 1 nodes, 1 keys restored and compared\n"
    done = borne("restore", tmp_path / "none", "--registry", tmp_path / "r3.sqlite")
    assert done.returncode == 2 and "No such file" in done.stderr
    (tmp_path / "short").write_bytes(file.read_bytes()[:-9])
    done = borne("restore", tmp_path / "short", "--registry", tmp_path / "r3.sqlite")
    assert (
        done.returncode == 2 and f"backup {tmp_path / 'short'}: is none of borne's, or damaged" in done.stderr
    )
    # Nothing is made for what does not come.
    assert not (tmp_path / "r3.sqlite").exists()
    next((folder / "records").iterdir()).write_bytes(b"")
    done = borne("backup", tmp_path / "b2", "--registry", registry, "--vault", folder, "--identity", me[0])
    assert done.returncode == 2 and "1 of the keys cannot be opened, here and so in the backup" in done.stderr
    page = tmp_path / "map.html"
    done = borne("map", "-o", page, "--registry", registry)
    assert done.stdout == f"{page}: 5 assets\n"


def standings(keys):
    registry = filled(scratch(), keys)
    with registry.reading() as db:
        return list(nodes.find(db))


def test_the_map_needs_nothing_but_itself(keys):
    text = page(standings(keys))
    assert not re.search(r"https?:|//[a-z]|src=|href=|url\(|@import|fetch|import\(", text)
    assert "default-src 'none'" in text
    assert text.count("<circle") == 5
    assert "Rue &lt;É&gt; &amp; co" in text and "<É>" not in text
    assert "240AC4FFFE010203" in text


def test_north_is_up_and_east_is_right(keys):
    places = [
        (float(x), float(y))
        for x, y in re.findall(r'<circle cx="([\d.-]+)" cy="([\d.-]+)"', page(standings(keys)))
    ]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)


def test_a_background_of_ones_own(tmp_path, keys):
    path = tmp_path / "streets.geojson"
    streets = {"type": "LineString", "coordinates": [[2.0, 48.0], [2.01, 48.004, 35.0]]}
    outline = {"type": "MultiPolygon", "coordinates": [[[[2, 48], [2.1, 48], [2.1, 48.1], [2, 48]]]]}
    features = [{"type": "Feature", "geometry": one} for one in (streets, outline, None)]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    text = page(standings(keys), path)
    assert text.count('<path d="M') >= 2 and 'class="streets"' in text
    for content, says in (
        ("{", "is no GeoJSON"),
        ('{"type":"Point","coordinates":[1,2]}', "holds no lines"),
        ('{"type":"LineString","coordinates":[["<script>",2]]}', "is no GeoJSON of lines"),
    ):
        path.write_text(content)
        with pytest.raises(ListError, match=says):
            page(standings(keys), path)


def test_a_map_of_nothing_and_of_one_place(keys):
    with pytest.raises(ListError, match="no asset has a latitude"):
        page([])
    assert page(standings(keys)[:1]).count("<circle") == 1
