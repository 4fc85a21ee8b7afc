from __future__ import annotations

import contextlib
import hashlib
import json

import pytest
from pty_board import PtyBoard

from borne import boards
from borne.errors import BorneError, NoAnswer, ReadBackError, ReplError, SettingError
from borne.flashing import node
from borne.fleet import provision as room
from borne.fleet.provision import provision
from borne_node import secrets as node_secrets
from borne_node import settings as node_settings

FILL = {
    "kind": "fill",
    "name": "bin-7",
    "wifi_ssid": "Mairie",
    "mqtt_host": "broker.example",
    "depth_mm": 1500,
}
OPEN = {}
SECRETS = {"wifi_password": b"correct horse", "mqtt_password": b"pa\0ss\xff"}
WITH_USER = {**FILL, "mqtt_user": "bin-7"}


@pytest.fixture
def board(tmp_path):
    with PtyBoard(tmp_path / "board") as running:
        version = node.node_files(boards.load("esp32-devkitc"))["version.json"]
        (running.folder / "version.json").write_bytes(version)
        yield running


def configuration(board):
    """What a node would start with: its settings and the secrets of the slot that they name."""
    path = board.folder / "settings.json"
    if not path.exists():
        return None
    settings = node_settings.parse(path.read_bytes())
    nvs = board.nvs()
    keys = {name: node_secrets.secret_key(name, settings["slot"]) for name in node_secrets.SECRETS}
    return settings, {name: nvs[key] for name, key in keys.items() if key in nvs}


def refusal(settings, secrets=OPEN, port="/dev/ttyNONE"):
    """Refused before the port is even opened."""
    with pytest.raises(SettingError) as caught:
        provision(port, settings, secrets)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_settings_and_secrets_arrive_and_the_node_is_restarted(board):
    steps = []
    done = provision(board.port, {**WITH_USER, "place": "12, rue de l'Église"}, SECRETS, steps.append)
    settings, secrets = configuration(board)
    assert settings == node_settings.validate({**WITH_USER, "place": "12, rue de l'Église", "slot": "a"})
    assert secrets == SECRETS
    raw = (board.folder / "settings.json").read_bytes()
    assert raw == node_settings.canonical(settings)
    assert done == room.Provisioned(
        board.port, "bin-7", "fill", done.firmware, "a", hashlib.sha256(raw).hexdigest()
    )
    assert steps == ["connect", "secrets", "settings", "restart"]
    provision(board.port, FILL, OPEN)
    assert board.resets >= 1


def test_an_open_network_leaves_no_password(board):
    provision(board.port, FILL, OPEN)
    assert configuration(board)[1] == {}
    assert board.nvs() == {}


def test_the_slots_alternate_and_the_old_one_is_wiped(board):
    for turn, slot in enumerate("abab"):
        password = f"password {turn}".encode()
        assert provision(board.port, FILL, {"wifi_password": password}).slot == slot
        assert board.nvs() == {f"wifi_pw.{slot}": password}


def test_secrets_that_are_gone_are_gone(board):
    provision(board.port, WITH_USER, SECRETS)
    provision(board.port, FILL, OPEN)
    assert board.nvs() == {}


def test_leftovers_of_a_slot_do_not_come_alive_again(board):
    provision(board.port, WITH_USER, SECRETS, restart=False)
    (board.folder.parent / "nvs.json").write_text(json.dumps({"wifi_pw.b": b"left over".hex()}))
    provision(board.port, FILL, OPEN)
    assert configuration(board)[1] == {}


def test_a_corrupt_settings_file_on_the_node_is_replaced(board):
    (board.folder / "settings.json").write_bytes(b'{"slot":"z"')
    provision(board.port, FILL, {"wifi_password": b"12345678"})
    assert configuration(board)[1] == {"wifi_password": b"12345678"}


def test_other_files_stay(board):
    (board.folder / "main.py").write_bytes(b"pass")
    provision(board.port, FILL, OPEN)
    assert {path.name for path in board.folder.iterdir()} == {"main.py", "version.json", "settings.json"}


def test_a_board_without_our_firmware_is_told_to_be_flashed(tmp_path):
    with PtyBoard(tmp_path / "bare") as bare, pytest.raises(ReplError, match="flash the board first"):
        provision(bare.port, FILL, OPEN)


