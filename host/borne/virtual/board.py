"""A virtual ESP32: flash file, boot ROM, MicroPython, buses and pins, behind a serial port that real tools open."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import queue
import select
import struct
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from borne.virtual import console, flash, nvs, processes
from borne.virtual.clock import Clock, WallClock
from borne.virtual.life import Life, RomSession
from borne.virtual.line import Line
from borne.virtual.peripherals import Entropy, Peripherals, Refused
from borne.virtual.shim import _ops as ops
from borne.virtual.silicon import Misuse
from borne.virtual.wiring import Wiring

T = TypeVar("T")

FLASH_SIZE = 4 * 1024 * 1024
# About 100 KB of the 32-bit chip's heap, what v1.25 has left after boot: the 64-bit port needs 1.5 to 2 times as much.
HEAP = 170 * 1024
# What the modules of shim/ take of it; the chip has them in flash. Measured by gc.mem_alloc() after start().
_SHIM_HEAP = 64 * 1024
# esptool's SYNC (ESP serial protocol): SLIP start, request, opcode 8, 36 bytes.
_SYNC = b"\xc0\x00\x08\x24\x00"
# A board that has not slept for so much of its time waits for the others; also what makes a busy loop stand still.
_SLICE_US = 100_000
# Prompt after 1.3 s measured on real boards (power-on checks every byte of the image, a wake does not).
_BOOT_US = {console.POWER_ON: 1_200_000, console.DEEP_SLEEP: 350_000}
_BOOT_OTHER_US = 700_000
_SOFT_RESET_US = 50_000
# No board sleeps longer than this for a pin alone.
_LONGEST_US = 10 * 365 * 86_400_000_000
_EPOCH_2000_US = 946_684_800_000_000
_CONSOLE_KEPT = 1 << 17

# MicroPython's reset causes and the chip's wake-up causes
_PWRON, _HARD, _WDT, _DEEPSLEEP, _SOFT = 1, 2, 3, 4, 5
_CAUSE = {
    console.POWER_ON: _PWRON,
    console.SOFTWARE: _SOFT,
    console.PANIC: _SOFT,
    console.DEEP_SLEEP: _DEEPSLEEP,
    console.WATCHDOG: _WDT,
}
_WAKE_NONE, _WAKE_EXT0, _WAKE_EXT1, _WAKE_TIMER = 0, 2, 3, 4

_open_boards: weakref.WeakSet[VirtualBoard] = weakref.WeakSet()


class VirtualBoard:
    """`folder` keeps its flash (`flash.bin`) and with it everything that survives a power cut.

    `mac`: six bytes, by default derived from the folder's name. `entropy_seed`: os.urandom gives a repeatable stream.
    `access_points`: {ssid: password}, looked at live. `patience`: real seconds that a poll of a silent socket may
    take before simulated time passes instead.

    A board starts without power. All state belongs to one service thread; the public methods may be called from any.
    """

    # An answer that waits for the clock: sequence, status, payload.
    _held: tuple[int, int, bytes] | None
    _held_until_input: bool
    _watchdog_due_us: int | None

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
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.chip = chip
        self.mac = mac or b"\x24\x0a\xc4" + hashlib.sha256(self.folder.name.encode()).digest()[:3]
        self.flash = flash.Flash(self.folder / "flash.bin", flash_size)
        self.clock: Clock = clock or WallClock()
        self.line = Line()
        self.number = self.clock.add(self)
        self.now_us = self.clock.now_us
        self.due_us: int | None = None
        self.state = "off"
        self.notes: list[str] = []
        self.misuses: list[str] = []
        self.boots = 0
        self.progress = 0  # calls that its software has made to its hardware
        self.peripherals = Peripherals(
            wiring or Wiring(), Entropy(entropy_seed), access_points or {}, self.number
        )
        self._heap = heap + _SHIM_HEAP
        self._patience_ms = int(patience * 1000)
        self._console = console.Console(chip)
        self._printed = bytearray()
        self._printing = threading.Condition()
        self._settled = threading.Event()
        self._settled.set()
        self._life: Life | None = None
        self._rom: RomSession | None = None
        self._input = b""
        self._reset_run_state()
        self._rtc_epoch_us = self.now_us
        self._cause = console.POWER_ON
        self._wake_reason = _WAKE_NONE
        self._commands: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._wakeup_read, self._wakeup_write = os.pipe()
        self._closing = False
        self._interest: list[tuple[int, int]] = []
        self._poll = select.poll()
        processes.raise_limit()
        self._thread = threading.Thread(target=self._serve, name=f"board {self.number}", daemon=True)
        self._thread.start()
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
        os.write(self._wakeup_write, b"x")
        self._thread.join()
        for descriptor in (self._wakeup_read, self._wakeup_write):
            os.close(descriptor)
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

    # -- what its clock does --------------------------------------------------------------------------------------

    def resume(self, at_us: int) -> None:
        self._settled.clear()
        self._post(lambda: self._resume(at_us))

    def wait_until_settled(self, seconds: float = 20.0) -> bool:
        """Wait in real time until it sleeps, stands at its prompt, or cannot go on by itself."""
        return self._settled.wait(seconds)

    def hang(self) -> None:
        """It spins without touching its hardware: let its watchdog see, or stop it."""
        self._do(self._give_up)

    # -- the service thread ---------------------------------------------------------------------------------------

    def _do(self, action: Callable[[], T]) -> T:
        if self._closing:
            raise RuntimeError("this virtual board is closed")
        future: Future[T] = self._post(action)
        return future.result()

    def _post(self, action: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._commands.put((action, future))
        os.write(self._wakeup_write, b"x")
        return future

    def _serve(self) -> None:
        try:
            while not self._closing:
                self._serve_once()
        finally:
            self._end_processes()
            self._settled.set()

    def _serve_once(self) -> None:
        for descriptor in self._wait_for_events():
            if self._life is not None and descriptor == self._life.door_descriptor:
                self._on_door()
            elif descriptor == self._wakeup_read:
                self._run_commands()
            elif descriptor == self.line.fileno():
                self._on_line()
            elif self._life is not None and descriptor == self._life.console:
                self._on_console()
            elif self._rom is not None and descriptor == self._rom.line.fileno():
                self._on_rom()
        if self.due_us is not None and self.clock.seconds_until(self.due_us) == 0:
            self._settled.clear()
            self._resume(self.due_us)

    def _wait_for_events(self) -> list[int]:
        interest = [(self._wakeup_read, select.POLLIN)]
        if not self.line.is_gone:
            interest.append((self.line.fileno(), select.POLLIN))
        if self._life is not None:
            interest.append((self._life.door_descriptor, select.POLLIN))
            if not self.line.congested:
                more = select.POLLOUT if self._life.congested else 0
                interest.append((self._life.console, select.POLLIN | more))
        if self._rom is not None and not self.line.congested:
            interest.append((self._rom.line.fileno(), select.POLLIN))
        if interest != self._interest:
            self._interest = interest
            self._poll = select.poll()
            for descriptor, events in interest:
                self._poll.register(descriptor, events)
        seconds = None if self.due_us is None else self.clock.seconds_until(self.due_us)
        return [
            descriptor for descriptor, _ in self._poll.poll(None if seconds is None else seconds * 1000 + 1)
        ]

    def _run_commands(self) -> None:
        os.read(self._wakeup_read, 4096)
        while True:
            try:
                action, future = self._commands.get_nowait()
            except queue.Empty:
                return
            try:
                future.set_result(action())
            except BaseException as error:
                future.set_exception(error)

    # -- the serial line ------------------------------------------------------------------------------------------

    def _print(self, data: bytes) -> None:
        if not data:
            return
        self.line.write(data)
        with self._printing:
            self._printed += data
            del self._printed[:-_CONSOLE_KEPT]
            self._printing.notify_all()

    def _on_line(self) -> None:
        data, hung_up = self.line.read()
        if self.state == "off":
            return
        if data and self._rom is not None:
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
            self._life.write(data)
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

    def _on_console(self) -> None:
        life = self._life
        assert life is not None
        life.flush()
        data = life.read()
        if data is None:
            self._on_end(life.end(kill=False))
        else:
            self._print(self._console.pass_on(data))

    def _drain(self) -> None:
        """Everything that it printed before the call that it just made."""
        while self._life is not None:
            data = self._life.read()
            if not data:
                return
            self._print(self._console.pass_on(data))

    # -- life and death -------------------------------------------------------------------------------------------

    def _reset_run_state(self) -> None:
        self._held = None
        self._held_until_input = False
        self._input_waits = False
        self._at_prompt = False
        self._watchdog_us = 0
        self._watchdog_due_us = None
        self._timers = 0
        self._greeted = self._mounting = False
        self._hello_us = self.now_us

    def _become(self, state: str) -> None:
        self.state = state
        if state == "running":
            self._settled.clear()
        else:
            self._settled.set()

    def _note(self, text: str) -> None:
        self.notes.append(f"{(self.now_us - self._rtc_epoch_us) / 1e6:.3f} s: {text}")

    def _end_processes(self) -> None:
        if self._life is not None:
            self._life.end(kill=True)
            self._life = None
        if self._rom is not None:
            self._rom.end()
            self._rom = None
        self.due_us = None

    def _power_off(self) -> None:
        self._end_processes()
        self.peripherals.reset()
        self._become("off")

    def _boot(self, reason: int, wake_reason: int = _WAKE_NONE, granted_us: int | None = None) -> None:
        """Start as after a chip reset. `granted_us`: the clock's time if it was the clock that let this happen."""
        self._end_processes()
        self.now_us = max(self.now_us, self.clock.now_us)
        if reason == console.POWER_ON:
            self.peripherals.rtc_memory = b""
            self._rtc_epoch_us = self.now_us
        self.peripherals.reset()
        self._cause, self._wake_reason = reason, wake_reason
        try:
            table = self.flash.check(self.chip)
        except flash.NotBootable as error:
            self._become("invalid")
            self._print((console.reset_lines(self.chip, reason) + str(error)).encode())
            return
        part = flash.find_nvs(table)
        self.peripherals.nvs = nvs.Partition(self.flash.data, part.offset, part.size) if part else None
        self._table = table
        self._print(console.boot_log(self.chip, reason).encode())
        self.now_us += _BOOT_US.get(reason, _BOOT_OTHER_US)
        self._granted_us = self.now_us if granted_us is None else granted_us
        self._boot_us = self.now_us
        self._start(skip_main=False)

    def _start(self, skip_main: bool) -> None:
        self._reset_run_state()
        self._at_prompt = self._skip_main = skip_main
        self._console.start(raw=skip_main)
        self.boots += 1
        descriptor = self.flash.open_again()
        try:
            self._life = Life(descriptor, self._heap)
        finally:
            os.close(descriptor)
        self._become("running")

    def _print_invalid(self) -> None:
        try:
            self.flash.check(self.chip)
        except flash.NotBootable as error:
            self._print((console.reset_lines(self.chip, console.POWER_ON) + str(error)).encode())

    def _on_end(self, status: int) -> None:
        """The process has ended by itself: a soft reset, or a crash."""
        self._life = None
        self.due_us = None
        if not self._greeted:
            self._note(f"MicroPython does not start (exit status {status})")
            self._become("dead")
        elif status < 0:
            self._note(f"crashed by signal {-status}")
            self._print(console.panic().encode())
            self._boot(console.PANIC, granted_us=self._granted_us)
        else:
            self._soft_reset()

    def _soft_reset(self) -> None:
        raw = self._console.raw
        self._print(b"MPY: soft reboot\r\n")
        self.now_us += _SOFT_RESET_US
        if self._at_prompt:
            self._granted_us = self.now_us
        self._cause = console.SOFTWARE
        self._start(skip_main=raw)

    def _give_up(self) -> None:
        if self.state != "running":
            return
        if self._watchdog_due_us is not None:
            self.now_us = max(self.now_us, self._watchdog_due_us)
            self._bite()
        else:
            self._note("hangs: it spins without touching its hardware")
            self._end_processes()
            self._become("dead")

    def _bite(self) -> None:
        self._note("the watchdog bites")
        self._drain()
        self._boot(console.WATCHDOG, granted_us=self.now_us)

    # -- calls from the board's software --------------------------------------------------------------------------

    def _on_door(self) -> None:
        assert self._life is not None
        request = self._life.receive()
        if request is None:
            self._on_console()
            return
        op, sequence, spent, payload = request
        self.progress += 1
        self._held = None
        self._go_on()
        self.now_us += spent
        if isinstance(self.clock, WallClock):
            self.now_us = self._granted_us = max(self.now_us, self.clock.now_us)
        if self._watchdog_due_us is not None and self.now_us >= self._watchdog_due_us and not self._at_prompt:
            self._bite()
            return
        special = self._SPECIAL.get(op)
        if special is not None:
            special(self, sequence, payload)
        else:
            self._on_peripheral(op, sequence, payload)

    def _on_peripheral(self, op: int, sequence: int, payload: bytes) -> None:
        try:
            answer, cost = self.peripherals.call(op, payload, self.now_us)
        except Refused as refusal:
            self._answer(sequence, refusal.payload, status=refusal.status)
            return
        except Misuse as error:
            self.misuses.append(str(error))
            self._answer(sequence, str(error).encode()[: ops.PIECE], status=ops.MISUSE)
            return
        self.now_us += cost
        self._answer(sequence, answer)

    def _answer(self, sequence: int, payload: bytes = b"", *, status: int = ops.OK) -> None:
        """Answer now, or when the clock has caught up with what the board has done since it last waited."""
        gated = not self._at_prompt and not self._mounting
        if gated and self.now_us - self._granted_us > _SLICE_US:
            self._hold(sequence, payload, self.now_us, status)
        else:
            self._send(sequence, status, payload)

    def _send(self, sequence: int, status: int, payload: bytes) -> None:
        assert self._life is not None
        if self.peripherals.station.is_up(self.now_us):
            status |= ops.LINK_UP
        self._life.answer(sequence, status, self.now_us - self._boot_us, payload)

    def _hold(self, sequence: int, payload: bytes, due_us: int, status: int = ops.OK) -> None:
        watchdog = None if self._at_prompt else self._watchdog_due_us
        if (watchdog is None or due_us < watchdog) and self.clock.pass_to(self, due_us):
            self.now_us = self._granted_us = due_us
            self._send(sequence, status, payload)
            return
        self._held = (sequence, status, payload)
        self.due_us = due_us if watchdog is None else min(due_us, watchdog)
        self._drain()
        self._become("waiting")

    def _release(self) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        self._held_until_input = self._input_waits = False
        self._go_on()
        self._send(*held)

    def _go_on(self) -> None:
        """It runs, until it asks for time; at its prompt only a host makes it run, and no clock waits for that."""
        starving = self._at_prompt and not self._timers
        self.due_us = self._watchdog_due_us if starving else None
        wanted = "prompt" if self._at_prompt else "running"
        if self.state != wanted:
            self._become(wanted)

    def _resume(self, at_us: int) -> None:
        if self.due_us is None or at_us < self.due_us:  # a host has interrupted it meanwhile
            if self.state != "running":
                self._settled.set()
            return
        self.now_us = self._granted_us = max(self.now_us, at_us)
        if self.state == "asleep":
            self._boot(
                console.DEEP_SLEEP, self._wakes_by, granted_us=self.now_us + _BOOT_US[console.DEEP_SLEEP]
            )
        elif self._watchdog_due_us is not None and self.now_us >= self._watchdog_due_us:
            self._bite()
        elif self._held is not None:
            self._release()

    def _on_hello(self, sequence: int, payload: bytes) -> None:
        self._greeted = self._mounting = True
        self._hello_us = self.now_us
        vfs = next((n for n, part in enumerate(self._table) if part.label in ("vfs", "ffat")), -1)
        head = struct.pack(
            "<BBBbqHIB",
            _CAUSE[self._cause],
            self._wake_reason,
            self._skip_main,
            vfs,
            self.now_us - self._rtc_epoch_us,
            self._patience_ms,
            self.flash.size,
            len(self._table),
        )
        parts = b"".join(
            struct.pack("<BBII16s", part.type, part.subtype, part.offset, part.size, part.label.encode())
            for part in self._table
        )
        self._answer(sequence, head + self.mac + self.chip.encode().ljust(8, b"\0") + parts)

    def _on_wait(self, sequence: int, payload: bytes) -> None:
        microseconds, flags = struct.unpack("<QB", payload)
        self._held_until_input = bool(flags & ops.UNTIL_INPUT)
        if self._held_until_input and self._input_waits:
            self._input_waits = False
            self._send(sequence, ops.OK, b"\xff")
            return
        due_us, event = self.now_us + microseconds, b""
        edge = self.peripherals.next_edge(self.now_us)
        if edge is not None and edge[0] <= due_us:
            due_us, event = edge
        if self._at_prompt and not isinstance(self.clock, WallClock):
            # A host at work does not wait for a clock that perhaps nobody runs.
            self.now_us = due_us
            self._send(sequence, ops.OK, event)
        else:
            self._hold(sequence, event, due_us)

    def _on_sync(self, sequence: int, payload: bytes) -> None:
        self._answer(sequence)

    def _on_phase(self, sequence: int, payload: bytes) -> None:
        if payload[0] == ops.PHASE_MAIN:
            # Mounting (and formatting) may take long, but a board must come up for a host on a standing clock.
            self._granted_us += self.now_us - self._hello_us
            self._mounting = False
            self._answer(sequence)
            return
        self._at_prompt = True
        self._drain()
        raw = self._console.hide_until_raw()
        self._send(sequence, ops.OK, b"")
        if raw and self._life is not None:
            self._life.write(b"\x01")
        self._go_on()

    def _on_reset(self, sequence: int, payload: bytes) -> None:
        self._drain()
        # Asked for by a host, it boots at once; by a program, when the clock has come so far.
        self._boot(console.SOFTWARE, granted_us=None if self._at_prompt else self._granted_us)

    def _on_soft_reset(self, sequence: int, payload: bytes) -> None:
        self._drain()
        self._end_processes()
        self._soft_reset()

    def _on_deep_sleep(self, sequence: int, payload: bytes) -> None:
        microseconds, ext0, ext0_level, ext1, ext1_level = struct.unpack("<QbBQB", payload)
        end_us = self.now_us + (microseconds or _LONGEST_US)
        candidates = [(end_us, _WAKE_TIMER)] if microseconds else []
        for pins, level, reason in (
            ([ext0] if ext0 >= 0 else [], ext0_level, _WAKE_EXT0),
            ([pin for pin in range(64) if ext1 >> pin & 1], ext1_level, _WAKE_EXT1),
        ):
            at_us = self.peripherals.level_reached(pins, level, self.now_us)
            if at_us is not None and at_us <= end_us:
                candidates.append((at_us, reason))
        self._drain()
        self._end_processes()
        if candidates:
            self.due_us, self._wakes_by = min(candidates)
        self._become("asleep")

    def _on_rtc_set(self, sequence: int, payload: bytes) -> None:
        self._rtc_epoch_us = self.now_us - struct.unpack("<q", payload)[0]
        self._answer(sequence)

    def _on_watchdog(self, sequence: int, payload: bytes) -> None:
        milliseconds = struct.unpack("<I", payload)[0]
        self._watchdog_us = milliseconds * 1000 or self._watchdog_us
        self._watchdog_due_us = self.now_us + self._watchdog_us
        self._answer(sequence)

    def _on_timer(self, sequence: int, payload: bytes) -> None:
        self._timers = payload[0]
        self._answer(sequence)

    _SPECIAL: dict[int, Callable[[VirtualBoard, int, bytes], None]] = {
        ops.HELLO: _on_hello,
        ops.WAIT: _on_wait,
        ops.SYNC: _on_sync,
        ops.PHASE: _on_phase,
        ops.RESET: _on_reset,
        ops.SOFT_RESET: _on_soft_reset,
        ops.DEEPSLEEP: _on_deep_sleep,
        ops.RTC_SET: _on_rtc_set,
        ops.WDT_FEED: _on_watchdog,
        ops.TIMER_COUNT: _on_timer,
    }


@atexit.register
def _close_all() -> None:
    for board in list(_open_boards):
        with contextlib.suppress(Exception):
            board.close()
