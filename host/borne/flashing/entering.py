"""The way to the raw REPL of a board, whatever runs on it: interrupt, soft reset, hard reset, wait for a hand.

Each step has a limit, and a later one is tried where the earlier ones gave no prompt. A board in its boot window, or
one whose program can be interrupted, is in after the first knock.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from typing import Final

import serial

from borne.errors import NoAnswer, ReplError
from borne.flashing import bootlog, ports

Tell = Callable[[str], None]

# The ESP32's console speed after reset (ESP-IDF, CONFIG_ESP_CONSOLE_UART_BAUDRATE).
BAUD: Final = 115200
BANNER: Final = b"raw REPL; CTRL-B to exit\r\n"
_REBOOT: Final = b"soft reboot\r\n"
_INTERRUPT: Final = b"\x03"
_ENTER: Final = b"\r\x01"
_SOFT_RESET: Final = b"\x04"
# Out of a paste mode or a half-sent program that another tool left, to the friendly prompt; then a soft reset.
_ANEW: Final = b"\r\x02\x03\x04"

_KNOCK_SECONDS: Final = 0.7
# A program that can be interrupted is out at the first knock; another two for one that boots just now.
_KNOCKS: Final = 3
# From EN to the end of the boot window: up to 1.5 s of booting and the 3 s of main.py.
_KNOCKS_AFTER_RESET: Final = 8
# A program that catches KeyboardInterrupt and goes on is out when the next one comes before it is back in its `try`.
_HAMMER_SECONDS: Final = 3.0
# How long such a program is in its `except` nobody knows; 115200 baud carry twelve bytes a millisecond.
_HAMMER_GAPS: Final = (0.0, 0.0001, 0.0002, 0.0005, 0.001)
_HAMMER_BLOWS: Final = 100
# MicroPython's boot to the prompt takes 1.5 s at most on an ESP32.
_BOOT_SECONDS: Final = 5.0
_RESET_PULSE_SECONDS: Final = 0.1
# A chip with USB of its own leaves the bus when it is reset, and comes back under the same name.
_COMES_BACK_SECONDS: Final = 5.0
# Once a board answers, it works off what lies in its UART's 128-byte buffer within 12 ms.
_QUIET_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.02
_SOFT_RESETS: Final = 3
_QUOTED: Final = 80
# Findings of a boot log that no knocking helps against.
_UNBOOTABLE: Final = frozenset(
    {"no firmware", "damaged flash", "flash unreadable", "no app", "flash size", "chip", "download mode"}
)
_REMEDY: Final = "press RESET on the board"


def open_quietly(port: str) -> serial.Serial:
    """Open a port without a pulse on its control lines, which would reset the board. Raises PortError."""
    with ports.opening(port):
        line = serial.serial_for_url(port, baudrate=BAUD, timeout=_POLL_SECONDS, do_not_open=True)
        if "://" not in port:
            line.exclusive = True
        line.dtr = line.rts = False
        try:
            ports.patiently(line.open)
        except OSError as error:
            if error.errno != errno.ENOTTY:
                raise
            # A pty has no control lines, and says so after it has been opened.
            line = ports.patiently(
                lambda: serial.serial_for_url(port, baudrate=BAUD, timeout=_POLL_SECONDS, exclusive=True)
            )
        return line


def listen(port: str) -> Iterator[str]:
    """The lines that a board prints, from now on, for ever. Raises PortError, ReplError when the link breaks."""
    line = open_quietly(port)
    heard = b""
    try:
        while True:
            heard += line.read(max(1, line.in_waiting))
            *whole, heard = heard.split(b"\n")
            yield from (one.decode(errors="replace").rstrip("\r") for one in whole)
    except (serial.SerialException, OSError) as error:
        raise ReplError(f"{port}: the link broke: check the cable and try again") from error
    finally:
        line.close()


def reset_by_lines(port: str) -> None:
    """Pulse EN by the control lines. Raises PortError, ReplError where no such lines lead to the board."""
    line = open_quietly(port)
    try:
        if not Entrance(line, port).pulse_reset():
            raise ReplError(f"{port}: has no control lines to reset the board by; {_REMEDY}")
    finally:
        line.close()


class Entrance:
    """What stands before the raw REPL of the board on `line`, an open pyserial port named `port`."""

    def __init__(self, line: serial.Serial, port: str) -> None:
        self._line = line
        self._port = port
        self._heard = b""

    def enter(self, *, insist: bool = True, wait: float = 0.0, tell: Tell | None = None) -> None:
        """Leave the board at its raw prompt, with a clean heap.

        `insist`: reset it by its control lines where nothing else helps. `wait`: seconds to go on knocking after
        that, for a hand on its RESET or the end of its sleep; `tell` gets what the hand shall do. Raises NoAnswer
        (silence) or ReplError (it talks, but gives no prompt); pyserial's errors when the line breaks.
        """
        self._line.timeout = _POLL_SECONDS
        if not (
            self._knock(_KNOCKS)
            or (self._has_program() and self._hammer())
            or (insist and self.pulse_reset() and self._knock(_KNOCKS_AFTER_RESET))
            or (wait and self._await_hand(wait, tell))
        ):
            raise self._refusal()
        self._clean()

    def _knock(self, times: int) -> bool:
        """Interrupt and ask for the raw REPL."""
        for turn in range(times):
            self._line.write(b"\r" + _INTERRUPT + _ENTER)
            if self._answers(_KNOCK_SECONDS):
                if turn or self._heard:
                    self._settle()
                return True
        return False

    def _has_program(self) -> bool:
        """Whether something talks that is more than a bootloader's complaint."""
        return bool(self._heard) and not self._complaint()

    def _complaint(self) -> bootlog.Finding | None:
        found = bootlog.read(self._heard.decode(errors="replace"))
        return next((one for one in found if one.name in _UNBOOTABLE), None)

    def _hammer(self) -> bool:
        """Interrupt again and again, between whiles asking for the prompt anew."""
        end = time.monotonic() + _HAMMER_SECONDS
        while time.monotonic() < end:
            for blow in range(_HAMMER_BLOWS):
                self._line.write(_INTERRUPT)
                time.sleep(_HAMMER_GAPS[blow % len(_HAMMER_GAPS)])
            self._read(_POLL_SECONDS)
            self._line.write(_ENTER)
            if self._answers(_QUIET_SECONDS):
                self._settle()
                return True
        self._line.write(_ANEW)
        return self._knock(_KNOCKS)

    def _await_hand(self, wait: float, tell: Tell | None) -> bool:
        if tell:
            what = (
                "its program cannot be interrupted"
                if self._heard
                else "nothing answers: is it asleep, or without power?"
            )
            tell(f"{self._port}: {what}; {_REMEDY} (waiting {wait:.0f} s)")
        end = time.monotonic() + wait
        while time.monotonic() < end:
            if self._knock(1):
                return True
        return False

    def pulse_reset(self) -> bool:
        """Pull EN low through RTS by the auto-reset circuit of ESP32 boards. False where no line leads there.

        Source: ESP32-DevKitC V4 schematic, "Auto program": DTR released and RTS asserted pulls EN low. The USB-JTAG
        bridge of the C3 and S3 does the same (ESP32-C3 Technical Reference Manual, "USB Serial/JTAG", table
        "Reset SoC into Download Mode").
        """
        if self._port.startswith("socket://"):
            return False  # raw TCP carries no control lines
        try:
            self._line.dtr = False
            self._line.rts = True
            time.sleep(_RESET_PULSE_SECONDS)
            self._line.rts = False
        except OSError:
            if not self._line.is_open:
                raise
            return self._comes_back()
        return True

    def _comes_back(self) -> bool:
        """False on a pty, which has no control lines at all (ENOTTY) and is still there."""
        try:
            self._line.write(_INTERRUPT)
            return False
        except (serial.SerialException, OSError):
            self._line.close()
        end = time.monotonic() + _COMES_BACK_SECONDS
        while True:
            try:
                self._line.open()
                return True
            except (serial.SerialException, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(_QUIET_SECONDS)

    def _clean(self) -> None:
        """A clean heap, timers stopped, and the filesystem mounted although a knock may have come amid the mounting.

        In raw mode MicroPython then runs boot.py and not main.py (shared/runtime/pyexec.c, ports/esp32/main.c).
        """
        for _ in range(_SOFT_RESETS):
            self._line.write(_SOFT_RESET)
            if self._until(_REBOOT, _BOOT_SECONDS) and self._until(BANNER, _BOOT_SECONDS):
                return
            # A late knock, or a byte that the line lost: ask for the prompt again.
            if not self._knock(_KNOCKS):
                break
        raise ReplError(f"{self._port}: no prompt after a soft reset; {_REMEDY} and try again")

    def _settle(self) -> None:
        """Read what knocks sent while the board was deaf bring up late, then ask for one prompt and get that one."""
        while self._read(_QUIET_SECONDS):
            pass
        self._line.write(_ENTER)
        self._until(BANNER, _KNOCK_SECONDS)

    def _answers(self, seconds: float) -> bool:
        return self._until(BANNER, seconds)

    def _until(self, ending: bytes, seconds: float) -> bool:
        """Read byte by byte, for what follows the ending belongs to who comes next; else remember what was heard."""
        end = time.monotonic() + seconds
        heard = b""
        while time.monotonic() < end:
            heard += self._line.read(1)
            if heard.endswith(ending):
                return True
        self._heard = (self._heard + heard)[-4096:]
        return False

    def _read(self, seconds: float) -> bytes:
        """All that comes within this time, at once where something comes."""
        end = time.monotonic() + seconds
        heard = b""
        while time.monotonic() < end:
            heard += self._line.read(max(1, self._line.in_waiting))
        self._heard = (self._heard + heard)[-4096:]
        return heard

    def _refusal(self) -> NoAnswer | ReplError:
        heard = self._heard
        again = f"{_REMEDY} and run the command again within 3 s"
        if not heard:
            return NoAnswer(f"{self._port}: nothing answers; is the board powered and awake? {again}")
        if sum(byte > 126 for byte in heard) * 4 > len(heard):
            return ReplError(f"{self._port}: what comes is no text: not {BAUD} baud, or a loose cable")
        complaint = self._complaint()
        if complaint:
            return ReplError(f"{self._port}: {complaint.what}: {complaint.advice}")
        # What came last is perhaps half a line.
        said = last_line(heard.rpartition(b"\n")[0] or heard)
        return ReplError(
            f"{self._port}: the board talks but gives no prompt: its program cannot be interrupted; {again}, "
            f"or flash it again (it said last: {said!r})"
        )


def last_line(raw: bytes) -> str:
    """The last line of what a board said that says something, shortened."""
    lines = raw.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:_QUOTED]
