from __future__ import annotations

import json
import stat

import pytest
from pty_board import PtyBoard
from typer.testing import CliRunner

from borne import boards, radio
from borne.cli import app
from borne.cli.key_file import KeyFile
from borne.errors import PortError, ReplError, SettingError
from borne.flashing import node
from borne.fleet import credentials, lorawan
from borne.fleet.provision import check, provision
from borne_node import secrets as node_secrets
from borne_node import settings as node_settings

KEY = b"000102030405060708090A0B0C0D0E0F"
RAW = bytes(range(16))
LIGHT = {"kind": "light", "name": "lamp-1", "link": "lorawan", "dev_eui": "70b3d57ed0123456"}


@pytest.fixture
def board(tmp_path):
    with PtyBoard(tmp_path / "board") as running:
        content = node.node_files(boards.load("ttgo-lora32-v21"))
        for name in ("version.json", "board.json"):
            (running.folder / name).write_bytes(content[name])
        yield running


def stored(board):
    path = board.folder / "settings.json"
    return node_settings.parse(path.read_bytes()) if path.exists() else None


def run(*arguments, **options):
    return CliRunner().invoke(app, ["provision", *arguments], **options)


def test_the_settings_of_one_link_are_refused_on_the_other():
    with pytest.raises(SettingError, match="wifi_ssid: is a setting of a wifi node only"):
        check({**LIGHT, "wifi_ssid": "s"}, {"app_key": KEY})
    with pytest.raises(SettingError, match="region: is a setting of a lorawan node only"):
        check(
            {"kind": "light", "name": "n", "wifi_ssid": "s", "mqtt_host": "h", "region": "EU868"},
            {},
        )


def test_defaults_of_a_lorawan_node():
    settings, secrets = check(LIGHT, {"app_key": KEY})
    assert secrets == {"app_key": RAW}
    assert settings["region"] == "EU868" and settings["fair_use_s"] == 30
    assert settings["join_eui"] == "0" * 16
    assert set(settings) == set(node_settings.names_of("light", "lorawan")) | {"version"}


def test_the_node_and_the_host_know_the_same_regions():
    assert sorted(node_settings.REGIONS) == sorted(radio.NAMES)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("dev_eui", {"dev_eui": "70b3d57ed012345"}),
        ("dev_eui", {"dev_eui": "70b3d57ed012345g"}),
        ("dev_eui", {"dev_eui": None}),
        ("region", {"region": "EU869"}),
        ("fair_use_s", {"fair_use_s": -1}),
        ("antenna_dbi", {"antenna_dbi": 2.5}),
    ],
)
def test_a_bad_setting_is_refused_by_name(field, change):
    with pytest.raises(SettingError, match=f"^{field}:"):
        check({**LIGHT, **change}, {"app_key": KEY})


@pytest.mark.parametrize("key", [KEY[:-1], KEY + b"0", b"x" * 32, RAW, b"00" * 16, b"ff" * 16])
def test_a_bad_key_is_refused_and_not_repeated(key):
    with pytest.raises(SettingError, match="^app_key: ") as caught:
        check(LIGHT, {"app_key": key})
    assert key.decode("latin-1") not in str(caught.value)


def test_each_link_has_its_secrets():
    with pytest.raises(SettingError, match="wifi_password: is no secret of a lorawan node"):
        check(LIGHT, {"app_key": KEY, "wifi_password": b"kerb stone"})
    with pytest.raises(SettingError, match="app_key: is no secret of a wifi node"):
        check({"kind": "light", "name": "n", "wifi_ssid": "s", "mqtt_host": "h"}, {"app_key": KEY})
    with pytest.raises(SettingError, match="app_key: is missing"):
        check(LIGHT, {})


def test_a_node_is_provisioned_for_lorawan(board):
    done = provision(board.port, LIGHT, {"app_key": KEY})
    settings = stored(board)
    assert settings["link"] == "lorawan" and settings["dev_eui"] == LIGHT["dev_eui"]
    assert board.nvs()[node_secrets.secret_key("app_key", done.slot)] == RAW


def test_a_board_that_lacks_a_pin_is_refused_before_anything_is_written(board):
    (board.folder / "board.json").write_bytes(boards.load("esp32-c3-devkitm").node_json())
    said = r"kind: the board on .* \(esp32-c3-devkitm\) has no pir for the presence sensor"
    with pytest.raises(SettingError, match=said):
        provision(board.port, LIGHT, {"app_key": KEY})
    assert stored(board) is None and not board.nvs()


def test_a_board_without_a_radio_is_refused_before_anything_is_written(board):
    (board.folder / "board.json").write_bytes(boards.load("esp32-devkitc").node_json())
    with pytest.raises(SettingError, match="link: the board on .* has no LoRa radio"):
        provision(board.port, LIGHT, {"app_key": KEY})
    assert stored(board) is None and not board.nvs()


def test_a_region_that_the_radio_is_not_built_for_is_refused(board):
    with pytest.raises(SettingError, match="region: EU433 lies at 433.175 to 434.665 MHz.*863 to 928"):
        provision(board.port, {**LIGHT, "region": "EU433"}, {"app_key": KEY})
    provision(board.port, {**LIGHT, "region": "US915"}, {"app_key": KEY})


