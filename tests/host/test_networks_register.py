"""`borne fleet register`: networks.toml, tokens, keys, files, and what a wrong input says."""

from __future__ import annotations

import json
import logging
import re
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import real_brokers
from chirpstack_server import TENANT, ChirpStackServer
from chirpstack_server import TOKEN as CHIRPSTACK_TOKEN
from network_kit import key_of, lamp
from things_stack_server import TOKEN, ThingsStackServer
from typer import Typer
from typer.testing import CliRunner

from borne.cli.fleet.register import register as command
from borne.errors import NetworkError, UserError
from borne.fleet import nodes as exchange
from borne.fleet.model import Asset, Node
from borne.fleet.networks import config, errors

APP = Typer()
APP.command()(command)
NODES = [lamp(number, network="ville") for number in range(3)]


class Desk:
    """A folder with networks.toml, a token, keys and nodes; `run` is the command, and hears all that is said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("token", TOKEN + "\n")
        self.write("keys", "# ours\n" + "".join(f"{n.asset.asset} {key_of(n).decode()}\n" for n in NODES))
        self.nodes(NODES)

    def write(self, name: str, text: str, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def nodes(self, nodes: list[Node]) -> None:
        self.write("nodes", "".join(json.dumps(exchange.as_json(node)) + "\n" for node in nodes))

    def networks(self, text: str) -> None:
        self.write("networks.toml", text)

    def run(self, *arguments: str, network: str = "ville", keys: bool = True) -> Any:
        given = ["--network", network, "--networks", str(self.folder / "networks.toml")]
        given += [
            "--nodes",
            str(self.folder / "nodes"),
            *(["--keys", str(self.folder / "keys")] if keys else []),
        ]
        return CliRunner().invoke(APP, [*given, *arguments])


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def things_stack(url: str) -> str:
    return f'[ville]\ntype = "tts"\nurl = "{url}"\napplication = "ville-capteurs"\ntoken_file = "token"\n'


def test_a_street_is_registered_and_registered_again(desk: Desk) -> None:
    with ThingsStackServer() as server:
        desk.networks(things_stack(server.url))
        dry = desk.run("--dry-run")
        assert dry.exit_code == 0 and "3 would create" in dry.stderr and not server.registries["is"]
        first = desk.run()
        assert first.exit_code == 0 and "ville: 3 created" in first.stderr
        assert re.search(r"^created +LAMP-0000 +70b3d57ed0000000  device, key", first.stdout, re.MULTILINE)
        again = desk.run("--json")
        assert again.exit_code == 0 and "ville: 3 same" in again.stderr
        rows = [json.loads(line) for line in again.stdout.splitlines()]
        assert {row["action"] for row in rows} == {"same"} and set(rows[0]) == {
            "asset",
            "device",
            "action",
            "detail",
        }


def test_one_refused_makes_the_run_a_failure(desk: Desk) -> None:
    with ThingsStackServer() as server:
        desk.networks(things_stack(server.url))
        server.faults.rule = lambda name, content: (
            "refused" if "js/" in name and "0001" in name[-4:] else None
        )
        found = desk.run()
        assert found.exit_code == 1 and "2 created, 1 refused" in found.stderr
        assert key_of(NODES[1]).decode().upper() not in (found.stdout + found.stderr).upper()


def test_a_stranger_on_the_server_is_told_and_is_no_failure(desk: Desk) -> None:
    with ThingsStackServer() as server:
        desk.networks(things_stack(server.url))
        desk.run()
        desk.nodes(NODES[:2])
        found = desk.run("LAMP-0000")
        assert (
            found.exit_code == 0 and "1 same, 1 unknown" in found.stderr and len(server.registries["is"]) == 3
        )


def test_chirpstack_by_the_same_command(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BORNE_TOKEN_VILLE", CHIRPSTACK_TOKEN)
    with ChirpStackServer() as server:
        desk.networks(
            f'[ville]\ntype = "chirpstack"\nserver = "{server.target}"\ntls = false\ntenant = "{TENANT}"\n'
            'application = "street"\n'
        )
        assert "ville: 3 created" in desk.run().stderr
        assert len(server.devices) == 3


def test_servers_with_certificates_of_an_authority_of_the_towns_own(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = real_brokers.Authority(desk.folder)
    certificate, key, *_ = authority.issue("good", "localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    with ThingsStackServer(tls=context) as server:
        desk.networks(things_stack(server.url) + 'ca = "authority.pem"\n')
        assert "ville: 3 created" in desk.run().stderr
        # Without it, nothing is told to who merely claims to be the server.
        desk.networks(things_stack(server.url))
        found = desk.run()
        assert found.exit_code == 1 and "its certificate is not to be trusted" in found.stdout
    monkeypatch.setenv("BORNE_TOKEN_VILLE", CHIRPSTACK_TOKEN)
    with ChirpStackServer(tls=(key.read_bytes(), certificate.read_bytes())) as chirpstack:
        desk.networks(
            f'[ville]\ntype = "chirpstack"\nserver = "{chirpstack.target}"\ntenant = "{TENANT}"\n'
            'application = "street"\nca = "authority.pem"\n'
        )
        assert "ville: 3 created" in desk.run().stderr
        desk.networks((desk.folder / "networks.toml").read_text().replace('ca = "authority.pem"', ""))
        assert "its certificate is not to be trusted" in desk.run().stdout


def test_a_file_for_the_importer_is_for_its_owner_only(desk: Desk) -> None:
    desk.networks(
        things_stack("https://eu1.cloud.thethings.network") + '[park]\ntype = "thingpark"\nmodel = "M"\n'
    )
    for name in ("out.csv", "out.json"):
        found = desk.run("--file", str(desk.folder / name))
        assert found.exit_code == 0 and "3 written" in found.stderr and "delete it then" in found.stderr
        assert stat.S_IMODE((desk.folder / name).stat().st_mode) == 0o600
        assert key_of(NODES[0]).decode().upper() in (desk.folder / name).read_text()
    desk.nodes([lamp(number, network="park") for number in range(2)])
    found = desk.run("--file", str(desk.folder / "p.csv"), network="park")
    assert "2 written" in found.stderr and (desk.folder / "p.csv").read_text().startswith("CREATE_OTAA,")
    (desk.folder / "p.csv").unlink()
    desk.run("--file", str(desk.folder / "p.csv"), "--dry-run", network="park")
    assert not (desk.folder / "p.csv").exists()


def test_a_broker_by_its_files(desk: Desk) -> None:
    desk.networks('[ville]\ntype = "mosquitto"\npasswords = "etc/passwords"\nacl = "etc/acl"\n')
    desk.nodes([Node(Asset("BIN-1", "fill", link="wifi", network="ville"), "BIN-1")])
    desk.write("keys", "BIN-1 kerb stone with spaces\n")
    found = desk.run()
    assert found.exit_code == 0 and "systemctl reload mosquitto" in found.stderr
    assert (desk.folder / "etc/passwords").read_text().startswith("BIN-1:$7$101$")
    assert "1 same" in desk.run().stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no 'ville'"),
        ("ville = 3", "[ville] is no table"),
        ("[ville]\ntype = 'ttn'", "type is 'ttn'; known are tts"),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'", "application: is missing"),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 3", "application: is no text"),
        ("[ville]\ntype = 'tts'\nurl = 'x'\napplication = 'a'", "url: is no URL"),
        ("[ville]\ntype = 'tts'\nurl = 'https://u:planted@x'\napplication = 'a'", "has no place in it"),
        ("[ville]\ntype = 'tts'\nurl = 'http://x'\napplication = 'a'", "in clear text"),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'\naplication = 'a'", "did you mean 'application'"),
        (
            "[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 'a'\ntoken = 'planted'",
            "a secret has no place here",
        ),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 'a'\nrate = 'fast'", "rate: is no number"),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 'a'\nrate = -1", "rate: is not between"),
        (
            "[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 'a'\nfrequency_plans = {EU86 = 'x'}",
            "'EU868'",
        ),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 'a'", "set BORNE_TOKEN_VILLE"),
        ("[ville]\ntype = 'tts'\nurl = 'https://x'\napplication = 'a'\ntoken_file = 'none'", "No such file"),
        (
            "[ville]\ntype = 'chirpstack'\nserver = 'x'\ntenant = 't'\napplication = 'a'",
            "server: 'x' is not HOST:PORT",
        ),
        (
            "[ville]\ntype = 'chirpstack'\nserver = 'x:1'\ntls = false\ntenant = 't'\napplication = 'a'",
            "clear text",
        ),
        ("[ville]\ntype = 'thingpark'\nmodel = 'm'", "give --file"),
        ("[ville\ntoken = 'planted'", "is no TOML (at line 1"),
    ],
)
def test_wrong_networks_are_one_line(desk: Desk, text: str, reason: str) -> None:
    desk.networks(text)
    found = desk.run()
    assert isinstance(found.exception, UserError) and reason in str(found.exception), found.exception
    assert "\n" not in str(found.exception) and "planted" not in str(found.exception)


@pytest.mark.parametrize(
    ("name", "text", "mode", "reason"),
    [
        ("keys", "LAMP-0000\n", 0o600, "line 1: has no key"),
        ("keys", "A planted\na planted\n", 0o600, "line 2: names its node a second time"),
        ("keys", "A planted\n", 0o644, "is open to others: run `chmod 600"),
        ("token", TOKEN, 0o644, "is open to others"),
        ("token", "", 0o600, "token is missing or malformed"),
        ("token", "two\nlines planted", 0o600, "token is missing or malformed"),
        ("nodes", "", 0o600, "no node of the list belongs to 'ville'; none of them names a network"),
        ("nodes", '{"asset": "A", "kind": "light", "name": "A", "network": "x"}', 0o600, "they belong to x"),
    ],
)
def test_wrong_files_are_one_line(desk: Desk, name: str, text: str, mode: int, reason: str) -> None:
    desk.networks(things_stack("http://127.0.0.1:9"))
    desk.write(name, text, mode)
    found = desk.run()
    assert isinstance(found.exception, UserError) and reason in str(found.exception), found.exception
    assert "\n" not in str(found.exception) and "planted" not in str(found.exception)


def test_wrong_options_are_one_line(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.networks(things_stack("https://x"))
    for arguments, reason in (
        (["--file", str(tmp_path / "x.xml")], "takes a file as csv or json, not 'xml'"),
        (["LAMP-9"], "is no asset of the list"),
        (["--site", "x"], "there is no node at 'x'"),
    ):
        found = desk.run(*arguments)
        assert isinstance(found.exception, UserError) and reason in str(found.exception), found.exception
    monkeypatch.setenv("BORNE_VAULT", str(tmp_path / "vault"))
    assert "is not there; `borne fleet vault create` makes one" in str(desk.run(keys=False).exception)
    assert not (tmp_path / "x.xml").exists()


def test_a_node_without_a_key_is_refused_alone(desk: Desk) -> None:
    with ThingsStackServer() as server:
        desk.networks(things_stack(server.url))
        desk.write(
            "keys", f"LAMP-0001 {key_of(NODES[1]).decode()}\n70B3D57ED0000002 {key_of(NODES[2]).decode()}\n"
        )
        found = desk.run()
        assert found.exit_code == 1 and "2 created, 1 refused" in found.stderr
        assert re.search(r"^refused +LAMP-0000 .*has no key in", found.stdout, re.MULTILINE)


def test_planted_secrets_are_nowhere(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Not in what is said, not in logs, not in errors, not in files other than 0600, whatever goes wrong."""
    caplog.set_level(logging.DEBUG)
    said = ""
    for fault in (None, "refused", "denied"):
        with ThingsStackServer() as server:
            desk.networks(things_stack(server.url))
            server.faults.rule = lambda name, content, fault=fault: (
                fault if "PUT" in name and "devices" in name else None
            )  # type: ignore[misc]
            found = desk.run("--json")
            said += found.stdout + found.stderr + repr(found.exception)
    said += caplog.text
    assert "created" in said and "refused" in said and "failed" in said
    for secret in (TOKEN, *(key_of(node).decode() for node in NODES)):
        assert secret.upper() not in said.upper()
    for path in desk.folder.rglob("*"):
        if path.is_file() and any(key_of(node) in path.read_bytes().lower() for node in NODES):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "text",
    [
        "key 00112233445566778899AABBCCDDEEF7 is bad",
        "key 00-11-22-33-44-55-66-77-88-99-AA-BB-CC-DD-EE-F7",
        "key ABEiM0RVZneImaq7zN3u9w== x",
        "x" * 10 + "00112233445566778899aabbccddeef700112233445566778899aabbccddeef7",
        "token planted-token here",
    ],
)
def test_servers_words_are_scrubbed(text: str) -> None:
    found = errors.scrub(text, "planted-token")
    assert "112233" not in found and "11-22" not in found and "ABEiM0" not in found and "planted" not in found
    assert errors.scrub("device 70B3D57ED0000001\nis there") == "device 70B3D57ED0000001 is there"


