"""Why a board does not talk: from the computer to the cable, its driver, the boot log and the prompt, in that order.

Each step is a Check, with what to do where it is not well. Nothing is written to the board; it may be reset.
"""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import serial
from serial.tools import list_ports

from borne.errors import BorneError, PortError
from borne.flashing import bootlog, entering, ports
from borne.flashing.repl import Repl
from borne.flashing.selftest import Check

# USB bridge by vendor and product: what it is, its Linux driver, where Windows and old macOS get theirs.
BRIDGES: Final = {
    (0x10C4, 0xEA60): ("CP210x", "cp210x", "silabs.com/developers/usb-to-uart-bridge-vcp-drivers"),
    (0x10C4, 0xEA70): ("CP2105", "cp210x", "silabs.com/developers/usb-to-uart-bridge-vcp-drivers"),
    (0x1A86, 0x7523): ("CH340", "ch341", "wch-ic.com/downloads/CH341SER_ZIP.html"),
    (0x1A86, 0x55D4): ("CH9102", "cdc_acm", "wch-ic.com/downloads/CH343SER_ZIP.html"),
    (0x1A86, 0x55D3): ("CH343", "cdc_acm", "wch-ic.com/downloads/CH343SER_ZIP.html"),
    (0x0403, 0x6001): ("FT232", "ftdi_sio", "ftdichip.com/drivers/vcp-drivers"),
    (0x0403, 0x6015): ("FT231X", "ftdi_sio", "ftdichip.com/drivers/vcp-drivers"),
    (0x303A, 0x1001): ("USB Serial/JTAG of the chip", "cdc_acm", ""),
    (0x303A, 0x4001): ("USB of the chip (MicroPython)", "cdc_acm", ""),
}
_WINDOWS: Final = re.compile(r"^(?:\\\\\.\\)?(com\d+)$", re.IGNORECASE)
# From a reset past the boot window, 1.5 and 3 s, to what the program says first; and two rounds of a crash loop.
_LISTEN_SECONDS: Final = 6.0


@dataclass(frozen=True)
class Host:
    """The computer as the doctor sees it; `root` is where /proc, /sys and /etc hang."""

    system: str = sys.platform
    root: Path = field(default_factory=lambda: Path("/"))

    @property
    def is_linux(self) -> bool:
        return self.system.startswith("linux")

    @property
    def is_windows(self) -> bool:
        return self.system.startswith("win")


def plain(port: str) -> str:
    r"""A port's usual name: COM12 for \\.\COM12 and com12; all others as they are."""
    match = _WINDOWS.match(port)
    return match[1].upper() if match else port


def examine(port: str | None = None, host: Host | None = None) -> Iterator[Check]:
    """Checks in the order in which they are made; what hangs on one that failed is left out."""
    here = host or Host()
    yield from drivers(here)
    if port is None:
        found = ports.listed()
        yield Check("ports", bool(found), ", ".join(found) or "none; is the cable one that carries data?")
        return
    port = plain(port)
    there = list(name_checks(port, here))
    yield from there
    if any(one.ok is False for one in there):
        return
    try:
        ports.diagnose(port)
    except PortError as error:
        yield Check("open", False, str(error).removeprefix(f"{port}: ") + _held_by(port, here))
        rule = udev_rule(port, here) if "not permitted" in str(error) else ""
        if rule:
            yield Check("udev rule", None, rule)
        return
    yield Check("open", True, "opens, and nobody else has it open")
    yield from listen(port)


def name_checks(port: str, host: Host) -> Iterator[Check]:
    """Whether the name can be one of this computer's ports, and what hangs on it."""
    if "://" in port:
        yield Check(
            "name", True, "a port on the network: its driver and permissions are the other computer's"
        )
        return
    if _WINDOWS.match(port) and not host.is_windows:
        yield Check(
            "name", False, f"{port} is a name of Windows; here: {', '.join(ports.listed()) or 'no port'}"
        )
        return
    if host.system == "darwin" and port.startswith("/dev/tty."):
        call_up = port.replace("/dev/tty.", "/dev/cu.", 1)
        yield Check("name", False, f"waits for a modem's carrier when it is opened; use {call_up}")
        return
    known = {plain(one.device): one for one in list_ports.comports()}
    found = known.get(port)
    if found is None or found.vid is None:
        yield Check("bridge", None, "no USB ids: cannot tell what is behind it")
        return
    name, driver, home = BRIDGES.get((found.vid, found.pid), ("", "", ""))
    ids = f"{found.vid:04x}:{found.pid:04x}"
    yield Check("bridge", True, f"{name} ({ids})" if name else f"{found.description or 'unknown'} ({ids})")