def test_the_command_makes_an_identity_and_keeps_the_key_in_a_file(board, tmp_path):
    file = tmp_path / "lamp-1.key"
    common = ["-p", board.port, "--kind", "light", "--name", "lamp-1", "--link", "lorawan"]
    result = run(*common, "--new-app-key", str(file))
    assert result.exit_code == 0, result.output
    settings = stored(board)
    key = file.read_bytes().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert bytes.fromhex(key.decode()) == board.nvs()[node_secrets.secret_key("app_key", settings["slot"])]
    assert settings["dev_eui"].upper() in result.output
    assert key.decode().lower() not in result.output.lower()
    again = run(*common, "--new-app-key", str(file))
    assert isinstance(again.exception, SettingError) and "is there already" in str(again.exception)
    # The same key on the way back, from the file and from the environment.
    for arguments, environment in (
        (["--app-key-file", str(file)], {}),
        ([], {"BORNE_APP_KEY": key.decode()}),
    ):
        result = run(*common, "--dev-eui", "70-B3-D5-7E-D0-12-34-56", *arguments, "--json", env=environment)
        assert result.exit_code == 0, result.output
        settings = stored(board)
        assert json.loads(result.stdout)["slot"] == settings["slot"]
        assert settings["dev_eui"] == "70b3d57ed0123456"


def test_a_new_key_that_no_node_got_leaves_no_file(board, tmp_path):
    file = tmp_path / "lamp-1.key"
    rest = ["--kind", "light", "--name", "lamp-1", "--link", "lorawan", "--new-app-key", str(file)]
    result = run("-p", str(tmp_path / "none"), *rest)
    assert isinstance(result.exception, PortError) and not file.exists()
    result = run("-p", board.port, *rest, "--region", "EU433")
    assert isinstance(result.exception, SettingError) and not file.exists()
    result = run("-p", board.port, *rest)
    assert result.exit_code == 0 and file.exists()
    result = run("-p", board.port, *rest)
    assert f"is there already; to use the key in it: --app-key-file {file}" in str(result.exception)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ReplError])
@pytest.mark.parametrize("step", ["connect", "secrets", "settings", "restart"])
def test_the_file_of_a_new_key_is_there_as_long_as_a_node_may_have_it(step, failure, tmp_path, capsys):
    file = tmp_path / "lamp-1.key"
    steps = ("connect", "secrets", "settings", "restart")
    with pytest.raises(failure), KeyFile(file, KEY) as key:
        for one in steps[: steps.index(step) + 1]:
            assert file.exists() == (one in steps[2:])
            key.follow(one)
        raise failure
    said = capsys.readouterr().err
    if step in ("connect", "secrets"):
        assert not file.exists() and said == ""
    else:
        assert file.read_bytes() == KEY + b"\n" and stat.S_IMODE(file.stat().st_mode) == 0o600
        assert f"the node may have its new key, so {file} stays; go on with --app-key-file {file}" in said


def test_the_file_of_a_new_key_replaces_none(tmp_path):
    """One that somebody made between the check and the node's answer is not ours to remove either."""
    file = tmp_path / "lamp-1.key"
    with pytest.raises(SettingError, match="File exists"), KeyFile(file, KEY) as key:
        file.write_text("another's")
        key.follow("secrets")
    assert file.read_text() == "another's"


def test_a_new_key_whose_file_cannot_be_written_reaches_no_node(board, tmp_path):
    rest = ["-p", board.port, "--kind", "light", "--name", "lamp-1", "--link", "lorawan"]
    result = run(*rest, "--new-app-key", str(tmp_path / "none" / "lamp-1.key"))
    assert isinstance(result.exception, SettingError) and "No such file or directory" in str(result.exception)
    assert stored(board) is None and not board.nvs()


def test_what_is_missing_is_named():
    result = run("-p", "x", "--kind", "light", "--name", "n", "--wifi-ssid", "s")
    assert "mqtt: is missing" in str(result.exception)
    result = run("-p", "x", "--kind", "light", "--name", "n", "--mqtt", "mqtt://h")
    assert "wifi-ssid: is missing" in str(result.exception)
    result = run("-p", "x", "--kind", "light", "--name", "n", "--link", "lorawan")
    assert "app_key: is missing: give --app-key-file" in str(result.exception)


@pytest.mark.parametrize("option", ["--new-app-key", "--app-key-file"])
def test_an_app_key_is_no_secret_of_a_wifi_node(option, tmp_path):
    rest = ["--kind", "light", "--name", "n", "--wifi-ssid", "s", "--mqtt", "mqtt://h", "--wifi-open"]
    result = run("-p", "x", *rest, option, str(tmp_path / "key"))
    assert "a node by Wi-Fi has no AppKey; was --link lorawan meant?" in str(result.exception)


def test_new_identities_are_new_and_locally_administered():
    drawn = {lorawan.new_dev_eui() for _ in range(100)}
    assert len(drawn) == 100
    assert all(int(eui[:2], 16) & 3 == 2 for eui in drawn)
    keys = {lorawan.new_app_key() for _ in range(100)}
    assert len(keys) == 100
    assert {
        len(credentials.prepare(check(LIGHT, {"app_key": key})[0], {"app_key": key})["app_key"])
        for key in keys
    } == {16}


@pytest.mark.parametrize("given", ["70B3D57ED0123456", "70:b3:d5:7e:d0:12:34:56", "70b3.d57e.d012.3456"])
def test_an_eui_as_people_write_it(given):
    assert lorawan.eui("dev_eui", given) == "70b3d57ed0123456"