def test_no_chirpstack_no_traceback(monkeypatch: pytest.MonkeyPatch, desk: Desk) -> None:
    monkeypatch.setitem(sys.modules, "chirpstack_api", None)
    monkeypatch.delitem(sys.modules, "borne.fleet.networks.chirpstack", raising=False)
    monkeypatch.setenv("BORNE_TOKEN_VILLE", "x")
    desk.networks('[ville]\ntype = "chirpstack"\nserver = "h:1"\ntenant = "t"\napplication = "a"\n')
    found = desk.run()
    assert isinstance(found.exception, UserError) and "pip install 'borne[chirpstack]'" in str(
        found.exception
    )


def test_ctrl_c_says_where_it_stands(desk: Desk) -> None:
    """As a process: the signal comes while the server is asked for the second node."""
    program = (
        "import os, signal, sys\n"
        "from borne.fleet.networks import plan\n"
        "from borne.cli.fleet.register import register\n"
        "whole = plan._one\n"
        "def one(backend, node, *more):\n"
        "    if node.name.endswith('1'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return whole(backend, node, *more)\n"
        "plan._one = one\n"
        "import typer\n"
        "app = typer.Typer(pretty_exceptions_enable=False); app.command()(register); app()\n"
    )
    with ThingsStackServer() as server:
        desk.networks(things_stack(server.url))
        folder = desk.folder
        given = [
            "--network",
            "ville",
            "--networks",
            str(folder / "networks.toml"),
            "--nodes",
            str(folder / "nodes"),
        ]
        given += ["--keys", str(folder / "keys")]
        done = subprocess.run(
            [sys.executable, "-c", program, *given], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 130
        assert "interrupted: 1 created; run it again, it goes on from here" in done.stderr
        assert "Traceback" not in done.stderr and len(server.registries["as"]) == 1
        assert "2 created, 1 same" in desk.run().stderr


def test_the_error_is_one_of_the_tree() -> None:
    assert issubclass(errors.Busy, NetworkError) and NetworkError.exit_code == 1
    assert config.EXPORTS["thingpark"] == ("csv",)


def test_the_page_shows_what_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text()
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "networks.toml").write_text(example)
    found = config.read(tmp_path / "networks.toml")
    assert {network.type for network in found.values()} == set(config.TYPES)
    (snippet,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    assert names["container"]["fillingLevel"]["value"] == 0.35