def drivers(host: Host) -> Iterator[Check]:
    """USB bridges that are plugged in, and for which no driver made a port. Linux only: elsewhere the system tells."""
    if not host.is_linux:
        home = "the bridge's maker has the driver: " + ", ".join(
            sorted({f"{name} {home}" for name, _, home in BRIDGES.values() if home})
        )
        yield Check("driver", None, home)
        return
    devices = host.root / "sys/bus/usb/devices"
    for device in sorted(devices.glob("*")) if devices.is_dir() else []:
        ids = _ids(device)
        if ids not in BRIDGES:
            continue
        name, driver, _ = BRIDGES[ids]
        if any(device.glob("*/tty*")) or any(device.glob("*/*/tty*")) or any(device.glob("tty*")):
            yield Check("driver", True, f"{name}: {driver}")
        else:
            yield Check("driver", False, f"{name} is plugged in, but has no port: {_remedy(driver, host)}")


def _ids(device: Path) -> tuple[int, int] | None:
    try:
        return tuple(int((device / name).read_text(), 16) for name in ("idVendor", "idProduct"))  # type: ignore[return-value]
    except (OSError, ValueError):
        return None


def _remedy(driver: str, host: Host) -> str:
    # brltty's udev rules claim a CH340 for a Braille display (Debian bug 667616, Ubuntu bug 1958224).
    if driver == "ch341" and any((host.root / "usr/lib/udev/rules.d").glob("*brltty*")):
        return "brltty takes it for a Braille display: sudo apt remove brltty, and plug it in again"
    return f"sudo modprobe {driver}, and plug it in again; in a virtual machine, hand the USB device on to it"


def udev_rule(port: str, host: Host) -> str:
    """A rule that lets whoever sits at this computer open the port; nothing where there are no udev rules."""
    if not host.is_linux or "://" in port:
        return ""
    found = next((one for one in list_ports.comports() if one.device == port and one.vid is not None), None)
    ids = f'ATTRS{{idVendor}}=="{found.vid:04x}", ATTRS{{idProduct}}=="{found.pid:04x}", ' if found else ""
    rule = f'SUBSYSTEM=="tty", {ids}GROUP="{_group(port)}", MODE="0660", TAG+="uaccess"'
    return (
        f"{rule}   in /etc/udev/rules.d/70-borne.rules, then sudo udevadm control --reload && sudo udevadm trigger; "
        f"or for one user: sudo usermod -aG {_group(port)} {_user()}"
    )


def _group(port: str) -> str:
    try:
        import grp

        name = grp.getgrgid(Path(port).stat().st_gid).gr_name
    except (ImportError, OSError, KeyError):
        return "dialout"
    # Arch and its kin call it uucp; a port of root's own needs a group first.
    return name if name != "root" else "dialout"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "$USER"


def _held_by(port: str, host: Host) -> str:
    """On macOS, which has no /proc, lsof knows who has a port open."""
    if host.system != "darwin" or "://" in port:
        return ""
    try:
        done = subprocess.run(
            ["lsof", "-F", "pc", port], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return holders(done.stdout)


def holders(listed: str) -> str:
    """Processes out of what `lsof -F pc` printed, in words; nothing where it names none but this one."""
    found = []
    process = ""
    for line in listed.splitlines():
        if line.startswith("p"):
            process = line[1:]
        elif line.startswith("c") and process and process != str(os.getpid()):
            found.append(f"{line[1:]} (pid {process})")
    return f"; open in {', '.join(found)}" if found else ""


def listen(port: str) -> Iterator[Check]:
    """Reset the board where its lines allow, read its boot log, and ask for the prompt."""
    try:
        heard = boot_log(port)
    except BorneError as error:
        yield Check("boot log", False, str(error).removeprefix(f"{port}: "))
        return
    found = bootlog.read(heard)
    for one in found:
        yield Check(one.name, False, f"{one.what}: {one.advice}")
    if heard and not found:
        yield Check("boot log", True, "nothing in it is amiss")
    elif not heard:
        yield Check(
            "boot log",
            None,
            "silent: asleep, without power, or no line to reset it by; press RESET and ask again",
        )
    yield _prompt(port)


def boot_log(port: str) -> str:
    """What the board prints within a few seconds, after a reset where its lines allow. Raises PortError, ReplError."""
    line = entering.open_quietly(port)
    try:
        entering.Entrance(line, port).pulse_reset()
        end = time.monotonic() + _LISTEN_SECONDS
        heard = b""
        while time.monotonic() < end:
            heard += line.read(max(1, line.in_waiting))
    except (serial.SerialException, OSError):
        heard = b""
    finally:
        line.close()
    return heard.decode("utf-8", "replace")


def _prompt(port: str) -> Check:
    try:
        with Repl(port) as board:
            version = board.firmware()
            what = f"firmware {version['borne_node']}" if version else "MicroPython without our firmware"
            said = f"answers: {what}, MicroPython {board.implementation()}"
            board.reset()
    except BorneError as error:
        return Check("prompt", False, str(error).removeprefix(f"{port}: "))
    return Check("prompt", True, said)
