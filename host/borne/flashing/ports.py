"""Serial ports: which there are, and why one does not open.

A port is a device (`/dev/ttyUSB0`, `COM3`), `socket://host:port`, or `rfc2217://host:port`.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import serial
from serial.tools import list_ports

from borne.errors import PortError

T = TypeVar("T")

_BUSY: Final = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)
# A process that is just being started holds copies of this one's locks until it execs: a millisecond, or many on a busy
# computer. One that was killed has them until the system has closed what it had open. Nobody tells them from a program
# that stays, so each is waited for.
BUSY_SECONDS: Final = 1.0
_POLL_SECONDS: Final = 0.05
# Windows: ERROR_FILE_NOT_FOUND and ERROR_ACCESS_DENIED (which there means busy), as pyserial quotes them.
_WINDOWS_MISSING: Final = "FileNotFoundError"
_WINDOWS_BUSY: Final = "PermissionError"
_ADDRESS: Final = re.compile(r"^\w+://.+:\d+(/.*)?(\?.*)?$")


def listed() -> dict[str, str]:
    """Device to description of the serial ports of this computer that have hardware behind them."""
    # Linux lists ttyS0 to ttyS31 whether or not there is a UART; those have no hardware id.
    known = [port for port in list_ports.comports() if port.hwid and port.hwid != "n/a"]
    return {
        port.device: port.description or port.hwid for port in sorted(known, key=lambda port: port.device)
    }


def check(port: str) -> None:
    """Open and close a port. PortError: missing, busy (and by what), not permitted (and what to do)."""
    if "://" in port:
        # A network port often serves one connection at a time; whoever uses it next will tell. Its address can be read.
        with opening(port):
            if not _ADDRESS.match(port):
                raise ValueError("a network port is written as socket://HOST:PORT or rfc2217://HOST:PORT")
            serial.serial_for_url(port, do_not_open=True)
        return
    diagnose(port)


def diagnose(port: str) -> None:
    """Open and close any port, a network port too. Raises PortError."""
    with opening(port):
        patiently(lambda: serial.serial_for_url(port, exclusive=True)).close()


def patiently(attempt: Callable[[], T]) -> T:
    """Open a port; one that is busy again and again, for BUSY_SECONDS. Raises what the last attempt raised."""
    for _ in range(round(BUSY_SECONDS / _POLL_SECONDS)):
        try:
            return attempt()
        except (serial.SerialException, OSError) as error:
            if not is_busy(error):
                raise
        time.sleep(_POLL_SECONDS)
    return attempt()


@contextmanager
def opening(port: str) -> Iterator[None]:
    """Turn whatever goes wrong while `port` is opened into a PortError of one line."""
    try:
        yield
    except (serial.SerialException, OSError, ValueError) as error:
        raise explain(port, error) from None


def explain(port: str, error: Exception) -> PortError:
    """Why `port` does not open, and what to do about it."""
    code = getattr(error, "errno", None)
    if "://" in port:
        return PortError(f"{port}: cannot be reached: {_network_reason(error)}")
    if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or _WINDOWS_MISSING in str(error):
        there = ", ".join(listed())
        what = f"those that are: {there}" if there else "nor any other; is the cable one that carries data?"
        return PortError(f"{port}: there is no such port; {what}")
    if is_busy(error):
        holder = _holder(port)
        return PortError(
            f"{port}: is busy: {holder or 'another program'} has it open; close that and try again"
        )
    if code in (errno.EACCES, errno.EPERM):
        return PortError(f"{port}: is not permitted to you; {_permission_hint(port)}")
    # pyserial keeps the ENOTTY of its tcgetattr in the text only.
    if "Could not configure port" in str(error):
        return PortError(f"{port}: is no serial port")
    return PortError(f"{port}: does not open: {error}")


def is_busy(error: Exception) -> bool:
    """Whether a port did not open because somebody has it."""
    text = str(error)
    return getattr(error, "errno", None) in _BUSY or _WINDOWS_BUSY in text or "exclusively lock" in text


def _network_reason(error: Exception) -> str:
    text = str(error)
    # pyserial wraps the socket's words: "Could not open port socket://...: [Errno 111] Connection refused".
    match = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    return match[1].strip() if match else text


def _permission_hint(port: str) -> str:
    try:
        status = Path(port).stat()
        import grp

        group = grp.getgrgid(status.st_gid).gr_name
    except (OSError, KeyError, ImportError):
        return "ask who administers this computer"
    # A device that belongs to root alone, or whose group may not write, is opened by no group membership.
    if group == "root" or not status.st_mode & stat.S_IWGRP:
        return f"its group {group} gives no access: a udev rule must give it to a group of yours"
    return f"it belongs to the group {group}: run `sudo usermod -aG {group} $USER`, log out and in again"


def _holder(port: str) -> str | None:
    """Name and pid of the process that has the device open; those of other users stay unseen to us."""
    try:
        target = os.path.realpath(port)
        processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return None
    for process in processes:
        if int(process.name) != os.getpid() and target in _open_files(process):
            try:
                name = (process / "comm").read_text().strip()
            except OSError:
                continue
            return f"{name} (pid {process.name})"
    return None


def _open_files(process: Path) -> set[str]:
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            try:
                found.add(str(descriptor.readlink()))
            except OSError:
                continue
    except OSError:
        pass
    return found
