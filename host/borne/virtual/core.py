"""A virtual ESP32 from power-on to reset: what boots, what runs, what it prints, when it sleeps."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from borne.virtual import console, flash, nvs
from borne.virtual.clock import Clock
from borne.virtual.life import Life, RomSession
from borne.virtual.line import Line
from borne.virtual.peripherals import Entropy, Peripherals
from borne.virtual.service import Service
from borne.virtual.wiring import Wiring

# What the modules of shim/ take of the heap; the chip has them in flash. Measured by gc.mem_alloc() after start().
_SHIM_HEAP = 64 * 1024
# Prompt after 1.3 s measured on real boards (power-on checks every byte of the image, a wake does not).
BOOT_US = {console.POWER_ON: 1_200_000, console.DEEP_SLEEP: 350_000}
_BOOT_OTHER_US = 700_000
_SOFT_RESET_US = 50_000
_CONSOLE_KEPT = 1 << 17

# esp_sleep_wakeup_cause_t
WAKE_NONE, WAKE_EXT0, WAKE_EXT1, WAKE_TIMER = 0, 2, 3, 4


class Core(Service):
    """All but the calls of its software (calls.py) and its user (board.py)."""

    # An answer that waits for the clock: sequence, status, payload.
    _held: tuple[int, int, bytes] | None
    _held_until_input: bool
    _watchdog_due_us: int | None
    # Its own code runs, not a program of its user: no clock holds it back.
    _own_since_us: int | None
    # Nothing interrupts it: on a chip Ctrl-C would wait in the input.
    _deaf: bool
    _banner_is_due: bool

    def __init__(
        self,
        chip: str,
        mac: bytes,
        memory: flash.Flash,
        clock: Clock,
        wiring: Wiring,
        entropy: Entropy,
        access_points: Mapping[str, str],
        heap: int,
        patience: float,
    ) -> None:
        super().__init__()
        self.chip = chip
        self.mac = mac
        self.flash = memory
        self.clock = clock
        self.line = Line(memory.path.with_name("tty"))
        self.number = clock.add(self)
        self.now_us = clock.now_us
        self.due_us: int | None = None
        self.state = "off"
        self.notes: list[str] = []
        self.misuses: list[str] = []
        self.boots = 0
        self.progress = 0  # calls that its software has made to its hardware
        self.peripherals = Peripherals(wiring, entropy, access_points, self.number)
        self._heap = heap + _SHIM_HEAP
        self._patience_ms = int(patience * 1000)
        self._console = console.Console(chip)
        self._printed = bytearray()
        self._printing = threading.Condition()
        self._settled = threading.Event()
        self._settled.set()
        self._life: Life | None = None
        self._rom: RomSession | None = None
        self._table: list[flash.Partition] = []
        self._granted_us = self._boot_us = self._rtc_epoch_us = self.now_us
        self._cause = console.POWER_ON
        self._wake_reason = WAKE_NONE
        self._reset_run_state()

    def resume(self, at_us: int) -> None:
        self._settled.clear()
        self._post(lambda: self._resume(at_us))

    def wait_until_settled(self, seconds: float = 20.0) -> bool:
        """Wait in real time until it sleeps, stands at its prompt, or cannot go on by itself."""
        return self._settled.wait(seconds)

    def hang(self) -> None:
        """It spins without touching its hardware: let its watchdog see, or stop it."""
        self._do(self._give_up)

    def _resume(self, at_us: int) -> None:
        raise NotImplementedError

    # -- what it prints -------------------------------------------------------------------------------------------

    def _print(self, data: bytes) -> None:
        if not data:
            return
        self.line.write(data)
        with self._printing:
            self._printed += data
            del self._printed[:-_CONSOLE_KEPT]
            self._printing.notify_all()

    def _on_console(self) -> None:
        life = self._life
        assert life is not None
        life.flush()
        data = life.read()
        if data is None:
            self._on_end(life.end(kill=False))
        else:
            if data and self._banner_is_due:
                self._banner_is_due = self._deaf = False
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
        self._greeted = False
        self._own_since_us = None
        self._deaf, self._banner_is_due = True, False

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

    def _boot(self, reason: int, wake_reason: int = WAKE_NONE, granted_us: int | None = None) -> None:
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
        self.now_us += BOOT_US.get(reason, _BOOT_OTHER_US)
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
