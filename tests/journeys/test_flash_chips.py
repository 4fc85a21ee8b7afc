"""borne flash of every chip, over every kind of line, as people run it; what lies in the flash afterwards is read with
tools that had no part in it: esptool's image-info, littlefs, and the virtual board's NVS.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import made_images
import pytest
from littlefs import LittleFS
from rom_board import RomBoard, patient_bootloader
from serial.tools import list_ports
from serial_server import Line, SerialServer

from borne import boards, cli
from borne.errors import BorneError
from borne.flashing import node
from borne.flashing.repl import Repl
from borne.virtual import VirtualBoard, desk
from borne.virtual.nvs import Partition

__all__ = ["patient_bootloader"]

BORNE = str(Path(sys.executable).with_name("borne"))
KEY = "5c1f9e07a2b64d83fe10c95a7723b1d6"
READY = b"waiting 3 s for a host"
NVS_AT, NVS_SIZE, APP_AT, VFS_AT = 0x9000, 0x6000, 0x10000, 0x200000
CHIPS = ["ttgo-lora32-v21", "lilygo-t3-s3", "esp32-c3-devkitm"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Images of our own making for every board, and a computer that has seen none of them before."""
    for name in CHIPS[1:]:
        made_images.put(tmp_path / "images", boards.load(name))
    monkeypatch.setenv("BORNE_IMAGES", str(tmp_path / "images"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "fill.toml").write_text(
        'kind = "fill"\nname = "bin-7"\nwifi_ssid = "desk"\nmqtt_host = "broker.example"\ndepth_mm = 1500\n'
    )
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('wifi_password = "correct horse"\n')
    secrets.chmod(0o600)
    return tmp_path


def borne(*arguments, **options):
    return subprocess.run(
        [BORNE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        **options,
    )


def files_of(flash):
    size = (len(flash) - VFS_AT) // 4096 * 4096
    system = LittleFS(block_size=4096, block_count=size // 4096, mount=False, name_max=255)
    system.context.buffer = bytearray(flash[VFS_AT:])
    system.mount()
    return {
        f"{folder}/{name}".lstrip("/"): system.open(f"{folder}/{name}", "rb").read()
        for folder, _, names in system.walk("/")
        for name in names
    }


def esptool_says(data, folder):
    (folder / "read-back.bin").write_bytes(data)
    command = [sys.executable, "-m", "esptool", "image-info", str(folder / "read-back.bin")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def assert_is_node(board, flash, folder, image):
    """Every byte of MicroPython, every file, every key; and nothing else."""
    base = board.silicon.bootloader
    made = image.read_bytes()
    for start, end in ((base, 0x9000), (APP_AT, base + len(made))):
        assert flash[start:end] == made[start - base : end - base]
    for at, most in ((base, 0x7000), (APP_AT, 0x1F0000)):
        said = esptool_says(flash[at : at + most], folder)
        assert said.count("(valid)") == 2
        assert f"Detected image type: {board.silicon.title}" in said
    assert Partition(bytearray(flash), NVS_AT, NVS_SIZE).values() == {
        ("borne", "wifi_pw.a"): b"correct horse"
    }
    found = files_of(flash)
    assert json.loads(found.pop("settings.json"))["name"] == "bin-7"
    assert found == node.node_files(board)


def image_of(board, home):
    return (
        (home / "images" / board.image_file)
        if board.chip != "esp32"
        else made_images.put(home / "esp32", board)
    )


@pytest.mark.parametrize("name", CHIPS)
def test_a_bare_board_of_each_chip_becomes_the_node_and_starts(home, name):
    board = boards.load(name)
    path = image_of(board, home)
    with VirtualBoard(home / "board", chip=board.chip, flash_size=board.flash_bytes) as bare:
        bare.power_on()
        options = ["--settings", home / "fill.toml", "--secrets-file", home / "secrets.toml", "--image", path]
        done = borne("flash", name, "--port", bare.port, *options, "--no-self-test", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        assert (told["ok"], told["board"], told["provisioned"]) == (True, name, True)
        assert told["mac"] == bare.mac.hex(":")
        assert "correct horse" not in done.stdout
        flash = (bare.folder / "flash.bin").read_bytes()
        assert_is_node(board, flash, home, path)
        assert bare.wait_for(READY)
        with Repl(bare.port) as running:
            assert b"bin-7" in running.read_file("settings.json")
        again = borne("flash", name, "--port", bare.port, "--image", path, "--no-self-test")
        assert "is complete already, nothing was written" in again.stdout
        saved = borne("backup", "--port", bare.port, "-o", home / "node.zip", "--json")
        assert json.loads(saved.stdout)["board"] == name


@pytest.mark.parametrize(("name", "rfc2217"), [("lilygo-t3-s3", False), ("esp32-c3-devkitm", True)])
def test_over_the_network(home, name, rfc2217):
    board = boards.load(name)
    with RomBoard(board.chip) as bare, SerialServer(Line(bare.port), rfc2217=rfc2217) as server:
        options = ["--settings", home / "fill.toml", "--secrets-file", home / "secrets.toml"]
        done = borne("flash", name, "--port", server.url, *options, "--no-self-test", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        told = json.loads(done.stdout)
        # Raw TCP carries no speed.
        assert told["baud"] == (921600 if rfc2217 else 115200)
        assert_is_node(board, bytes(bare.flash.data), home, image_of(board, home))


@pytest.mark.parametrize("fault", [{"drop": 3e-5}, {"flip": 3e-5}, {"flip": 1e-3}, {"cut_after": 3000}])
def test_whatever_the_line_does_is_one_line_and_the_next_flash_makes_it_right(home, fault):
    """From the first byte on, so connecting, loading the stub and comparing suffer too."""
    board = boards.load("esp32-c3-devkitm")
    with VirtualBoard(home / "board", chip="esp32c3") as bare:
        bare.power_on()
        bare.line.fault(**fault, seed=4)
        done = borne("flash", board.name, "--port", bare.port, "--no-self-test")
        assert done.returncode in (0, 1, 2)
        assert "Traceback" not in done.stderr
        assert done.stderr.count("\n") == (done.returncode != 0)
        bare.replug()
        bare.reset()
        again = borne("flash", board.name, "--port", bare.port, "--no-self-test")
        assert (again.returncode, again.stderr) == (0, "")
        assert files_of((bare.folder / "flash.bin").read_bytes()) == node.node_files(board)


def test_the_image_file_and_the_flash_are_one_and_the_same(home):
    """The merged file, written by plain esptool, makes the board that `borne flash` makes."""
    board = boards.load("esp32-c3-devkitm")
    options = ["--settings", home / "fill.toml", "--secrets-file", home / "secrets.toml"]
    assert borne("image", board.name, "-o", home / "node.bin", *options).returncode == 0
    with RomBoard("esp32c3") as one, RomBoard("esp32c3") as two:
        assert borne("flash", board.name, "-p", one.port, *options, "--no-self-test").returncode == 0
        command = [sys.executable, "-m", "esptool", "--chip", "esp32c3", "--port", two.port]
        subprocess.run(
            [*command, "write-flash", "0x0", str(home / "node.bin")], check=True, capture_output=True
        )
        assert_is_node(board, bytes(two.flash.data), home, image_of(board, home))
        assert bytes(one.flash.data) == bytes(two.flash.data)


def test_a_kind_that_the_board_cannot_be_is_refused_everywhere(home):
    """No pin wakes an ESP32-C3, which a light node's presence sensor must do."""
    options = [
        "--kind",
        "light",
        "--name",
        "l",
        "--set",
        "wifi_ssid=desk",
        "--set",
        "mqtt=mqtt://broker.example",
    ]
    says = (
        "borne: board esp32-c3-devkitm has no pir for the presence sensor; kinds that it has the pins for: "
    )
    with RomBoard("esp32c3") as bare:
        for command in (
            ["image", "esp32-c3-devkitm", "-o", home / "node.bin", *options],
            ["flash", "esp32-c3-devkitm", "-p", bare.port, *options],
            ["boards", "show", "esp32-c3-devkitm", "--kind", "light"],
        ):
            done = borne(*command)
            assert (done.returncode, done.stdout, done.stderr) == (2, "", says + "parking, fill\n")
        assert bare.flash.changes == 0
    assert not (home / "node.bin").exists()


def plugged(monkeypatch, *ports):
    """What the operating system lists: the seam under pyserial's list."""
    known = [
        SimpleNamespace(device=port, description="USB", hwid="USB VID:PID=303A:1001", vid=0x303A, pid=0x1001)
        for port in ports
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: known)


def run_here(capsys, *arguments):
    """In this process, for what a test lays under the command; gives exit code, output and what was said."""
    try:
        cli.app(list(arguments), standalone_mode=False)
        code = 0
    except BorneError as error:
        code = error.exit_code
    output, said = capsys.readouterr()
    return code, output, said


def test_every_connected_board_at_once_and_one_that_is_silent(home, monkeypatch, capsys):
    """Each is found out by itself: a bare ESP32-S3 by nothing, so it is left alone; two nodes by what they are."""
    monkeypatch.setattr("borne.flashing.chip._CONNECT_ATTEMPTS", 1)
    master, slave = os.openpty()
    with RomBoard("esp32c3") as one, RomBoard("esp32s3") as two, RomBoard("esp32s3") as bare:
        for board, name in ((one, "esp32-c3-devkitm"), (two, "lilygo-t3-s3")):
            assert borne("flash", name, "-p", board.port, "--no-self-test").returncode == 0
            board.flash.data[VFS_AT + 0x5000 : VFS_AT + 0x6000] = b"\xff" * 0x1000
        silent = os.ttyname(slave)
        plugged(monkeypatch, one.port, two.port, bare.port, silent)
        code, output, _ = run_here(capsys, "flash", "--all", "--no-self-test", "--json")
        told = {line["port"]: line for line in map(json.loads, output.splitlines())}
        assert code != 0
        assert (told[one.port]["ok"], told[one.port]["board"]) == (True, "esp32-c3-devkitm")
        assert (told[two.port]["ok"], told[two.port]["board"]) == (True, "lilygo-t3-s3")
        assert "could be" in told[bare.port]["error"]
        assert "hold BOOT" in told[silent]["error"]
        assert bare.flash.changes == 0
        code, output, _ = run_here(capsys, "flash", "lilygo-t3-s3", "--all", "--no-self-test")
        assert code != 0
        assert "lilygo-t3-s3" in output
        assert "the chip is an ESP32-C3" in " ".join(output.split())
        assert files_of(bytes(bare.flash.data)) == node.node_files(boards.load("lilygo-t3-s3"))
    os.close(master)
    os.close(slave)


def test_which_ports(monkeypatch, capsys):
    plugged(monkeypatch)
    for arguments in (["flash", "esp32-devkitc"], ["flash", "--all"]):
        with pytest.raises(BorneError, match="no serial port; is the cable one that carries data"):
            cli.app(arguments, standalone_mode=False)
    plugged(monkeypatch, "/dev/ttyNONE0", "/dev/ttyNONE1")
    with pytest.raises(
        BorneError, match="several ports: say which with --port, or --all: /dev/ttyNONE0, /dev/tty"
    ):
        cli.app(["flash", "esp32-devkitc"], standalone_mode=False)
    with pytest.raises(BorneError, match="one node's settings go to one board"):
        options = ["--kind", "light", "--name", "x", "--set", "wifi_ssid=x", "--set", "mqtt=mqtt://h"]
        cli.app(["flash", "esp32-devkitc", "--all", *options], standalone_mode=False)


def test_in_doubt_somebody_at_a_terminal_is_asked(home):
    with RomBoard("esp32c3") as bare:
        terminal, far = pty.openpty()
        child = subprocess.Popen(
            [BORNE, "flash", "--port", bare.port, "--no-self-test"],
            stdin=far,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(far)
        os.write(terminal, b"9\n1\n")
        output, said = child.communicate(timeout=120)
        os.close(terminal)
        assert child.returncode == 0
        assert "an ESP32-C3 with 4 MB of flash could be" in said
        assert "1  esp32-c3-supermini" in said or "1  esp32-c3-devkitm" in said
        assert "bytes written and verified" in output
        assert files_of(bytes(bare.flash.data))["board.json"].startswith(b'{"battery_adc":3')


def test_what_the_self_test_finds_decides_the_exit_code(home):
    """A fill node with its sensor, and one that somebody forgot to wire."""
    given = ["kind=fill", "name=b", "wifi_ssid=desk", "mqtt=mqtt://broker.example", "depth_mm=1500"]
    options = [part for pair in given for part in ("--set", pair)]
    wired = desk.place(boards.load("esp32-devkitc"), "fill", home / "wired")
    with wired, VirtualBoard(home / "bare") as bare:
        wired.power_on()
        bare.power_on()
        good = borne("flash", "esp32-devkitc", "-p", wired.port, *options)
        assert (good.returncode, good.stderr) == (0, "")
        assert "a02yyuw answers" in good.stdout
        assert "as expected" in good.stdout
        bad = borne("flash", "esp32-devkitc", "-p", bare.port, *options)
        assert bad.returncode == 1
        assert "FAIL  sensor" in bad.stdout
        assert bad.stderr == "borne: flashed, but the self-test found what is listed above\n"
        both = borne("flash", "-p", wired.port, "-p", bare.port, "--json")
        told = [json.loads(line) for line in both.stdout.splitlines()]
        assert [one["ok"] for one in told] == [True, False]
        assert [one["written"] for one in told] == [0, 0]
        assert [one["name"] for one in told[1]["checks"] if one["ok"] is False] == ["sensor"]
