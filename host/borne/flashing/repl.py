"""The board's REPL, over mpremote's serial transport (MIT): get in, run code, move files safely.

mpremote gives two primitives, "run this" and "what did it print"; here they get limits, one kind of error,
and file writes that a pulled cable cannot leave half done. Nothing that is sent is ever quoted in an error:
it may be secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import serial
from mpremote.transport import TransportError  # type: ignore[import-untyped]
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from borne.errors import NoAnswer, ReadBackError, ReplError
from borne.flashing import node, ports

# The ESP32's console speed after reset (ESP-IDF, CONFIG_ESP_CONSOLE_UART_BAUDRATE).
BAUD: Final = 115200
_BANNER: Final = b"raw REPL; CTRL-B to exit\r\n"
_INTERRUPT: Final = b"\r\x03"
_ENTER: Final = b"\r\x01"
_SOFT_RESET: Final = b"\x04"
_REBOOT: Final = b"soft reboot\r\n"
# MicroPython's boot to the prompt takes 1.5 s at most on an ESP32.
_BOOT_SECONDS: Final = 5
_KNOCK_SECONDS: Final = 0.7
# A node that runs is interrupted at once; one that boots takes up to 1.5 s to its boot window, which lasts 3
# s.
_KNOCKS: Final = 3
_KNOCKS_AFTER_RESET: Final = 8
_RESET_PULSE_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.02
# Once a board answers, it works off what lies in its UART's 128-byte buffer within 12 ms.
_QUIET_SECONDS: Final = 0.1
_READ_SECONDS: Final = 2
# The slowest thing that is asked of a node: LittleFS now and then compacts for 2 to 3 s.
_RUN_SECONDS: Final = 10
# 768 bytes are 1 KiB of base64: well inside the heap of a node whose application is loaded.
_CHUNK: Final = 768
_QUOTED: Final = 80

_READ: Final = """\
import binascii
try:
 f=open(%r,'rb')
except OSError as e:
 if e.errno!=2:raise
 print('-')
else:
 while 1:
  b=f.read(256)
  if not b:break
  print(str(binascii.b2a_base64(b),'ascii'),end='')
 f.close()
"""
_OPEN: Final = """\
import binascii,hashlib,os
f=open(%r,'wb')
def w(s):f.write(binascii.a2b_base64(s))
"""
_HASH: Final = """\
f.close()
h=hashlib.sha256()
f=open(%r,'rb')
while 1:
 b=f.read(256)
 if not b:break
 h.update(b)
