"""borne provision ASSET: out of registry and vault, onto boards that run our firmware from their flash."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from fleet_bench import LIST, LORA, Hub, agree, hub, standing, stored
from typer.testing import CliRunner

from borne.cli import app
from borne.errors import BorneError, NoAnswer, RegistryError, SettingError
from borne.flashing.repl import Repl
from borne.fleet.batch import Batch
from borne.fleet.commission import commission, for_asset, next_free
from borne.fleet.registry import assets, nodes, status
from borne.fleet.registry.sites import Site
from borne.fleet.replacing import replace
from borne.virtual.broker import EmbeddedBroker

__all__ = ["hub"]

WIFI = "esp32-devkitc"
BINS = f"asset;kind;board;site;link;depth_mm\nB1;fill;{WIFI};S;wifi;1500\n"
CLOSED = Site("S", wifi_ssid="Mairie", mqtt="mqtt://broker.example")


def events(hub, asset):
    with hub.registry.reading() as db:
        return [line["event"] for line in status.history_of(db, nodes.get(db, asset).asset_id)]


def test_provisioned_once_and_then_already_so(hub):
    hub.list(LIST)
    board = hub.board("a", LORA)
    steps = []
    done = commission(hub.bench(), board.port, for_asset("L1"), lambda step, fraction: steps.append(step))
    assert (done.outcome, done.flashed, done.key) == ("provisioned", False, "new")
    settings, _ = agree(hub, "L1", board)
    assert settings["place"] == "Rue de l'Église"
    assert settings["dev_eui"] == done.dev_eui == board.mac.hex()[:6] + "fffe" + board.mac.hex()[6:]
    assert steps == ["connect", "compare", "secrets", "settings", "record", "restart"]
    before = (board.folder / "flash.bin").read_bytes()
    again = commission(hub.bench(), board.port, for_asset("L1"))
    assert (again.outcome, again.digest) == ("already so", done.digest)
    assert (board.folder / "flash.bin").read_bytes() == before
    assert events(hub, "L1") == ["created", "reserved", "key", "provisioned"]


def test_a_changed_asset_is_told_and_its_key_stays_without_the_vault(hub):
    """The node copies its key itself: who provisions cannot read it."""
    hub.list(LIST)
    board = hub.board("a", LORA)
    commission(hub.bench(), board.port, for_asset("L1"))
    _, before = agree(hub, "L1", board)
    hub.list(LIST.replace("Rue de l'Église", "Quai"))
    assert standing(hub, "L1").is_outdated
    done = commission(hub.bench(), board.port, for_asset("L1"))
    assert (done.outcome, done.key) == ("provisioned", "kept")
    settings, after = agree(hub, "L1", board)
    assert settings["place"] == "Quai" and after == before
    assert not standing(hub, "L1").is_outdated


def test_a_board_that_lost_its_key_gets_the_vaults_or_a_new_one(hub):
    hub.list(LIST)
    board = hub.board("a", LORA)
    commission(hub.bench(), board.port, for_asset("L1"))
    _, first = agree(hub, "L1", board)

    def forget():
        with Repl(board.port) as at:
            at.run("import esp32\nn=esp32.NVS('borne')\nn.erase_key('lw_app_key.a')\nn.commit()")

    forget()
    bench = hub.bench()
    bench.vault.unlock(hub.identity)
    assert commission(bench, board.port, for_asset("L1")).key == "kept"
    assert agree(hub, "L1", board)[1] == first
    with Repl(board.port) as at:
        at.run("import esp32\nn=esp32.NVS('borne')\nn.erase_key('lw_app_key.b')\nn.commit()")
    assert commission(hub.bench(), board.port, for_asset("L1")).key == "new"
    assert agree(hub, "L1", board)[1] != first


def test_a_bare_board_is_flashed_and_it_is_noted(hub):
    hub.list(LIST)
    board = hub.board("bare")
    done = commission(hub.bench(), board.port, for_asset("L1"))
    assert (done.outcome, done.flashed) == ("provisioned", True)
    agree(hub, "L1", board)
    with hub.registry.reading() as db:
        (one,) = status.flashes_of(db, standing(hub, "L1").asset_id)
    assert (one["mac"], one["board"], len(one["policy"])) == (board.mac.hex(), LORA, 64)
    # The node's own word counts, not the name of the image.
    with Repl(board.port) as at:
        assert one["micropython"] == done.micropython == at.implementation()
    with hub.registry.reading() as db:
        (told,) = [one for one in status.history_of(db, standing(hub, "L1").asset_id) if one["mac"]][-1:]
    assert told["detail"].endswith(f"firmware {done.firmware} on MicroPython {done.micropython}")


def test_a_bare_board_is_not_flashed_for_what_will_be_refused(hub):
    hub.list(BINS, CLOSED)
    board = hub.board("bare")
    before = (board.folder / "flash.bin").read_bytes()
    for secrets, said in (({}, "is missing"), ({"wifi_password": b"short"}, "must have 8 to 63")):
        with pytest.raises(SettingError, match=f"wifi_password: {said}"):
            commission(hub.bench(secrets=secrets), board.port, for_asset("B1"))
    assert (board.folder / "flash.bin").read_bytes() == before


def test_by_wifi_with_an_account_of_its_own(hub):
    hub.list(BINS, CLOSED)
    board = hub.board("a", WIFI)
    with pytest.raises(SettingError, match="wifi_password: is missing: set BORNE_WIFI_PASSWORD"):
        commission(hub.bench(), board.port, for_asset("B1"))
    assert stored(board) == (None, {})
    done = commission(hub.bench(secrets={"wifi_password": b"open sesame"}), board.port, for_asset("B1"))
    settings, secrets = agree(hub, "B1", board, "mqtt_password")
    assert (settings["mqtt_user"], secrets["wifi_password"]) == ("B1", b"open sesame")
    assert done.dev_eui is None
    # Neither the network's password nor the vault is at hand, and nothing has changed.
    assert commission(hub.bench(), board.port, for_asset("B1")).outcome == "already so"
    # Another password of the network is written, and the account stays.
    bench = hub.bench(secrets={"wifi_password": b"open again"})
    assert commission(bench, board.port, for_asset("B1")).outcome == "provisioned"
    assert agree(hub, "B1", board, "mqtt_password")[1] == {**secrets, "wifi_password": b"open again"}
    # The site's password out of the vault.
    bench = hub.bench()
    hub.vault.issue(CLOSED.owner, "wifi_password", b"from the vault")
    bench.vault.unlock(hub.identity)
    commission(bench, board.port, for_asset("B1"))
    assert agree(hub, "B1", board, "mqtt_password")[1]["wifi_password"] == b"from the vault"


def test_who_is_not_ours_and_what_is_taken(hub):
    hub.list(LIST)
    board = hub.board("a", LORA)
    bench = hub.bench()
    commission(bench, board.port, for_asset("L1"))
    other = hub.board("b", LORA)
    with pytest.raises(
        RegistryError, match=r"L1 has the board with MAC \w+, and this is \w+; to give it this one"
    ):
        commission(bench, other.port, for_asset("L1"))
    with pytest.raises(RegistryError, match="the board with MAC .* is the node of L1"):
        commission(bench, board.port, for_asset("L2"))
    with pytest.raises(RegistryError, match="asset 'L9' is unknown"):
        commission(bench, other.port, for_asset("L9"))
    assert standing(hub, "L2").id is None


def test_a_node_of_another_list(hub, tmp_path):
    hub.list(LIST)
    theirs = Hub(tmp_path / "theirs")
    theirs.list(LIST.replace("L1", "X1"))
    board = hub.board("a", LORA)
    commission(theirs.bench(), board.port, for_asset("X1"))
    before = stored(board)
    with pytest.raises(RegistryError, match="is the node X1 of another list; --take makes it ours"):
        commission(hub.bench(), board.port, for_asset("L1"))
    assert stored(board) == before
    assert commission(hub.bench(take=True), board.port, for_asset("L1")).key == "new"
    agree(hub, "L1", board)
    theirs.close()


def test_a_replaced_node(hub):
    hub.list(LIST)
    old, new = hub.board("old", LORA), hub.board("new", LORA)
    commission(hub.bench(), old.port, for_asset("L1"))
    replace(hub.registry, "L1", "vandalised")
    commission(hub.bench(), new.port, for_asset("L1"))
    settings, _ = agree(hub, "L1", new)
    assert settings["name"] == "L1"
    # The old board is nobody's now; it becomes another asset's only when that is meant.
    with pytest.raises(RegistryError, match="is the node L1 of another list"):
        commission(hub.bench(), old.port, for_asset("L2"))
    commission(hub.bench(take=True), old.port, for_asset("L2"))
    agree(hub, "L2", old)


def test_a_board_that_cannot_do_what_its_asset_needs(hub):
    hub.list("asset;kind;site\nL1;light;S\n")
    board = hub.board("a", WIFI)
    with pytest.raises(SettingError, match="link: the board on .* has no LoRa radio"):
        commission(hub.bench(), board.port, for_asset("L1"))
    bare = hub.board("b")
    hub.list("asset;kind;site\nL1;light;S\nL2;light;S\n")
    with pytest.raises(SettingError, match="board: nothing says what board L2 has"):
        commission(hub.bench(), bare.port, for_asset("L2"))


def test_a_range_of_euis(hub):
    site = Site("S", dev_eui_range="70b3d57ed0000000..70b3d57ed0000000", join_eui="00000000000000aa")
    hub.list(LIST, site)
    board = hub.board("a", LORA)
    done = commission(hub.bench(), board.port, for_asset("L1"))
    assert done.dev_eui == "70b3d57ed0000000"
    assert agree(hub, "L1", board)[0]["join_eui"] == "00000000000000aa"
    replace(hub.registry, "L1", "")
    with pytest.raises(RegistryError, match="DevEUI range .* is used up"):
        commission(hub.bench(take=True), board.port, for_asset("L2"))


def test_nothing_answers(hub):
    hub.list(LIST)
    board = hub.board("a")
    port = board.port
    board.power_off()
    with pytest.raises(NoAnswer):
        commission(hub.bench(), port, for_asset("L1"))
    assert standing(hub, "L1").id is None


def test_the_cable_is_pulled_and_it_goes_on(hub):
    hub.list(LIST)
    board = hub.board("a", LORA)

    def pull(step, fraction):
        if step == "settings":
            board.power_off()

    with pytest.raises(BorneError):
        commission(hub.bench(), board.port, for_asset("L1"), pull)
    assert standing(hub, "L1").state == "planned" and standing(hub, "L1").key_record
    board.power_on()
    assert board.wait_for(b"waiting 3 s for a host")
    assert commission(hub.bench(), board.port, for_asset("L1")).outcome == "provisioned"
    agree(hub, "L1", board)


def test_what_was_broken_off_is_told(hub):
    def told(*arguments):
        given = ["provision", *arguments, "--port", "/dev/ttyNONE", "--resume"]
        at = {"BORNE_REGISTRY": str(hub.folder / "registry.sqlite"), "BORNE_VAULT": str(hub.vault.path)}
        return CliRunner().invoke(app, given, env=at).stderr.splitlines()[0]

    hub.list(LIST)
    board = hub.board("a", LORA)
    assert told("L1") == "borne: L1: nothing was begun; the board that is plugged in is taken for it"
    assert told("--batch").startswith("borne: nothing was broken off;")

    def die(step, fraction):
        if step == "secrets":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commission(hub.bench(), board.port, for_asset("L1"), die)
    begun = f"was broken off: reserved, its key is in the vault; plug in the board with MAC {board.mac.hex()}"
    assert told("L1") == told("--batch", "--site", "S") == f"borne: L1: {begun}, and the rest is done"
    assert commission(hub.bench(), board.port, for_asset("L1")).outcome == "provisioned"
    assert told("L1") == "borne: L1: was provisioned; the board is compared with the registry"
    hub.list(LIST.replace("Rue de l'Église", "Quai"))
    assert "was provisioned, and its row was changed since;" in told("L1")


def test_done_and_not_recorded_is_recorded(hub):
    """As when the computer dies between the node's last answer and the registry's last word."""
    hub.list(LIST)
    board = hub.board("a", LORA)

    def die(step, fraction):
        if step == "record":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        commission(hub.bench(), board.port, for_asset("L1"), die)
    assert standing(hub, "L1").state == "planned"
    done = commission(hub.bench(), board.port, for_asset("L1"))
    assert (done.outcome, done.key) == ("recorded", "kept")
    agree(hub, "L1", board)
    assert events(hub, "L1").count("key") == 1


def test_the_self_test_of_a_node_without_its_sensors(hub):
    hub.list(LIST)
    board = hub.board("a", LORA)
    done = commission(hub.bench(self_test=True), board.port, for_asset("L1"))
    said = {one.name: one.ok for one in done.checks}
    assert said["firmware"] and said["board"] and said["settings"]
    assert not done.is_sound
    agree(hub, "L1", board)
    with hub.registry.reading() as db:
        last = list(status.history_of(db, standing(hub, "L1").asset_id))[-1]
    assert last["event"] == "self-test" and last["detail"] != "passed"
    # Until it passes, a second run tests it again.
    again = commission(hub.bench(self_test=True), board.port, for_asset("L1"))
    assert (again.outcome, again.is_sound) == ("already so", False)
    batch = Batch(hub.bench(self_test=True), "S", None, [board.port])
    batch.run()
    assert (batch.tally().done, batch.tally().failed) == (0, 1)
    hub.list(LIST.replace("Rue de l'Église", "Quai"))
    batch = Batch(hub.bench(self_test=True), "S", None, [board.port])
    batch.run()
    assert (batch.tally().done, batch.tally().failed) == (0, 1)


def test_the_first_of_the_list_goes_first_whatever_is_reserved(hub):
    hub.list(LIST)
    with hub.registry.writing() as db:
        nodes.reserve(db, nodes.get(db, "L1"), "0" * 12, None, None, hub.bench().stamp())
        assert next_free("S", None)(db, "0" * 12).asset.asset == "L1"
        assert next_free("S", None)(db, "1" * 12).asset.asset == "L2"
        assert nodes.count_unfinished(db, assets.Filter(site="S")) == 2


def borne(hub, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "borne", "provision", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={
            **os.environ,
            "BORNE_REGISTRY": str(hub.folder / "registry.sqlite"),
            "BORNE_VAULT": str(hub.vault.path),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            **environment,
        },
    )


def test_the_first_report_is_waited_for(hub):
    """By Wi-Fi, over a broker that all nodes share an account of; with nothing to hear it says so."""
    with EmbeddedBroker() as broker:
        broker.allow("all", "canary", everything=True)
        url = f"mqtt://all@{broker.host}:{broker.port}"
        hub.list(BINS, Site("S", wifi_ssid="Mairie", mqtt=url, ntp_host="ntp"))
        board = hub.board("a", WIFI, access_points={"Mairie": "open sesame"})
        given = ["B1", "--port", board.port, "--uplink", url, "--no-self-test"]
        passwords = {"BORNE_WIFI_PASSWORD": "open sesame", "BORNE_MQTT_PASSWORD": "canary"}
        done = borne(hub, *given, **passwords)
        assert done.returncode == 0, done.stderr
        assert "first report  health after" in done.stderr
        assert standing(hub, "B1").state == "seen"
        hub.list(BINS.replace("1500", "1600"))
        board.power_off()
        board.power_on()
        assert board.wait_for(b"waiting 3 s for a host")
        deaf = {**passwords, "BORNE_WIFI_PASSWORD": "another one"}
        done = borne(hub, *given, "--wait", "1", **deaf)
        assert done.returncode == 1 and "none within 1 s: is it registered" in done.stderr
        done = borne(hub, *given, "--uplink", "mqtt://127.0.0.1:1", **passwords)
        assert done.returncode == 1 and "cannot be reached" in done.stderr


def test_without_the_fleets_libraries_one_line_says_what_is_missing():
    code = "import sys; sys.modules['sqlalchemy'] = None; sys.argv[1:] = {!r}; from borne.cli import main; main()"
    command = [sys.executable, "-c", code.format(["provision", "L1", "--port", "/dev/ttyNONE"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "borne: provision ASSET needs sqlalchemy: pip install 'borne[fleet]'\n"


def test_the_command(hub):
    hub.list(LIST)
    board = hub.board("a", LORA)
    done = borne(hub, "L1", "--port", board.port, "--no-self-test")
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.startswith(f"L1: provisioned on {board.port}\n") and "read back and equal" in done.stdout
    )
    done = borne(hub, "L1", "--port", board.port, "--resume")
    assert done.stdout.startswith("L1: already so (MAC ")
    done = borne(hub, "--batch", "--site", "S", "--port", board.port, "--json")
    assert '"outcome": "already so"' in done.stdout
    for arguments in (
        ["L9", "--port", board.port],
        ["L1", "--port", "/dev/ttyNONE"],
        ["L1", "--batch"],
        ["L1", "--port", board.port, "--identity", "/none"],
        ["--port", board.port],
        ["--batch", "--site", "T"],
    ):
        done = borne(hub, *arguments)
        assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("borne: ")
    assert done.stderr == "borne: site T: no asset of the list is there; sites that have some: S\n"
