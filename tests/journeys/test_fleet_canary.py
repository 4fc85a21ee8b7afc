"""Planted secrets, looked for wherever they leak: what is printed, logged, raised, kept in files, given to programs."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fleet_bench import Hub, stored

from borne.fleet.registry.sites import Site

WIFI, LORA = "esp32-devkitc", "ttgo-lora32-v21"
WIFI_PASSWORD = "canary-wifi-9d2f"
PASSPHRASE = "canary-passphrase-77c1"
LIST = f"asset;kind;board;site;link;depth_mm\nB1;fill;{WIFI};S;wifi;1500\nL1;light;{LORA};S;lorawan;\n"
SITE = Site("S", wifi_ssid="Mairie", mqtt="mqtt://broker.example")


class Arguments(threading.Thread):
    """Reads the arguments and the names of all processes of this user while something runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen = b""
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                if line not in self.seen:
                    self.seen += line
            self.over.wait(0.02)


@pytest.fixture
def hub(tmp_path):
    made = Hub(tmp_path / "hub")
    made.list(LIST, SITE)
    yield made
    made.close()


def forms(secret: bytes) -> list[bytes]:
    import base64

    return [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret)]


def test_no_secret_is_anywhere_but_on_the_node_and_sealed_in_the_vault(hub, tmp_path):
    boards = {"B1": hub.board("a", WIFI), "L1": hub.board("b", LORA)}
    temporary, home = tmp_path / "tmp", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "TMPDIR": str(temporary),
        "BORNE_REGISTRY": str(hub.folder / "registry.sqlite"),
        "BORNE_VAULT": str(hub.vault.path),
        "BORNE_WIFI_PASSWORD": WIFI_PASSWORD,
        "BORNE_VAULT_PASSPHRASE": PASSPHRASE,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        "PYTHONDEVMODE": "1",
    }
    watcher = Arguments()
    watcher.start()
    said = b""

    def borne(*arguments: object) -> None:
        nonlocal said
        done = subprocess.run(
            [sys.executable, "-m", "borne", *map(str, arguments)],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=120,
        )
        said += done.stdout + done.stderr

    for asset, board in boards.items():
        borne("provision", asset, "--port", board.port, "--no-self-test")
        # Again, and as what goes wrong: another's board, an identity that does not fit, a port that is none.
        borne("provision", asset, "--port", board.port, "--json")
        borne("provision", "L1", "--port", boards["B1"].port)
        borne("provision", asset, "--port", "/dev/ttyNONE", "--identity", hub.identity)
        borne("fleet", "show", asset, "--json")
    borne("fleet", "list", "--csv")
    borne("fleet", "export")
    borne("fleet", "map", "-o", tmp_path / "map.html")
    borne("fleet", "label", "L1", "-o", tmp_path / "label.pdf")
    borne("fleet", "backup", tmp_path / "backup.tar.gz")
    borne("fleet", "vault", "check", "--identity", hub.identity)
    borne("fleet", "vault", "create", "--vault", home / "another")
    watcher.over.set()
    watcher.join()

    secrets = [value for board in boards.values() for value in stored(board)[1].values()]
    assert len(secrets) == 3 and WIFI_PASSWORD.encode() in secrets
    secrets.append(PASSPHRASE.encode())
    secrets.append(hub.identity.read_bytes().strip())
    planted = [form for secret in secrets for form in forms(secret)]
    assert b"borne" in watcher.seen and b"provisioned" in said
    kept = {"stdout and stderr": said, "arguments of programs": watcher.seen}
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        on_a_board = path.is_relative_to(hub.folder / "boards")
        if not on_a_board and path != hub.identity:
            kept[str(path)] = path.read_bytes()
    # What is looked for is found where it belongs.
    on_boards = b"".join((board.folder / "flash.bin").read_bytes() for board in boards.values())
    assert all(secret in on_boards for secret in secrets[:3])
    for where, content in kept.items():
        for secret in planted:
            assert secret not in content, f"a secret in {where}"
    assert list(temporary.iterdir()) == []
    for path in (*hub.vault.path.rglob("*"), hub.folder / "registry.sqlite", tmp_path / "backup.tar.gz"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_errors_and_logs_of_the_library_hold_none(hub, caplog):
    """A traceback of everything that can be raised while keys are in memory, with the frames' own words."""
    from borne.errors import BorneError
    from borne.fleet.commission import commission, for_asset

    caplog.set_level(logging.DEBUG)
    board = hub.board("a", WIFI)
    bench = hub.bench(secrets={"wifi_password": WIFI_PASSWORD.encode()})
    texts = [repr(bench), str(bench)]
    for step in ("compare", "secrets", "settings", "record"):

        def cut(now: str, fraction: float, step: str = step) -> None:
            if now == step:
                raise BorneError(f"broken off at {now}")

        try:
            commission(bench, board.port, for_asset("B1"), cut)
        except BorneError as error:
            texts += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    opened = hub.unlocked()
    issued = [opened.read(name) for name in opened.records()]
    assert len(texts) >= 2 + 4 * 4 and issued
    texts += [caplog.text]
    for secret in (*issued, WIFI_PASSWORD.encode()):
        for form in forms(secret):
            assert not any(form.decode(errors="replace") in text for text in texts)


def test_the_watcher_sees_an_argument():
    """Or the first test would prove nothing."""
    watcher = Arguments()
    watcher.start()
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()", "canary-0042"], stdin=-1
    ) as process:
        until = time.monotonic() + 20
        while b"canary-0042" not in watcher.seen and time.monotonic() < until:
            watcher.over.wait(0.05)
        process.stdin.close()
    watcher.over.set()
    assert b"canary-0042" in watcher.seen
