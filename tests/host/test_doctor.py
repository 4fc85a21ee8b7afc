from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from borne.flashing import doctor
from borne.flashing.doctor import Host


def plugged(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, int, int]) -> None:
    """What pyserial's own list says, which asks the computer's USB."""
    made = []
    for device, vid, pid in found:
        one = ListPortInfo(device)
        one.vid, one.pid, one.hwid, one.description = vid, pid, "USB", "a bridge"
        made.append(one)
    monkeypatch.setattr(list_ports, "comports", lambda: made)


def usb(root: Path, name: str, vid: int, pid: int, tty: str = "") -> None:
    device = root / "sys/bus/usb/devices" / name
    device.mkdir(parents=True)
    (device / "idVendor").write_text(f"{vid:04x}\n")
    (device / "idProduct").write_text(f"{pid:04x}\n")
    if tty:
        (device / f"{name}:1.0" / tty).mkdir(parents=True)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("COM3", "COM3"),
        ("com3", "COM3"),
        (r"\\.\COM12", "COM12"),
        (r"\\.\com12", "COM12"),
        ("/dev/ttyUSB0", "/dev/ttyUSB0"),
        ("socket://host:1", "socket://host:1"),
        ("COMPOST", "COMPOST"),
    ],
)
def test_names_of_windows(given: str, name: str) -> None:
    assert doctor.plain(given) == name


def test_a_windows_name_belongs_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, ("COM12", 0x10C4, 0xEA60))
    (there,) = doctor.name_checks("COM12", Host("win32"))
    assert (there.ok, there.detail) == (True, "CP210x (10c4:ea60)")
    (here,) = doctor.name_checks("COM12", Host("linux"))
    assert here.ok is False


def test_on_a_mac_the_tty_name_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, ("/dev/cu.usbserial-1", 0x1A86, 0x7523))
    (tty,) = doctor.name_checks("/dev/tty.usbserial-1", Host("darwin"))
    assert tty.ok is False
    assert "use /dev/cu.usbserial-1" in tty.detail
    (cu,) = doctor.name_checks("/dev/cu.usbserial-1", Host("darwin"))
    assert cu.detail == "CH340 (1a86:7523)"


def test_an_unknown_bridge_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, ("/dev/ttyUSB0", 0x1234, 0x5678))
    (one,) = doctor.name_checks("/dev/ttyUSB0", Host("linux"))
    assert (one.ok, one.detail) == (True, "a bridge (1234:5678)")
    (none,) = doctor.name_checks("/dev/ttyS0", Host("linux"))
    assert none.ok is None


def test_a_bridge_without_a_driver_is_named_with_the_module_to_load(tmp_path: Path) -> None:
    usb(tmp_path, "1-1", 0x10C4, 0xEA60, "ttyUSB0")
    usb(tmp_path, "1-2", 0x1A86, 0x7523)
    usb(tmp_path, "1-3", 0x046D, 0xC31C)  # a keyboard
    (tmp_path / "sys/bus/usb/devices/usb1").mkdir()
    good, bad = doctor.drivers(Host("linux", tmp_path))
    assert (good.ok, good.detail) == (True, "CP210x: cp210x")
    assert bad.ok is False
    assert bad.detail.startswith("CH340 is plugged in, but has no port: sudo modprobe ch341")


def test_brltty_that_takes_a_ch340_for_a_braille_display(tmp_path: Path) -> None:
    usb(tmp_path, "1-2", 0x1A86, 0x7523)
    rules = tmp_path / "usr/lib/udev/rules.d"
    rules.mkdir(parents=True)
    (rules / "85-brltty.rules").write_text("")
    (bad,) = doctor.drivers(Host("linux", tmp_path))
    assert "sudo apt remove brltty" in bad.detail


def test_elsewhere_the_makers_drivers_are_named(tmp_path: Path) -> None:
    for system in ("darwin", "win32"):
        (one,) = doctor.drivers(Host(system, tmp_path))
        assert one.ok is None
        assert "silabs.com" in one.detail


def test_a_udev_rule_for_this_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged(monkeypatch, ("/dev/ttyUSB0", 0x10C4, 0xEA60))
    rule = doctor.udev_rule("/dev/ttyUSB0", Host("linux"))
    assert 'ATTRS{idVendor}=="10c4", ATTRS{idProduct}=="ea60", GROUP="dialout", MODE="0660"' in rule
    assert "usermod -aG dialout" in rule
    assert doctor.udev_rule("/dev/cu.x", Host("darwin")) == ""
    assert doctor.udev_rule("socket://h:1", Host("linux")) == ""


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("", ""),
        ("p812\ncscreen\n", "; open in screen (pid 812)"),
        ("p812\ncscreen\nf5\np99\ncPython\n", "; open in screen (pid 812), Python (pid 99)"),
        ("pSELF\ncborne\n", ""),
        ("nonsense\n", ""),
    ],
)
def test_what_lsof_prints(listed: str, said: str) -> None:
    assert doctor.holders(listed.replace("SELF", str(os.getpid()))) == said


def test_on_a_mac_lsof_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(command: list[str], **options: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "p5\ncscreen\n", "")

    monkeypatch.setattr(subprocess, "run", run)
    assert doctor._held_by("/dev/cu.x", Host("darwin")) == "; open in screen (pid 5)"
    assert asked == [["lsof", "-F", "pc", "/dev/cu.x"]]
    assert doctor._held_by("/dev/ttyUSB0", Host("linux")) == ""


def test_the_computer_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plugged(monkeypatch, ("/dev/ttyUSB0", 0x10C4, 0xEA60))
    found = list(doctor.examine(None, Host("linux", tmp_path)))
    assert [(one.name, one.ok, one.detail) for one in found] == [("ports", True, "/dev/ttyUSB0")]
    plugged(monkeypatch)
    found = list(doctor.examine(None, Host("linux", tmp_path)))
    assert found[-1].detail.startswith("none; is the cable one")