def test_firmware_of_another_settings_form_is_told_to_be_flashed(board):
    (board.folder / "version.json").write_bytes(b'{"borne_node":"9.0.0","settings":99}')
    with pytest.raises(ReplError, match=r"firmware 9\.0\.0 takes settings of form 99"):
        provision(board.port, FILL, OPEN)
    assert configuration(board) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "parkin"}, "kind: 'parkin' is unknown; did you mean 'parking'"),
        ({"dept_mm": 3}, "setting 'dept_mm' is unknown; did you mean 'depth_mm'"),
        ({"depth_mm": None}, "depth_mm: is missing"),
        ({"depth_mm": "1500"}, "depth_mm: is no whole number"),
        ({"depth_mm": 9}, "depth_mm: must lie between"),
        ({"name": "a/b"}, "name: must not hold '/'"),
        ({"name": None}, "name: is missing"),
        ({"wifi_ssid": "x" * 33}, "wifi_ssid: must have 1 to 32 bytes"),
        ({"bays": 3}, "bays: is a setting of a parking node only"),
        ({"slot": "b"}, "slot: is chosen by provisioning"),
        ({"wifi_password": "12345678"}, "wifi_password: is a secret"),
    ],
)
def test_malformed_settings_are_refused_by_name_before_the_port_is_opened(change, says):
    settings = {name: value for name, value in {**FILL, **change}.items() if value is not None}
    assert says in refusal(settings)


def test_nothing_is_written_when_a_setting_is_malformed(board):
    refusal({**FILL, "depth_mm": 9}, SECRETS, board.port)
    assert board.sent == 0
    assert board.nvs() == {}


def test_nothing_is_written_when_a_secret_is_malformed(board):
    assert "wifi_password: must have 8" in refusal(FILL, {"wifi_password": b"short"}, board.port)
    assert board.sent == 0


def test_a_secret_garbled_on_the_way_is_noticed_and_the_old_configuration_stands(board):
    provision(board.port, FILL, {"wifi_password": b"old password"}, restart=False)
    before = configuration(board)
    # base64 of "new password": one letter of it arrives as another.
    port = board.plug(garble=(b"bmV3IHBh", b"bmV3IHBi"))
    with pytest.raises(ReadBackError, match="wifi_password on the node is not what was written; its old"):
        provision(port, {**FILL, "name": "other"}, {"wifi_password": b"new password"})
    assert configuration(board) == before
    # It was not left standing at its prompt.
    provision(board.plug(), FILL, OPEN, restart=False)
    assert board.resets == 1


def test_settings_garbled_on_the_way_are_noticed_and_the_old_configuration_stands(board):
    provision(board.port, FILL, OPEN)
    before = configuration(board)
    port = board.plug(garble=(b"eyJjb250", b"eyJjb251"))
    with pytest.raises(ReadBackError, match=r"settings\.json on the board is not what was sent"):
        provision(port, {**FILL, "depth_mm": 2000}, OPEN)
    assert configuration(board) == before


def test_a_cable_pulled_anywhere_leaves_the_old_configuration_or_the_new_one(board):
    old = (FILL, {"wifi_password": b"old password"})
    new = ({**WITH_USER, "name": "new"}, SECRETS)
    provision(board.port, *old)
    provision(board.plug(), *new)
    total = board.sent
    seen = []
    for cut_after in (*range(20, total, total // 15), total + 1000):
        provision(board.plug(), *old)
        before = configuration(board)
        with contextlib.suppress(ReplError, NoAnswer):
            provision(board.plug(cut_after), *new)
        settings, secrets = configuration(board)
        assert (settings, secrets) == before or (settings["name"], secrets) == ("new", SECRETS)
        seen.append(settings["name"])
        provision(board.plug(), *new)
        assert configuration(board)[1] == SECRETS
        assert {key[-1] for key in board.nvs()} == {configuration(board)[0]["slot"]}
    # Old up to one point of the line, new behind it.
    assert seen == sorted(seen)
    assert set(seen) == {"bin-7", "new"}


def test_no_secret_is_in_any_error_or_repr(board):
    loud = {"wifi_password": b"hunter2 hunter2", "mqtt_password": b"hunter2"}
    errors = []
    for cut_after in range(1000, 7000, 600):
        try:
            done = provision(board.plug(cut_after), WITH_USER, loud)
            errors.append(repr(done))
        except BorneError as error:
            errors += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    for secrets in ({"wifi_password": b"hunter2"}, {"mqtt_key": b"hunter2"}, {"wifi_passwort": b"hunter2"}):
        errors.append(refusal(FILL, secrets))
    assert len(errors) > 10
    assert not [said for said in errors if "hunter2" in said or "aHVudGVyMi" in said]


def test_names_in_nvs_are_short_enough():
    # ESP-IDF, Non-Volatile Storage Library: keys have at most 15 characters.
    for name in node_secrets.SECRETS:
        for slot in node_secrets.SLOTS:
            assert len(node_secrets.secret_key(name, slot)) <= 15
