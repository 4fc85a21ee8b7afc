from __future__ import annotations

import errno
import grp
import os
import stat
import subprocess
import sys
from types import SimpleNamespace

import pytest
import serial
from pty_board import PtyBoard
from rom_board import RomBoard
from serial.tools import list_ports
from serial_server import SerialServer

from borne import boards
from borne.errors import PortError
from borne.flashing import entering, links, node, ports, survey

HOLD = "import serial, sys; held = serial.Serial(sys.argv[1], exclusive=True); print(flush=True); input()"


@pytest.fixture
def pty():
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def refusal(port):
    with pytest.raises(PortError) as caught:
        ports.diagnose(port)
    said = str(caught.value)
    assert said.startswith(f"{port}: ")
    assert "\n" not in said
    assert caught.value.exit_code == 2
    return said


@pytest.fixture
def known(monkeypatch):
    """What the operating system lists: the seam under pyserial's list."""
    found = [
        SimpleNamespace(device="/dev/ttyUSB1", description="CP2102N", hwid="USB VID:PID=10C4:EA60"),
        SimpleNamespace(device="/dev/ttyUSB0", description="", hwid="USB VID:PID=1A86:7523"),
        SimpleNamespace(device="/dev/ttyS0", description="n/a", hwid="n/a"),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: found)
    return found


def test_only_ports_with_hardware_are_listed(known):
    assert ports.listed() == {"/dev/ttyUSB0": "USB VID:PID=1A86:7523", "/dev/ttyUSB1": "CP2102N"}
    assert list(ports.listed()) == ["/dev/ttyUSB0", "/dev/ttyUSB1"]


@pytest.mark.parametrize("way", ["check", "mpremote", "ampy", "quietly"])
def test_a_lock_that_a_process_holds_until_it_has_started_is_waited_for(pty, monkeypatch, way):
    """A child has copies of what its parent has open from its fork to its exec: its parent's port, too."""
    line = serial.Serial(pty, exclusive=True)
    hold = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    child = subprocess.Popen(hold, stdin=subprocess.PIPE, pass_fds=[line.fd])
    line.close()
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        child.communicate()

    monkeypatch.setattr(ports.time, "sleep", sleep)
    opened = {
        "check": lambda: ports.check(pty),
        "mpremote": lambda: links.open_link("mpremote", pty, 115200, 1).close(),
        "ampy": lambda: links.open_link("ampy", pty, 115200, 1).close(),
        "quietly": lambda: entering.open_quietly(pty).close(),
    }
    opened[way]()
    assert waited


def test_a_missing_port_names_those_that_there_are(known):
    said = refusal("/dev/ttyNONE")
    assert "there is no such port" in said
    assert "/dev/ttyUSB0, /dev/ttyUSB1" in said


def test_a_missing_port_where_there_is_none(known):
    known.clear()
    assert "is the cable one that carries data?" in refusal("/dev/ttyNONE")


def test_a_busy_port_names_who_has_it(pty):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import serial, sys; s = serial.Serial(sys.argv[1], exclusive=True); print(flush=True); input()",
            pty,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    said = refusal(pty)
    holder.communicate(b"\n")
    assert "is busy: python" in said
    assert f"(pid {holder.pid}) has it open; close that and try again" in said
    ports.check(pty)


def test_a_busy_port_of_somebody_unseen(monkeypatch, pty):
    refuse_to_open(monkeypatch, pty, errno.EBUSY)
    assert "is busy: another program has it open" in refusal(pty)


def refuse_to_open(monkeypatch, port, code):
    """The kernel's refusal, which a test that runs as root cannot provoke otherwise."""
    real = os.open

    def fake(path, flags, *rest, **options):
        if path == port:
            raise OSError(code, os.strerror(code), path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", fake)


def device_of(monkeypatch, port, group, mode):
    """Owner and mode of the device file, which only root could change."""
    real = os.stat

    def fake(path, **options):
        if str(path) == port:
            return SimpleNamespace(st_gid=group, st_mode=stat.S_IFCHR | mode)
        return real(path, **options)

    monkeypatch.setattr(os, "stat", fake)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_a_port_that_is_not_permitted_names_its_group_and_the_command(monkeypatch, pty, code):
    group = next(group for group in grp.getgrall() if group.gr_gid)
    refuse_to_open(monkeypatch, pty, code)
    device_of(monkeypatch, pty, group.gr_gid, 0o660)
    command = f"`sudo usermod -aG {group.gr_name} $USER`"
    assert f"belongs to the group {group.gr_name}: run {command}, log out and in again" in refusal(pty)


@pytest.mark.parametrize(("group", "mode"), [(0, 0o660), (1, 0o600)])
def test_a_port_that_no_group_opens_asks_for_a_udev_rule(monkeypatch, pty, group, mode):
    refuse_to_open(monkeypatch, pty, errno.EACCES)
    device_of(monkeypatch, pty, group, mode)
    assert "udev rule" in refusal(pty)


def test_what_is_no_serial_port(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert "is no serial port" in refusal(str(path))


def test_no_server_and_no_such_protocol():
    with SerialServer() as server:
        url = server.url
    assert "cannot be reached: Connection refused" in refusal(url)
    assert "cannot be reached: Connection refused" in refusal(url.replace("socket", "rfc2217"))
    assert "cannot be reached: invalid URL, protocol 'gopher' not known" in refusal("gopher://x:1")


def test_checking_leaves_a_network_port_alone():
    ports.check("socket://127.0.0.1:1")
    ports.check("rfc2217://[::1]:2217?ign_set_control")


@pytest.mark.parametrize("port", ["socket://127.0.0.1", "rfc2217://:x", "gopher://x:1", "socket://"])
def test_an_address_that_is_none_is_refused_unasked(port):
    with pytest.raises(
        PortError, match="cannot be reached: (a network port is written|invalid URL, protocol)"
    ):
        ports.check(port)


def test_checking_gives_the_port_back(pty):
    ports.check(pty)
    ports.check(pty)


def test_the_survey_says_what_answers(tmp_path):
    bare, ours = PtyBoard(tmp_path / "bare"), PtyBoard(tmp_path / "ours")
    (ours.folder / "version.json").write_bytes(node.node_files(boards.load("esp32-devkitc"))["version.json"])
    with bare, ours, RomBoard() as rom, SerialServer() as silent:
        asked = [bare.port, ours.port, rom.port, silent.url, "/dev/ttyNONE"]
        found = survey.survey(asked)
        assert rom.flash.changes == 0
    from borne_node import __version__

    assert [one.port for one in found] == asked
    assert [one.answer for one in found] == ["micropython", "borne", "bootloader", "nothing", "closed"]
    assert found[0].detail.count(".") == 2
    assert found[1].detail == __version__
    assert found[2].detail == "ESP32-D0WDQ6"
    assert len(found[2].mac) == 17
    assert "there is no such port" in found[4].detail


def test_a_node_that_was_asked_runs_again(tmp_path):
    with PtyBoard(tmp_path / "ours") as ours:
        (ours.folder / "version.json").write_bytes(b'{"borne_node":"9.9.9"}')
        assert survey.probe(ours.port).detail == "9.9.9"
        survey.probe(ours.port)
        # The board notices its reset in a thread of its own.
        assert ours.was_reset.wait(20)


def test_the_survey_of_all_ports_takes_those_that_are_listed(known):
    known[:] = [SimpleNamespace(device="/dev/ttyNONE", description="gone", hwid="USB")]
    assert [(one.port, one.description, one.answer) for one in survey.survey()] == [
        ("/dev/ttyNONE", "gone", "closed")
    ]
