"""Every command and every snippet of the README, as a reader would use them, on a virtual board and a real broker."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bench import decoding_size
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from borne import boards
from borne.virtual import SimClock, VirtualBoard, world
from borne.virtual.broker import EmbeddedBroker
from borne.virtual.street import nodes

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
SEED = 3
LIST = "asset;kind;link;rue;latitude;longitude;depth_mm\nBIN-9;conteneur;wifi;rue des Lilas;48,8566;2,3522;1200\n"
WIFI_PASSWORD, NODE_PASSWORD, TOWN_PASSWORD = "kerb stone", "lime tree 7", "town hall 1"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """One string a command; continued lines joined, comments dropped."""
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    return [line.split("  #")[0].split(" # ")[0].strip() for line in text.splitlines() if line.strip()]


@dataclass
class Desk:
    """A board on a cable, a broker, and a shell with our commands on its path."""

    board: VirtualBoard
    clock: SimClock
    broker: EmbeddedBroker
    folder: Path

    def shell(self, command: str) -> subprocess.Popen[str]:
        command = command.replace("/dev/ttyUSB0", self.board.port)
        command = command.replace("@broker.example", f"@{self.broker.host}:{self.broker.port}")
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
            "BORNE_MQTT_PASSWORD": TOWN_PASSWORD,
            "BORNE_REGISTRY": str(self.folder / "registry.sqlite"),
            "BORNE_VAULT": str(self.folder / "vault"),
            "BORNE_VAULT_PASSPHRASE": "four lime trees in a row",
        }
        return subprocess.Popen(
            command,
            shell=True,
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, command: str) -> str:
        process = self.shell(command)
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, f"{command}\n{output}"
        return output


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    for name, password in (("wifi.txt", WIFI_PASSWORD), ("mqtt.txt", NODE_PASSWORD)):
        (tmp_path / name).write_text(password + "\n")
        (tmp_path / name).chmod(0o600)
    (tmp_path / "ca.pem").write_bytes(certificate())
    clock = SimClock(world.START)
    asset = next(one for one in world.assets(SEED, 3) if one.kind == "fill")
    wiring = nodes.wiring(SEED, asset, boards.load("esp32-devkitc"), world.START)
    networks = {"town": WIFI_PASSWORD}
    with (
        EmbeddedBroker() as broker,
        VirtualBoard(tmp_path / "board", wiring=wiring, clock=clock, access_points=networks) as board,
    ):
        broker.allow("bin-7", NODE_PASSWORD)
        broker.allow("town", TOWN_PASSWORD, everything=True)
        board.power_on()
        yield Desk(board, clock, broker, tmp_path)


@contextmanager
def with_radio(desk: Desk) -> Iterator[Desk]:
    """The same desk with a board that has a LoRa radio on the cable."""
    kind = boards.load("ttgo-lora32-v21")
    asset = next(one for one in world.assets(SEED, 3) if one.kind == "fill")
    wiring = nodes.with_radio(nodes.wiring(SEED, asset, kind, world.START), kind, nodes.radio(kind))
    with VirtualBoard(desk.folder / "radio", wiring=wiring, clock=desk.clock) as board:
        board.power_on()
        yield replace(desk, board=board)


def message(payload: str, received: str, port: int = 30) -> str:
    """An uplink as The Things Stack hands it on."""
    body = base64.b64encode(bytes.fromhex(payload)).decode()
    up = {"f_port": port, "f_cnt": int(received[11:13]) + 1, "frm_payload": body}
    ids = {"dev_eui": "70B3D57ED0000001"}
    return json.dumps({"end_device_ids": ids, "received_at": received, "uplink_message": up}) + "\n"


def certificate() -> bytes:
    """A CA's certificate, PEM, as a town would hand it to its technicians."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "town")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(begin).not_valid_after(begin + timedelta(days=3650))
    signed = built.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def test_the_maker_sees_a_first_report(desk: Desk) -> None:
    names = ("boards", "ports", "flash", "provision", "listen")
    maker = [next(one for one in commands() if one.startswith(f"borne {name}")) for name in names]
    for command in maker[:4]:
        desk.run(command)
    with desk.shell(maker[4]) as listening:
        assert listening.stdout is not None
        assert "listening" in listening.stdout.readline()
        desk.clock.run_for(60)
        output, _ = listening.communicate(timeout=60)
    assert "bin-7" in output and "battery 3900 mV" in output, output


