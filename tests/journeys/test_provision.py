"""borne provision as people run it, against virtual boards that run our firmware from their flash."""

from __future__ import annotations

import inspect
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from littlefs import LittleFS

from borne import boards
from borne.cli.provision import provision as command
from borne.cli.provision_options import at_broker as broker
from borne.errors import SettingError
from borne.flashing import node
from borne.virtual import VirtualBoard
from borne.virtual.nvs import Partition
from borne_node import secrets as node_secrets
from borne_node import settings as node_settings

BORNE = str(Path(sys.executable).with_name("borne"))
FILL = ["--kind", "fill", "--name", "bin-7", "--wifi-ssid", "Mairie", "--mqtt", "mqtt://broker.example"]
FILL += ["--depth-mm", "1500"]
READY = b"waiting 3 s for a host"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("BORNE_")}


def borne(*arguments, **environment):
    return subprocess.run(
        [BORNE, "provision", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        env={**CLEAN, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def flashed():
    """What `borne flash` leaves in a flash of 4 MB."""
    content = bytearray(b"\xff" * (4 << 20))
    for region in node.regions(boards.load("esp32-devkitc")):
        content[region.offset : region.offset + len(region.data)] = region.data
    return bytes(content)


@pytest.fixture
def board(tmp_path, flashed):
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "flash.bin").write_bytes(flashed)
    with VirtualBoard(folder) as running:
        running.power_on()
        # Not amid its boot, where a Ctrl-C lands before the filesystem is mounted.
        assert running.wait_for(READY)
        yield running


def stored(board):
    """Settings and secrets as they lie in the flash, read without our code's help."""
    flash = bytearray((board.folder / "flash.bin").read_bytes())
    system = LittleFS(block_size=4096, block_count=512, mount=False, name_max=255)
    system.context.buffer = flash[0x200000:]
    system.mount()
    settings = None
    if "settings.json" in system.listdir("/"):
        with system.open("/settings.json", "rb") as file:
            settings = json.loads(file.read())
    values = Partition(flash, 0x9000, 0x6000).values()
    return settings, {key: value for (space, key), value in values.items() if space == "borne"}


def refused(board, *arguments, code=2, **environment):
    before = stored(board)
    done = borne("--port", board.port, *arguments, **environment)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines()[-1].startswith("borne: ")
    assert "Traceback" not in done.stderr
    assert stored(board) == before
    return done.stderr


def test_a_flashed_board_becomes_a_provisioned_node(board):
    assert board.wait_for(READY)
    board.forget_printed()
    place = "12, rue de l'Église"
    done = borne("--port", board.port, *FILL, "--place", place, BORNE_WIFI_PASSWORD="correct horse")
    assert done.returncode == 0
    assert "fill node bin-7 is provisioned" in done.stdout
    settings, secrets = stored(board)
    assert settings["place"] == place
    assert settings["mqtt_host"] == "broker.example"
    assert settings["depth_mm"] == 1500
    assert secrets == {"wifi_pw.a": b"correct horse"}
    assert "correct horse" not in done.stdout + done.stderr
    assert board.wait_for(READY)


def test_the_result_as_json_and_a_second_time_in_the_other_slot(board):
    for slot in ("a", "b"):
        done = borne("--port", board.port, *FILL, "--json", BORNE_WIFI_PASSWORD=f"password {slot}")
        result = json.loads(done.stdout)
        assert (result["name"], result["kind"], result["slot"]) == ("bin-7", "fill", slot)
        assert done.stderr == ""
        settings, secrets = stored(board)
        assert settings["slot"] == slot
        assert secrets == {f"wifi_pw.{slot}": f"password {slot}".encode()}


def test_an_open_network(board):
    assert borne("--port", board.port, *FILL, "--wifi-open").returncode == 0
    assert stored(board)[1] == {}


def test_passwords_from_files(board, tmp_path):
    files = {"wifi": tmp_path / "wifi", "mqtt": tmp_path / "mqtt"}
    for name, path in files.items():
        path.write_text(f"{name} password\n")
        path.chmod(0o600)
    with_user = [part.replace("mqtt://", "mqtt://caf%C3%A9@") for part in FILL]
    options = ["--wifi-password-file", files["wifi"], "--mqtt-password-file", files["mqtt"]]
    assert borne("--port", board.port, *with_user, *options).returncode == 0
    settings, secrets = stored(board)
    assert settings["mqtt_user"] == "café"
    assert secrets == {"wifi_pw.a": b"wifi password", "mqtt_pw.a": b"mqtt password"}


def test_a_secrets_file_open_to_others_is_refused(board, tmp_path):
    path = tmp_path / "secrets.toml"
    path.write_text('wifi_password = "hunter2 hunter2"')
    path.chmod(0o644)
    assert "chmod 600" in refused(board, *FILL, "--secrets-file", path)
    path.chmod(0o600)
    assert borne("--port", board.port, *FILL, "--secrets-file", path).returncode == 0
    assert stored(board)[1] == {"wifi_pw.a": b"hunter2 hunter2"}


def test_on_a_terminal_the_password_is_asked_for_and_not_shown(board):
    child, terminal = pty.fork()
    if child == 0:
        os.execve(BORNE, [BORNE, "provision", "--port", board.port, *FILL], CLEAN)
    shown = b""
    while b"wifi password: " not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"correct horse\n")
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:
            break
        shown += chunk
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert b"correct horse" not in shown
    assert stored(board)[1] == {"wifi_pw.a": b"correct horse"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--wifi-open", "--kind", "fil"], "kind: 'fil' is unknown; did you mean 'fill'?"),
        (["--wifi-open", "--depth-mm", "9"], "depth_mm: must lie between 300 and 5000"),
        (["--wifi-open", "--name", "a b"], "name: must not hold ' '"),
        (["--wifi-open", "--bays", "2"], "bays: is a setting of a parking node only"),
        (["--wifi-open", "--kind", "light"], "depth_mm: is a setting of a fill node only"),
        (["--wifi-open", "--mqtt", "http://x"], "mqtt: is no URL"),
        (["--wifi-open", "--mqtt", "mqtts://x"], "mqtt_ca: is missing"),
        (["--wifi-open", "--mqtt", "mqtt://u@x"], "mqtt_password: is missing"),
        ([], "wifi_password: is missing: give --wifi-password-file, set BORNE_WIFI_PASSWORD"),
    ],
)
def test_malformed_settings_name_the_field_and_nothing_is_written(board, arguments, says):
    assert says in refused(board, *FILL, *arguments)