f.close()
print(str(binascii.hexlify(h.digest()),'ascii'))
"""


class Repl:
    """A board's REPL in raw mode, as a context manager.

    `insist`: where it does not answer an interrupt, reset the board by its control lines and catch its boot
    window. Entering raises PortError, NoAnswer (silence) or ReplError (it talks, but gives no prompt).
    """

    def __init__(self, port: str, *, insist: bool = True) -> None:
        self.port = port
        self._insist = insist
        self._inside = False

    def __enter__(self) -> Self:
        with ports.opening(self.port):
            try:
                self._transport = self._open()
            except TransportError:
                # mpremote keeps the reason to itself; asking again finds it, or finds it gone.
                ports.diagnose(self.port)
                self._transport = self._open()
        try:
            with self._link():
                self._enter()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inside and kind is None:
            with self._link():
                self._transport.exit_raw_repl()
        self._close()

    def run(self, code: str, timeout: float = _RUN_SECONDS) -> str:
        """Run code, return what it printed. `timeout` in seconds counts from the last byte the board sent.

        Raises ReplError: the code raised (its last line is quoted), or the board fell silent.
        """
        with self._link():
            output, trouble = self._transport.exec_raw(code, timeout=timeout)
        if trouble:
            raise ReplError(f"{self.port}: the board says: {_last_line(trouble)}")
        return bytes(output).decode(errors="replace").replace("\r\n", "\n")

    def read_file(self, path: str) -> bytes | None:
        """Content of a file, None where there is none."""
        printed = self.run(_READ % path).strip()
        if printed == "-":
            return None
        try:
            return b"".join(binascii.a2b_base64(line) for line in printed.split())
        except binascii.Error:
            raise ReplError(f"{self.port}: {path} came back garbled; try again") from None

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file as a whole or not at all: to a temporary name, compared by SHA-256, then renamed.

        Raises ReadBackError when the board holds something else than was sent; the old file then still
        stands.
        """
        partial = path + ".new"
        self.run(_OPEN % partial)
        for at in range(0, len(data), _CHUNK):
            self.run(f"w({base64.b64encode(data[at : at + _CHUNK])!r})")
        if self.run(_HASH % partial).strip() != hashlib.sha256(data).hexdigest():
            raise ReadBackError(f"{self.port}: {path} on the board is not what was sent; the old one stands")
        self.run(f"os.rename({partial!r},{path!r})")

    def firmware(self) -> dict[str, Any] | None:
        """The version file: `borne_node` (version), `settings` (form), `files`; None without our firmware."""
        raw = self.read_file(node.VERSION_FILE)
        try:
            found = json.loads(raw or b"null")
        except ValueError:
            return None
        return found if isinstance(found, dict) and "borne_node" in found else None

    def implementation(self) -> str:
        """Version of MicroPython, as in 1.25.0."""
        return self.run("import sys\nprint('%d.%d.%d'%sys.implementation[1][:3])").strip()

    def reset(self) -> None:
        """Restart the board as its RESET button would; the REPL is left with that."""
        with self._link():
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
        self._inside = False

    def _open(self) -> SerialTransport:
        return SerialTransport(self.port, baudrate=BAUD, timeout=_POLL_SECONDS)

    def _enter(self) -> None:
        heard = self._knock(_KNOCKS)
        if not self._inside and self._insist and self._pulse_reset():
            heard += self._knock(_KNOCKS_AFTER_RESET)
        if not self._inside:
            raise self._refusal(heard)
        self._soft_reset()
        self._transport.in_raw_repl = True
        self._transport.serial.timeout = _READ_SECONDS

    def _knock(self, times: int) -> bytes:
        """Interrupt and ask for the raw REPL; returns what was heard where it did not come."""
        heard = b""
        for turn in range(times):
            self._transport.serial.write(_INTERRUPT + _ENTER)
            answer = self._transport.read_until(
                1, _BANNER, timeout=_KNOCK_SECONDS, timeout_overall=_KNOCK_SECONDS
            )
            if answer.endswith(_BANNER):
                self._inside = True
                if heard or turn:
                    self._settle()
                return b""
            heard += answer
        return heard

    def _settle(self) -> None:
        """Read what knocks sent while the board was deaf bring up late, then ask for one prompt and get that one."""
        while self._transport.read_until(1, b"\x00", timeout=_QUIET_SECONDS, timeout_overall=_QUIET_SECONDS):
            pass
        self._transport.serial.write(_ENTER)
        if not self._transport.read_until(1, _BANNER, timeout_overall=_KNOCK_SECONDS).endswith(_BANNER):
            raise TransportError("no prompt")

    def _soft_reset(self) -> None:
        """A clean heap, timers stopped, and the filesystem mounted although a knock may have come amid the mounting.

        In raw mode MicroPython then runs boot.py and not main.py (shared/runtime/pyexec.c, ports/esp32/main.c).
        """
        self._transport.serial.write(_SOFT_RESET)
        for expected in (_REBOOT, _BANNER):
            if not self._transport.read_until(1, expected, timeout_overall=_BOOT_SECONDS).endswith(expected):
                raise TransportError("no prompt after the soft reset")

    def _pulse_reset(self) -> bool:
        """Pull EN low through RTS by the auto-reset circuit of ESP32 boards. False where no line leads there.

        Source: ESP32-DevKitC V4 schematic, "Auto program": DTR released and RTS asserted pulls EN low.
        """
        if self.port.startswith("socket://"):
            return False  # raw TCP carries no control lines
        try:
            self._transport.serial.dtr = False
            self._transport.serial.rts = True
            time.sleep(_RESET_PULSE_SECONDS)
            self._transport.serial.rts = False
        except OSError:
            return False  # a pty has none either (ENOTTY)
        return True

    def _refusal(self, heard: bytes) -> NoAnswer | ReplError:
        remedy = "press RESET on the board and run the command again within 3 s"
        if not heard:
            return NoAnswer(f"{self.port}: nothing answers; is the board powered and awake? {remedy}")
        if sum(byte > 126 for byte in heard) * 4 > len(heard):
            return ReplError(f"{self.port}: what comes is no text: not {BAUD} baud, or a loose cable")
        return ReplError(
            f"{self.port}: the board talks but gives no prompt: its program cannot be interrupted; {remedy}, "
            f"or flash it again (it said last: {_last_line(heard)!r})"
        )

    def _close(self) -> None:
        try:
            self._transport.close()
        except OSError:
            self._transport.serial.close()  # the control lines are gone with the cable

    @contextmanager
    def _link(self) -> Iterator[None]:
        """Every failure of line or protocol as a ReplError."""
        try:
            yield
        except (serial.SerialException, OSError) as error:
            raise ReplError(f"{self.port}: the link broke: check the cable and try again") from error
        except (TransportError, struct.error) as error:
            raise ReplError(f"{self.port}: the board stopped answering; press RESET and try again") from error


def _last_line(raw: bytes) -> str:
    lines = raw.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")[:_QUOTED]
