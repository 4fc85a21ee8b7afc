"""borne image as people run it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from borne import boards
from borne.flashing import node

BORNE = str(Path(sys.executable).with_name("borne"))
KEY = "5c1f9e07a2b64d83fe10c95a7723b1d6"
ROAD = 'kind = "parking"\nname = "bay-3"\nlink = "lorawan"\ndev_eui = "70b3d57ed0051c7a"\n'


def borne(*arguments, **environment):
    return subprocess.run(
        [BORNE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def road(tmp_path):
    (tmp_path / "node.toml").write_text(ROAD)
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(f'app_key = "{KEY}"\n')
    secrets.chmod(0o600)
    return "--settings", tmp_path / "node.toml", "--secrets-file", secrets


def test_a_bare_node_as_a_file(tmp_path):
    done = borne("image", "esp32-devkitc", "-o", tmp_path / "node.bin", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    data = (tmp_path / "node.bin").read_bytes()
    assert data == node.merge(node.regions(boards.load("esp32-devkitc")))
    assert json.loads(done.stdout)["bytes"] == len(data)
    assert [path.name for path in tmp_path.iterdir()] == ["node.bin"]


def test_a_file_with_keys_is_for_its_owner_only_warned_about_and_reproducible(tmp_path, road):
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    two.write_bytes(b"old and open")
    two.chmod(0o644)
    done = borne("image", "ttgo-lora32-v21", "-o", one, *road)
    assert done.returncode == 0
    assert f"{one} holds keys and passwords" in done.stderr
    assert "write-flash 0x0" in done.stdout
    again = borne("image", "ttgo-lora32-v21", "-o", two, *road[:2], BORNE_APP_KEY=KEY)
    assert again.returncode == 0
    assert one.read_bytes() == two.read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (one, two)] == [0o600, 0o600]
    assert KEY not in done.stdout + done.stderr + again.stdout + again.stderr


def test_esptool_reads_the_merged_file(tmp_path):
    """The bootloader where the chip looks for it, by esptool's own reading."""
    borne("image", "esp32-devkitc", "-o", tmp_path / "node.bin")
    (tmp_path / "boot.bin").write_bytes((tmp_path / "node.bin").read_bytes()[0x1000:0x8000])
    (tmp_path / "app.bin").write_bytes((tmp_path / "node.bin").read_bytes()[0x10000:0x200000])
    for name in ("boot.bin", "app.bin"):
        command = [sys.executable, "-m", "esptool", "image-info", str(tmp_path / name)]
        seen = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Validation hash" in seen.stdout
        assert "(valid)" in seen.stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--kind", "fil", "--name", "x"], "kind: 'fil' is unknown; did you mean 'fill'"),
        (["--kind", "light"], "name is missing|name: is missing"),
        (["--set", "depth_mm"], "is not of the form NAME=VALUE"),
        (["--set", "dept_mm=3"], "'dept_mm' is unknown; did you mean 'depth_mm'"),
        (["--settings", "nowhere.toml"], "settings file: nowhere.toml: No such file"),
        (["--secrets-file", "nowhere.toml"], "is of use with settings only"),
        (
            ["--kind", "light", "--name", "l", "--set", "wifi_ssid=x", "--set", "mqtt=mqtt://a:b@c"],
            "others on this computer can read a password",
        ),
        (["-o", "/nowhere/at/all.bin"], "No such file or directory"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(tmp_path, options, says):
    done = borne("image", "esp32-devkitc", "-o", tmp_path / "node.bin", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert any(part in done.stderr for part in says.split("|"))
    assert not list(tmp_path.iterdir())


def test_settings_on_the_command_line(tmp_path):
    given = [
        "wifi_ssid=Mairie",
        "mqtt=mqtts://bin@broker.example",
        "depth_mm=1500",
        "place=12, rue de l'Église",
    ]
    options = [part for pair in given for part in ("--set", pair)]
    done = borne(
        "image", "esp32-devkitc", "-o", tmp_path / "node.bin", "--kind", "fill", "--name", "b", *options
    )
    assert done.returncode == 2
    # Everything was taken; only the certificate of the broker is still missing.
    assert "mqtt_ca: is missing" in done.stderr
