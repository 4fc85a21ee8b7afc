"""The vault: who may read, what is left after a crash, and that nothing of it shows anywhere."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import traceback

import keyring
import pyrage
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from borne.errors import VaultError
from borne.fleet import vault as room
from borne.fleet.vault import identities
from borne.fleet.vault.vault import fingerprint

CANARY = b"CANARY-3f9c-key!"
PASSPHRASE = "correct horse battery"


class Ring(KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.kept = {}

    def get_password(self, service, username):
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password

    def delete_password(self, service, username):
        if (service, username) not in self.kept:
            raise PasswordDeleteError("nothing there")
        del self.kept[service, username]


@pytest.fixture(autouse=True)
def ring(monkeypatch):
    for name in ("BORNE_VAULT", identities.PASSPHRASE_VARIABLE, identities.IDENTITY_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    before, made = keyring.get_keyring(), Ring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def me(tmp_path):
    """An identity file as age-keygen writes it."""
    identity = identities.new()
    path = tmp_path / "me.txt"
    path.write_text(f"# created: 2026-01-01\n# public key: {identity.recipient}\n{identity.revealed()}\n")
    path.chmod(0o600)
    return path, identity


@pytest.fixture
def vault(tmp_path, me):
    return room.create(tmp_path / "vault", recipients=[f"{me[1].recipient} # me"])


def opened(vault, me):
    again = room.open_vault(vault.path)
    again.unlock(me[0])
    return again


def test_who_issues_needs_no_secret_and_cannot_read(vault, me):
    record = vault.issue("240ac4fffe010203", "app_key", CANARY)
    assert record == "240ac4fffe010203.app_key.1"
    assert vault.is_locked
    with pytest.raises(VaultError, match="is locked"):
        vault.read(record)
    assert opened(vault, me).read(record) == CANARY


def test_a_record_is_one_that_any_age_program_opens(vault, me):
    record = vault.issue("n", "app_key", CANARY)
    sealed = (vault.path / "records" / f"{record}.age").read_bytes()
    assert sealed.startswith(b"age-encryption.org/v1\n")
    content = json.loads(pyrage.decrypt(sealed, [me[1].age]))
    assert content == {"record": record, "secret": CANARY.hex()}


def test_records_are_never_changed_and_names_never_used_twice(vault, me):
    names = [vault.issue("n", "app_key", bytes([n]) * 16) for n in range(3)]
    assert names == ["n.app_key.1", "n.app_key.2", "n.app_key.3"]
    assert vault.latest("n", "app_key") == names[-1] and vault.latest("m", "app_key") is None
    key = opened(vault, me)
    assert [key.read(name) for name in names] == [bytes([n]) * 16 for n in range(3)]
    assert list(vault.records()) == names and key.check() == 3


def test_many_issue_at_once(vault, me):
    def work(n):
        for _ in range(10):
            vault.issue("n", "app_key", bytes([n]) * 16)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    key = opened(vault, me)
    held = [key.read(name) for name in vault.records()]
    assert sorted(held) == sorted(bytes([n]) * 16 for n in range(6) for _ in range(10))


def test_every_access_is_logged_without_the_secret(vault, me):
    record = vault.issue("n", "app_key", CANARY)
    key = room.open_vault(vault.path, "Ana")
    key.unlock(me[0])
    key.read(record)
    lines = [json.loads(line) for line in (vault.path / "access.log").read_text().splitlines()]
    assert [(line["event"], line["record"], line.get("who")) for line in lines] == [
        ("issued", record, None),
        ("read", record, "Ana"),
    ]


def test_files_are_the_owners_own(vault):
    vault.issue("n", "app_key", CANARY)
    for path in vault.path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert vault.path.stat().st_mode & 0o077 == 0
    assert not list(vault.path.rglob("*.part"))


def test_a_passphrase(tmp_path, ring, monkeypatch):
    made = room.create(tmp_path / "vault", PASSPHRASE)
    record = made.issue("n", "app_key", CANARY)
    again = room.open_vault(made.path)
    with pytest.raises(VaultError, match="is locked: set BORNE_VAULT_PASSPHRASE"):
        again.unlock()
    with pytest.raises(VaultError, match="wrong passphrase, or the file is damaged") as caught:
        again.unlock(ask=lambda: "wrong " + PASSPHRASE)
    assert "\n" not in str(caught.value) and PASSPHRASE not in str(caught.value)
    again.unlock(ask=lambda: PASSPHRASE)
    assert again.read(record) == CANARY
    identities.remember(again.path, again.identity())
    by_ring = room.open_vault(made.path)
    by_ring.unlock()
    assert by_ring.read(record) == CANARY
    assert identities.forget(made.path) and not identities.forget(made.path)
    with pytest.raises(VaultError, match="is locked"):
        room.open_vault(made.path).unlock()


def test_a_system_without_a_keyring(vault, me):
    from keyring.backends.fail import Keyring

    keyring.set_keyring(Keyring())
    key = opened(vault, me)
    with pytest.raises(VaultError, match="has no keyring"):
        identities.remember(key.path, key.identity())
    assert identities.remembered(key.path) is None and not identities.forget(key.path)


def test_recipients_come_and_go(vault, me, tmp_path):
    record = vault.issue("n", "app_key", CANARY)
    other = identities.new()
    path = tmp_path / "other.txt"
    path.write_text(other.revealed())
    path.chmod(0o600)
    with pytest.raises(VaultError, match="is not encrypted to this identity"):
        room.open_vault(vault.path).unlock(path)
    with pytest.raises(VaultError, match="is locked"):
        vault.add_recipient(other.recipient)
    key = opened(vault, me)
    assert key.add_recipient(f"{other.recipient} # Ana") == 1
    assert key.add_recipient(other.recipient) == 0
    theirs = room.open_vault(vault.path)
    theirs.unlock(path)
    assert theirs.read(record) == CANARY
    with pytest.raises(VaultError, match="the key that you opened it with"):
        theirs.remove_recipient(other.recipient)
    assert key.remove_recipient(other.recipient) == 1
    with pytest.raises(VaultError, match="is damaged, or not for this identity"):
        theirs.read(record)
    with pytest.raises(VaultError, match="is no recipient"):
        key.remove_recipient(other.recipient)


def test_an_ssh_key_is_a_recipient(tmp_path, me):
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ana@laptop"
    made = room.create(tmp_path / "v", recipients=[line, me[1].recipient])
    assert opened(made, me).read(made.issue("n", "app_key", CANARY)) == CANARY


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("age1nonsense", "is no age public key"),
        ("AGE-SECRET-KEY-1QQQ", "is a secret key; give the public one"),
        ("", "is no age public key"),
    ],
)
def test_recipients_that_are_none(tmp_path, line, says):
    with pytest.raises(VaultError) as caught:
        room.create(tmp_path / "v", recipients=[line])
    assert says in str(caught.value) and "QQQ" not in str(caught.value)
    assert not (tmp_path / "v" / "recipients.txt").exists()


def test_vaults_that_cannot_be(tmp_path, vault):
    with pytest.raises(VaultError, match="is there already"):
        room.create(vault.path, PASSPHRASE)
    with pytest.raises(VaultError, match="give a passphrase, or the public key"):
        room.create(tmp_path / "v")
    with pytest.raises(VaultError, match="at least 8 characters"):
        room.create(tmp_path / "w", "short")
    with pytest.raises(VaultError, match="is not there; `borne fleet vault create` makes one"):
        room.open_vault(tmp_path / "none")
    with pytest.raises(VaultError, match="cannot be a record's name"):
        vault.issue("../../etc", "app_key", CANARY)
    (vault.path / "recipients.txt").write_text("# nobody\n")
    with pytest.raises(VaultError, match="names nobody"):
        room.open_vault(vault.path)


def test_damage_is_one_line_and_stays_where_it_is(vault, me):
    names = [vault.issue(owner, "app_key", CANARY) for owner in "abcd"]
    folder = vault.path / "records"
    whole = (folder / f"{names[0]}.age").read_bytes()
    (folder / f"{names[0]}.age").write_bytes(whole[:-1])
    (folder / f"{names[1]}.age").write_bytes(b"")
    # Another node's record under this one's name.
    (folder / f"{names[2]}.age").write_bytes((folder / f"{names[3]}.age").read_bytes())
    key = opened(vault, me)
    for name in names[:3]:
        with pytest.raises(VaultError, match=f"record {name} is damaged, or not for this identity") as caught:
            key.read(name)
        assert "\n" not in str(caught.value)
    assert key.read(names[3]) == CANARY
    with pytest.raises(VaultError, match="has no record e.app_key.1"):
        key.read("e.app_key.1")
    with pytest.raises(VaultError, match="is damaged"):
        key.check()


@pytest.mark.parametrize(
    ("content", "mode", "says"),
    [
        ("AGE-SECRET-KEY-1CANARY", 0o600, "is no age identity"),
        ("nothing here", 0o600, "holds no age identity"),
        ("AGE-SECRET-KEY-1CANARY", 0o644, "is open to others: run `chmod 600"),
    ],
)
def test_identity_files_that_are_none(vault, tmp_path, content, mode, says):
    path = tmp_path / "id.txt"
    path.write_text(content)
    path.chmod(mode)
    with pytest.raises(VaultError) as caught:
        room.open_vault(vault.path).unlock(path)
    assert says in str(caught.value)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


def test_an_identity_shows_itself_nowhere(me, vault):
    identity = me[1]
    secret = identity.revealed()
    key = opened(vault, me)
    shown = [repr(identity), str(identity), repr(key), repr(vars(key)), f"{identity!s}{identity!r}"]
    with pytest.raises(TypeError):
        pickle.dumps(identity)
    assert not any(secret[16:] in text for text in shown)


def test_prints_tell_keys_apart_and_are_the_nodes_own(vault):
    import hashlib

    assert fingerprint(b"a" * 16) != fingerprint(b"b" * 16)
    assert fingerprint(CANARY) == hashlib.sha256(b"borne key print\0" + CANARY).hexdigest()


KILLED = """
import os, signal, sys
from pathlib import Path
from borne.fleet import vault
opened = vault.open_vault(Path(sys.argv[1]))
left = int(sys.argv[2])
def watch(event, arguments):
    global left
    if event in ("open", "os.link", "os.rename", "os.remove"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
print(opened.issue("n", "app_key", b"0123456789abcdef"))
"""


def test_a_kill_at_any_point_leaves_whole_records(vault, me):
    """SIGKILL before each step that touches the disk, until one run comes to its end."""
    for step in range(40):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(vault.path), str(step)], capture_output=True, text=True
        )
        key = opened(vault, me)
        assert all(key.read(name) == b"0123456789abcdef" for name in vault.records())
        if done.returncode == 0:
            break
        assert done.returncode == -9, done.stderr
    assert done.returncode == 0 and step > 4
    # What a killed process has left of its files hinders nobody, and is no record.
    assert opened(vault, me).check() == len(list(vault.records()))


def borne(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "borne", "fleet", "vault", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", **environment},
        stdin=subprocess.DEVNULL,
    )


def test_the_commands(tmp_path, me):
    path = tmp_path / "v"
    done = borne("create", "--no-passphrase", "--recipient", me[1].recipient, "--vault", path)
    assert done.returncode == 0, done.stderr
    done = borne("check", "--identity", me[0], "--vault", path)
    assert done.stdout == f"{path}: 0 records, all of them readable\n"
    done = borne("check", "--vault", path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "has no passphrase" in done.stderr
    done = borne("unlock", "--identity", me[0], "--vault", path)
    assert done.returncode == 2 and "has no keyring" in done.stderr
    assert borne("recipients", "--vault", path).stdout == me[1].recipient + "\n"
    done = borne("create", "--vault", tmp_path / "w")
    assert done.returncode == 2 and "is locked: set BORNE_VAULT_PASSPHRASE" in done.stderr