def test_a_living_node_is_looked_after(desk: Desk) -> None:
    desk.run(next(command for command in commands() if command.startswith("borne flash")))
    doctor, info, deploy = [
        command
        for command in commands()
        if command.startswith(("borne doctor", "borne info", "borne deploy"))
    ]
    assert "nothing in it is amiss" in desk.run(doctor)
    assert "firmware" in desk.run(info)
    assert "nothing was written" in desk.run(deploy)


def test_the_technician_changes_a_node(desk: Desk) -> None:
    flash, by_radio = [command for command in commands() if command.startswith("borne flash")]
    second, third = [command for command in commands() if command.startswith("borne provision --port")][1:]
    desk.run(flash)
    assert "rue-des-lilas-p1 is provisioned" in desk.run(second)
    assert "holds" in desk.run(next(command for command in commands() if command.startswith("borne budget")))
    with with_radio(desk) as other:
        other.run(by_radio)
        assert "bin-8 is provisioned" in other.run(third)
    key = desk.folder / "bin-8.key"
    assert key.stat().st_mode & 0o077 == 0


def test_the_technician_has_a_list(desk: Desk) -> None:
    (desk.folder / "bins.csv").write_text(LIST)
    fleet = [command for command in commands() if command.startswith(("borne fleet", "borne provision BIN"))]
    shown = [desk.run(command) for command in fleet]
    assert [command.split()[2] for command in fleet] == [
        "vault",
        "import",
        "site",
        "BIN-9",
        "label",
        "status",
    ]
    assert "provisioned" in shown[3] and "provisioned" in shown[5]
    assert "already so" in desk.run(fleet[3])
    assert (desk.folder / "label.pdf").read_bytes().startswith(b"%PDF")
    for path in (desk.folder / "vault").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_officer_checks_and_writes(desk: Desk) -> None:
    uplinks = "".join(message("7b5b9f03", f"2027-03-15T{hour:02}:02:00Z", 94) for hour in range(0, 24, 4))
    (desk.folder / "captured.ndjson").write_text(uplinks)
    (desk.folder / "bins.csv").write_text(LIST)
    desk.run(next(command for command in commands() if command.startswith("borne fleet import")))
    audit, record = [command for command in commands() if command.startswith("borne privacy")]
    assert "each window once" in desk.run(audit)
    assert "controller" in desk.run(record)
    assert (desk.folder / "documents" / "fr" / "notice-fill.pdf").exists()


def test_the_integrator_decodes(desk: Desk) -> None:
    (desk.folder / "uplinks.ndjson").write_text(message("7b5b9f", "2027-03-15T08:00:00.123456789Z"))
    shown = [
        desk.run(command) for command in commands() if "borne decode" in command or "borne codec" in command
    ]
    assert len(shown) == 4
    assert (desk.folder / "reports.parquet").stat().st_size > 0
    assert "decodeUplink" in (desk.folder / "borne.js").read_text()
    assert "55" in shown[0] and "level" in shown[0]
    assert shown[1].count("\n") == 2


@pytest.mark.parametrize("snippet", blocks("python"))
def test_snippets_run(snippet: str) -> None:
    exec(compile(snippet, "README.md", "exec"), {})


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    first = [command for command in commands() if command.startswith("make")]
    assert first == ["make run", "make test"]
    for command in first:
        subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, check=True, capture_output=True)


def test_no_command_is_left_out() -> None:
    tested = (
        "make",
        "borne boards",
        "borne ports",
        "borne flash",
        "borne provision",
        "borne fleet",
        "borne doctor",
        "borne info",
        "borne deploy",
        "borne listen",
        "borne decode",
        "borne codec",
        "borne budget",
        "borne privacy",
    )
    for command in commands():
        assert command.startswith(tested) or "| borne decode" in command, command


def test_the_tables_of_bytes_and_airtime_are_what_the_benchmark_measures() -> None:
    assert decoding_size.markdown() in README


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
