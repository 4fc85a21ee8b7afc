"""`borne fleet label` and `borne fleet register` on registry and vault: the list in, labels and registrations out."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from things_stack_server import TOKEN, ThingsStackServer
from typer.testing import CliRunner

from borne.cli.fleet import fleet
from borne.errors import VaultError
from borne.fleet import vault
from borne.fleet.labels import tr005
from borne.fleet.model import Asset
from borne.fleet.registry import Stamp, assets, nodes, open_registry, sites, status
from borne.fleet.replacing import replace
from borne.fleet.vault import identities

AT = Stamp(1_800_000_000)


class Town:
    """A registry of four lamps and a container, of which three have boards with keys; and The Things Stack."""

    def __init__(self, folder: Path, server: ThingsStackServer) -> None:
        self.folder, self.server = folder, server
        identity = identities.new()
        (folder / "me.txt").write_text(identity.revealed())
        (folder / "me.txt").chmod(0o600)
        self.vault = vault.create(folder / "vault", recipients=[identity.recipient])
        self.keys: dict[str, bytes] = {}
        with open_registry(str(folder / "town.db")).writing() as db:
            listed = [
                Asset(f"L{n}", "light", network="ville", latitude=48.1, longitude=-1.6) for n in range(4)
            ]
            listed.append(Asset("B1", "fill", link="wifi", network="wifi", settings={"depth_mm": 1500}))
            assets.add(db, listed, AT)
        for number, asset in enumerate(("L0", "L1", "B1")):
            self.board(asset, f"240ac401020{number}")
        (folder / "token").write_text(TOKEN)
        (folder / "token").chmod(0o600)
        (folder / "networks.toml").write_text(
            f'[ville]\ntype = "tts"\nurl = "{server.url}"\napplication = "ville-capteurs"\ntoken_file = "token"\n'
            '[wifi]\ntype = "mosquitto"\npasswords = "passwords"\nacl = "acl"\n'
        )

    def board(self, asset: str, mac: str) -> None:
        """As `borne provision` leaves it: a board reserved, a key in the vault."""
        with open_registry(str(self.folder / "town.db")).writing() as db:
            at = nodes.get(db, asset)
            radio = at.asset.link == "lorawan"
            nodes.reserve(
                db, at, mac, f"{mac[:6]}fffe{mac[6:]}" if radio else None, "0" * 16 if radio else None, AT
            )
            self.keys[asset] = os.urandom(16) if radio else os.urandom(10).hex().encode()
            record = self.vault.issue(mac, "app_key" if radio else "mqtt_password", self.keys[asset])
            print_ = vault.fingerprint(self.keys[asset])
            nodes.key_issued(db, nodes.get(db, asset), record, print_, AT)

    def run(self, *arguments: str, locked: bool = False) -> Any:
        given = [*arguments, "--registry", str(self.folder / "town.db")]
        if arguments[0] == "register":
            given += ["--networks", str(self.folder / "networks.toml"), "--vault", str(self.folder / "vault")]
            given += [] if locked else ["--identity", str(self.folder / "me.txt")]
        return CliRunner().invoke(fleet, given)

    def history(self, asset: str) -> list[str]:
        with open_registry(str(self.folder / "town.db")).reading() as db:
            lines = status.history_of(db, nodes.get(db, asset).asset_id)
            return [line["detail"] for line in lines if line["event"] == "registered"]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with ThingsStackServer() as server:
        yield Town(tmp_path, server)


def test_keys_go_from_the_vault_to_the_network_and_nowhere_else(
    town: Town, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    found = town.run("register", "--network", "ville")
    assert found.exit_code == 0, found.exception
    assert "ville: 2 created, 2 no node yet" in found.stderr
    for asset in ("L0", "L1"):
        (device,) = [one for one in town.server.registries["is"].values() if one["name"] == asset]
        name = device["ids"]["device_id"]
        key = town.server.registries["js"][name]["root_keys"]["app_key"]["key"]
        assert key == town.keys[asset].hex().upper()
        assert town.history(asset) == ["ville: device, key, network server, application server"]
    assert town.history("L2") == []
    again = town.run("register", "--network", "ville", "--who", "Ada")
    assert "ville: 2 same, 2 no node yet" in again.stderr and len(town.history("L0")) == 1
    said = found.stdout + found.stderr + again.stdout + again.stderr + caplog.text
    for path in (path for path in town.folder.rglob("*") if path.is_file() and path.name != "me.txt"):
        content = path.read_bytes()
        for secret in town.keys.values():
            assert secret not in content and secret.hex().encode() not in content.lower(), path
    assert not [secret for secret in town.keys.values() if secret.hex() in said.lower()]


def test_a_broker_gets_its_passwords_from_the_vault(town: Town) -> None:
    found = town.run("register", "--network", "wifi")
    assert "wifi: 1 created" in found.stderr, found.exception
    assert stat.S_IMODE((town.folder / "passwords").stat().st_mode) == 0o600
    assert "wifi: 1 same" in town.run("register", "--network", "wifi").stderr
    assert town.history("B1") == ["wifi: password"]


def test_a_locked_vault_is_said_before_the_server_is_asked(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(identities.PASSPHRASE_VARIABLE, raising=False)
    found = town.run("register", "--network", "ville", locked=True)
    assert isinstance(found.exception, VaultError) and "give --identity" in str(found.exception)
    assert town.server.faults.calls == []


def test_a_replaced_board_is_registered_and_the_old_one_is_told(town: Town) -> None:
    town.run("register", "--network", "ville")
    replace(open_registry(str(town.folder / "town.db")), "L0", "water", AT)
    town.board("L0", "240ac4010209")
    found = town.run("register", "--network", "ville")
    assert "ville: 1 created, 1 same, 2 no node yet, 1 unknown" in found.stderr
    assert len(town.server.registries["is"]) == 3


def test_what_a_site_says_holds_for_those_that_say_nothing(town: Town) -> None:
    """Network and frequency plan of the site, as `borne provision` takes them from there."""
    with open_registry(str(town.folder / "town.db")).writing() as db:
        for n, asset in enumerate(("S0", "S1")):
            assets.add(db, [Asset(asset, "light", site="Sud", link=("lorawan", "wifi")[n])], AT)
        sites.put(db, sites.Site("Sud", region="US915", network="ville"))
    town.board("S0", "240ac4010209")
    listed = [
        json.loads(line) for line in town.run("list", "--json", "--network", "ville").stdout.splitlines()
    ]
    told = {one["asset"]: (one["network"], one["region"]) for one in listed}
    assert told == {"S0": ("ville", "US915")} | {f"L{n}": ("ville", None) for n in range(4)}
    assert "US915" in town.run("show", "S0").stdout
    done = town.run("register", "--network", "ville")
    assert done.exit_code == 0 and "ville: 3 created" in done.stderr, done.output
    plans = {one["frequency_plan_id"] for one in town.server.registries["ns"].values()}
    assert plans == {"EU_863_870_TTN", "US_902_928_FSB_2"}


def test_labels_of_what_is_there(town: Town) -> None:
    out = town.folder / "labels.pdf"
    found = town.run("label", "-o", str(out))
    assert found.exit_code == 0, found.exception
    assert "3 labels L7160" in found.stderr and "2 assets have no node yet" in found.stderr
    with pypdfium2.PdfDocument(io.BytesIO(out.read_bytes())) as pages:
        read = {one.text for one in zxingcpp.read_barcodes(pages[0].render(scale=300 / 72).to_pil())}
    with open_registry(str(town.folder / "town.db")).reading() as db:
        wanted = {tr005.text_of(nodes.get(db, asset).node) for asset in ("L0", "L1", "B1")}
    assert read == wanted
    assert "L2: its node has no DevEUI yet" in str(town.run("label", "L2", "-o", str(out)).exception)


def test_the_list_as_json_is_what_label_and_register_read(town: Town) -> None:
    listed = town.run("list", "--json")
    given = ["label", "--nodes", "-", "-o", str(town.folder / "a.pdf")]
    found = CliRunner().invoke(fleet, given, input=listed.stdout)
    assert found.exit_code == 0 and "3 labels" in found.stderr, found.exception
