"""A node of the list as one file: import, borne image --node, esptool, and the board starts as that asset."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_bench import Hub, stored

from borne.fleet import vault
from borne.fleet.registry import Stamp, nodes, status
from borne.virtual import VirtualBoard
from borne.virtual.nvs import Partition

BORNE = str(Path(sys.executable).with_name("borne"))
READY = b"waiting 3 s for a host"
LORA, WIFI = "ttgo-lora32-v21", "esp32-devkitc"
LIST = f"""\
asset;kind;board;site;street;link;depth_mm
L1;light;{LORA};Lilas;Rue de l'Église;lorawan;
B1;fill;{WIFI};Lilas;;wifi;1500
B2;fill;{WIFI};Mimosas;;wifi;900
"""
MAC = "24:6f:28:00:00:31"
PASSPHRASE = "a long enough one"


@pytest.fixture
def hub(tmp_path):
    made = Hub(tmp_path / "hub")
    (made.folder / "list.csv").write_text(LIST)
    run(made, "fleet", "import", made.folder / "list.csv")
    run(made, "fleet", "site", "Lilas", "--wifi-ssid", "Mairie", "--mqtt", "mqtt://broker.example")
    open_to_all = ("--wifi-ssid", "Mairie", "--wifi-open", "--mqtt", "mqtt://broker.example", "--mqtt-open")
    run(made, "fleet", "site", "Mimosas", *open_to_all)
    yield made
    made.close()


def environment(hub, **more):
    return {
        **os.environ,
        "BORNE_REGISTRY": str(hub.folder / "registry.sqlite"),
        "BORNE_VAULT": str(hub.vault.path),
        **more,
    }


def borne(hub, *arguments, **more):
    return subprocess.run(
        [BORNE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(hub, **more),
        check=False,
    )


def run(hub, *arguments, **more):
    done = borne(hub, *arguments, **more)
    assert done.returncode == 0, done.stderr
    return done


def image(hub, name, board, asset, *options, **more):
    return borne(hub, "image", board, "--node", asset, "-o", hub.folder / name, *options, **more)


def standing(hub, asset):
    with hub.registry.reading() as db:
        return nodes.get(db, asset)


def test_from_the_list_by_one_file_onto_the_board(hub, tmp_path):
    with VirtualBoard(tmp_path / "board") as board:
        board.power_on()
        made = image(hub, "l1.bin", LORA, "L1", "--mac", board.mac.hex(":"))
        assert made.returncode == 0
        path = hub.folder / "l1.bin"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert f"{path} holds keys and passwords" in made.stderr
        assert f"for the board with MAC {board.mac.hex()} only" in made.stderr
        command = [sys.executable, "-m", "esptool", "--chip", "esp32", "--port", board.port]
        subprocess.run([*command, "write-flash", "0x0", str(path)], check=True, capture_output=True)
        assert board.wait_for(READY)
        settings, secrets = stored(board)
        assert (settings["name"], settings["kind"], settings["place"]) == ("L1", "light", "Rue de l'Église")
        assert (
            settings["dev_eui"]
            == standing(hub, "L1").dev_eui
            == f"{board.mac.hex()[:6]}fffe{board.mac.hex()[6:]}"
        )
        key = hub.unlocked().read(standing(hub, "L1").key_record)
        assert secrets == {"app_key": key}
        flash = bytearray((board.folder / "flash.bin").read_bytes())
        assert Partition(flash, 0x9000, 0x6000).values() == {("borne", "lw_app_key.a"): key}
        # Nowhere but in NVS, and in no word of what was said.
        assert bytes(flash).count(key) == bytes(flash[0x9000:0xF000]).count(key) == 1
        assert key.hex() not in made.stdout + made.stderr
        told = run(hub, "provision", "L1", "--port", board.port, "--no-self-test", "--json")
        told = json.loads(told.stdout)
        assert (told["outcome"], told["key"], told["flashed"]) == ("recorded", "kept", False)


def test_the_same_file_again_out_of_the_vault(hub):
    assert image(hub, "one.bin", LORA, "L1", "--mac", MAC).returncode == 0
    again = image(hub, "two.bin", LORA, "L1", "--identity", hub.identity, "--json")
    assert (again.returncode, json.loads(again.stdout)["secrets"]) == (0, True)
    one, two = (hub.folder / name for name in ("one.bin", "two.bin"))
    assert one.read_bytes() == two.read_bytes()
    assert len(list(hub.vault.records())) == 1


def test_a_node_without_a_key_of_its_own_needs_no_board_and_no_passphrase(hub):
    done = image(hub, "b2.bin", WIFI, "B2")
    assert done.returncode == 0
    assert "MAC" not in done.stderr
    assert standing(hub, "B2").id is None


def test_a_wifi_node_takes_the_sites_password_and_an_account_of_its_own(hub):
    done = image(hub, "b1.bin", WIFI, "B1", "--mac", MAC, BORNE_WIFI_PASSWORD="sesame, open")
    assert done.returncode == 0
    content = bytearray((hub.folder / "b1.bin").read_bytes())
    values = Partition(content, 0x9000, 0x6000).values()
    key = hub.unlocked().read(standing(hub, "B1").key_record)
    assert values == {("borne", "wifi_pw.a"): b"sesame, open", ("borne", "mqtt_pw.a"): key}


def test_a_node_that_was_on_air_is_warned_of(hub):
    image(hub, "one.bin", LORA, "L1", "--mac", MAC)
    with hub.registry.writing() as db:
        nodes.joined(db, nodes.get(db, "L1"), Stamp())
    again = image(hub, "two.bin", LORA, "L1", "--identity", hub.identity)
    assert "L1 was on air: this image counts its DevNonces from 0" in again.stderr


@pytest.mark.parametrize(
    ("board", "asset", "options", "says"),
    [
        (LORA, "L9", [], "asset 'L9' is unknown"),
        ("heltec-v3", "L1", [], f"board: L1 has board {LORA} by the list, not heltec-v3"),
        (LORA, "L1", [], "L1: has no board yet, and its key belongs to one: give the board's MAC with --mac"),
        (LORA, "L1", ["--mac", "24:6f"], "mac: '24:6f' is no MAC"),
        (LORA, "L1", ["--name", "x"], "--name: --node takes it from the list"),
        (WIFI, "B1", ["--mac", MAC], "wifi_password: is missing: set BORNE_WIFI_PASSWORD"),
        (WIFI, "B1", ["--mac", MAC, "--vault", "/nowhere"], "vault /nowhere: is not there"),
    ],
)
def test_mistakes_are_one_line_change_nothing_and_leave_no_file(hub, board, asset, options, says):
    done = image(hub, "node.bin", board, asset, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert not list(hub.folder.glob("node.bin*"))
    assert [standing(hub, one).id for one in ("L1", "B1", "B2")] == [None, None, None]
    assert not list(hub.vault.records())


def test_a_vault_that_stays_shut_makes_no_file(hub, tmp_path):
    """Locked, a wrong passphrase, somebody else's key."""
    sealed = vault.create(tmp_path / "sealed", PASSPHRASE)
    at = ("--vault", sealed.path)
    assert image(hub, "one.bin", LORA, "L1", "--mac", MAC, *at).returncode == 0
    strange = tmp_path / "strange.txt"
    strange.write_text("AGE-SECRET-KEY-1\n")
    strange.chmod(0o600)
    for options, more, says in (
        ((), {}, "vault: is locked: set BORNE_VAULT_PASSPHRASE"),
        ((), {"BORNE_VAULT_PASSPHRASE": "another long one"}, "wrong passphrase"),
        (("--identity", hub.identity), {}, "is not encrypted to this identity"),
        (("--identity", strange), {}, "identity: is no age identity"),
    ):
        done = image(hub, "two.bin", LORA, "L1", *at, *options, **more)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert says in done.stderr
    foreign = image(hub, "two.bin", LORA, "L1", "--identity", hub.identity)
    assert "has no record" in foreign.stderr
    assert not list(hub.folder.glob("two.bin*"))
    with hub.registry.reading() as db:
        events = [line["event"] for line in status.history_of(db, standing(hub, "L1").asset_id)]
    assert events == ["created", "reserved", "key"]