def test_a_missing_setting_names_the_field(board):
    without = [part for part in FILL if part not in ("--depth-mm", "1500")]
    assert "depth_mm: is missing" in refused(board, *without, "--wifi-open")


def test_a_password_in_a_url_is_refused_and_not_repeated(board):
    said = refused(board, *FILL, "--wifi-open", "--mqtt", "mqtt://u:hunter2@x")
    assert "BORNE_MQTT_PASSWORD" in said
    assert "hunter2" not in said


def test_no_option_takes_a_password():
    options = borne("--help", COLUMNS="200").stdout
    assert "--wifi-password-file" in options
    assert "--wifi-password " not in options
    assert borne("--wifi-password", "x").returncode == 2


def test_a_bare_board_is_told_to_be_flashed(tmp_path):
    with VirtualBoard(tmp_path / "bare") as bare:
        bare.power_on()
        done = borne("--port", bare.port, *FILL, "--wifi-open")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"borne: {bare.port}: ")


def test_a_cable_pulled_in_the_middle_changes_nothing_and_the_next_time_it_works(board):
    board.line.fault(cut_after=1500)
    said = refused(board, *FILL, "--wifi-open", code=1)
    assert "the link broke: check the cable and try again" in said
    board.replug()
    assert borne("--port", board.port, *FILL, "--wifi-open").returncode == 0
    assert stored(board)[0]["name"] == "bin-7"


WORN = b"""\
import esp32
class Worn(esp32.NVS):
    def set_blob(self, key, value):
        super().set_blob(key, bytes([value[0] ^ 1]) + bytes(value)[1:])
esp32.NVS = Worn
"""


def test_read_back_that_differs_is_an_error_and_the_old_configuration_stands(board):
    """A flash cell of the secret's slot that flips between the write and the comparison."""
    from borne.errors import ReadBackError
    from borne.flashing.repl import Repl
    from borne.fleet.provision import provision

    settings = {"kind": "fill", "name": "n", "wifi_ssid": "w", "mqtt_host": "h", "depth_mm": 1000}
    provision(board.port, settings, {"wifi_password": b"old password"}, restart=False)
    before = stored(board)
    with Repl(board.port) as on_board:
        # The board's own NVS from now on stores another value than it is given.
        on_board.write_file("boot.py", WORN)
    with pytest.raises(ReadBackError, match="wifi_password on the node is not what was written"):
        provision(board.port, {**settings, "name": "new"}, {"wifi_password": b"new password"})
    settings_now, secrets_now = stored(board)
    assert settings_now == before[0]
    assert secrets_now["wifi_pw.a"] == b"old password"


def test_every_setting_has_an_option():
    options = set(inspect.signature(command).parameters)
    derived = {*broker("mqtts://user@host:1"), "slot"}
    assert set(node_settings.NAMES) - derived <= options
    for name in node_secrets.SECRETS:
        assert name in options or f"{name}_file" in options


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", ("h", 1883, False, "")),
        ("mqtts://h", ("h", 8883, True, "")),
        ("mqtt://u@h:99/", ("h", 99, False, "u")),
        ("mqtt://a%40b@[::1]:1", ("::1", 1, False, "a@b")),
    ],
)
def test_broker_urls(url, expected):
    assert tuple(broker(url).values()) == expected


@pytest.mark.parametrize(
    "url", ["mqtt://", "mqtt://h:x", "mqtt://h:99999", "mqtt://h/topic", "mqtt://h?x=1", "ws://h"]
)
def test_what_is_no_broker_url(url):
    with pytest.raises(SettingError, match="mqtt: is no URL"):
        broker(url)
