"""A virtual ESP32: flash file, boot ROM, MicroPython, buses and pins, behind a serial port that real tools open."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import select
import weakref
from collections.abc import Mapping
from pathlib import Path

from borne.virtual import console, flash, processes
from borne.virtual.calls import Calls
from borne.virtual.clock import Clock, WallClock
from borne.virtual.life import RomSession
from borne.virtual.peripherals import Entropy
from borne.virtual.shim import _ops as ops
from borne.virtual.wiring import Wiring

FLASH_SIZE = 4 * 1024 * 1024
# About 100 KB of the 32-bit chip's heap, what v1.25 has left after boot: the 64-bit port needs 1.5 to 2 times as much.
HEAP = 170 * 1024
# esptool's SYNC (ESP serial protocol): SLIP start, request, opcode 8, 36 bytes.
_SYNC = b"\xc0\x00\x08\x24\x00"

_open_boards: weakref.WeakSet[VirtualBoard] = weakref.WeakSet()


class VirtualBoard(Calls):
    """`folder` keeps its flash (`flash.bin`) and with it everything that survives a power cut.

    `mac`: six bytes, by default derived from the folder's name. `entropy_seed`: os.urandom gives a repeatable stream.
    `access_points`: {ssid: password}, looked at live. `patience`: real seconds that a poll of a silent socket may
    take before simulated time passes instead.

    A board starts without power. All state belongs to one service thread; the public methods may be called from any.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        chip: str = "esp32",
        flash_size: int = FLASH_SIZE,
        mac: bytes | None = None,
        wiring: Wiring | None = None,
        clock: Clock | None = None,
        entropy_seed: int | None = None,
        access_points: Mapping[str, str] | None = None,
        heap: int = HEAP,
        patience: float = 0.25,
    ) -> None:
        if chip not in flash.CHIP_ID:
            raise ValueError(f"no virtual {chip}; there are: {', '.join(flash.CHIP_ID)}")
        processes.raise_limit()
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        super().__init__(
            chip,
            mac or b"\x24\x0a\xc4" + hashlib.sha256(self.folder.name.encode()).digest()[:3],
            flash.Flash(self.folder / "flash.bin", flash_size),
            clock or WallClock(),
            wiring or Wiring(),
            Entropy(entropy_seed),
            access_points if access_points is not None else {},
            heap,
            patience,
        )
        self._input = b""
        self._start_thread(f"board {self.number}")
        _open_boards.add(self)

    # -- what a user does to a board ------------------------------------------------------------------------------

    @property
    def port(self) -> str:
        """What esptool, mpremote and the rest open."""
        return self.line.port

    def power_on(self) -> None:
        self._do(lambda: self._boot(console.POWER_ON) if self.state == "off" else None)

    def power_off(self) -> None:
        """At once, in the middle of whatever it does; RTC memory is lost, flash is not."""
        self._do(self._power_off)

    def reset(self) -> None:
        """Press EN."""
        self._do(lambda: self._boot(console.POWER_ON))

    def replug(self) -> str:
        """Put the cable back in after a fault pulled it; gives the port's name, which may be a new one."""
        return self._do(self.line.replug)

    def close(self) -> None:
        """End everything; safe to call twice."""
        if self._closing:
            return
        self._closing = True
        self.clock.remove(self)
        self._stop_thread()
        self.line.close()
        self.flash.close()
        _open_boards.discard(self)

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def printed(self) -> bytes:
        """What it has sent to its serial port, heard or not (the last 128 KiB)."""
        return bytes(self._printed)

    def wait_for(self, text: bytes, seconds: float = 20.0) -> bool:
        """Wait in real time until it has printed `text`."""
        with self._printing:
            return self._printing.wait_for(lambda: text in self._printed, seconds)

    def forget_printed(self) -> None:
        with self._printing:
            self._printed.clear()

    # -- events of the service thread -----------------------------------------------------------------------------

    def _interests(self) -> list[tuple[int, int]]:
        interest = [] if self.line.is_gone else [(self.line.fileno(), select.POLLIN)]
        if self._life is not None:
            interest.append((self._life.door_descriptor, select.POLLIN))
            if not self.line.congested:
                more = select.POLLOUT if self._life.congested else 0
                interest.append((self._life.console, select.POLLIN | more))
        if self._rom is not None and not self.line.congested:
            interest.append((self._rom.line.fileno(), select.POLLIN))
        return interest

    def _on_event(self, descriptor: int) -> None:
        if self._life is not None and descriptor == self._life.door_descriptor:
            self._on_door()
        elif descriptor == self.line.fileno():
            self._on_line()
        elif self._life is not None and descriptor == self._life.console:
            self._on_console()
        elif self._rom is not None and descriptor == self._rom.line.fileno():
            self._on_rom()

    def _seconds_left(self) -> float | None:
        return None if self.due_us is None else self.clock.seconds_until(self.due_us)

    def _on_time(self) -> None:
        assert self.due_us is not None
        self._settled.clear()
        self._resume(self.due_us)

    def _on_close(self) -> None:
        self._end_processes()
        self._settled.set()

    # -- the serial line ------------------------------------------------------------------------------------------

    def _on_line(self) -> None:
        data, hung_up = self.line.read()
        if self.state == "off":
            return
        if data and self._rom is not None:
            # It may just have started the application; `_on_rom` sees that.
            with contextlib.suppress(ConnectionError):
                self._rom.line.sendall(data)
        elif data:
            self._on_host_bytes(data)
        if hung_up and self._rom is not None:
            self._leave_rom()

    def _on_host_bytes(self, data: bytes) -> None:
        at = (self._input + data).find(_SYNC)
        if at >= 0:
            # A pty has no DTR and RTS to pull GPIO0 and EN with, so SYNC alone brings up the loader.
            self._enter_rom((self._input + data)[at:])
            return
        self._input = (self._input + data)[-len(_SYNC) + 1 :]
        if self.state == "invalid":
            self._print_invalid()
        if self._life is not None:
            # Nothing interrupts a chip before boot.py (ports/esp32/main.c: _boot.py runs without). Here a Ctrl-C would
            # kill a process that just starts, or leave it without its files.
            self._life.write(data.replace(b"\x03", b"") if self._deaf else data)
            self._input_waits = True
            if self._held is not None and self._held_until_input:
                self._held = (self._held[0], ops.OK, b"\xff")
                self._release()

    def _enter_rom(self, first: bytes) -> None:
        self._end_processes()
        self._note("enters the serial loader")
        self._input = b""
        self._become("rom")
        self._rom = RomSession(self.flash.fileno(), self.chip, self.mac)
        self._rom.line.sendall(first)

    def _leave_rom(self) -> None:
        self._note("leaves the serial loader")
        self._boot(console.POWER_ON)

    def _on_rom(self) -> None:
        assert self._rom is not None
        try:
            data = self._rom.line.recv(65536)
        except ConnectionError:
            data = b""
        if data:
            self.line.write(data)
        else:
            self._leave_rom()


@atexit.register
def _close_all() -> None:
    for board in list(_open_boards):
        with contextlib.suppress(Exception):
            board.close()
