"""What the emulated chip's software asks of its hardware, and when it gets its answer."""

from __future__ import annotations

import struct
from collections.abc import Callable

from borne.virtual import console
from borne.virtual.clock import WallClock
from borne.virtual.core import BOOT_US, WAKE_EXT0, WAKE_EXT1, WAKE_TIMER, Core
from borne.virtual.peripherals import Refused
from borne.virtual.shim import _ops as ops
from borne.virtual.silicon import Misuse

# A board that has not slept for so much of its time waits for the others; also what makes a busy loop stand still.
_SLICE_US = 100_000
# No board sleeps longer than this for a pin alone.
_LONGEST_US = 10 * 365 * 86_400_000_000
# MicroPython's reset causes (ports/esp32/modmachine.c); a reset by software is its SOFT_RESET.
_PWRON, _WDT, _DEEPSLEEP, _SOFT = 1, 3, 4, 5
_CAUSE = {
    console.POWER_ON: _PWRON,
    console.SOFTWARE: _SOFT,
    console.PANIC: _SOFT,
    console.DEEP_SLEEP: _DEEPSLEEP,
    console.WATCHDOG: _WDT,
}


class Calls(Core):
    """Serves the door of shim/_link.py. An answer may wait for the clock; nothing else stops the software."""

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
        gated = not self._at_prompt and self._own_since_us is None
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
                console.DEEP_SLEEP, self._wakes_by, granted_us=self.now_us + BOOT_US[console.DEEP_SLEEP]
            )
        elif self._watchdog_due_us is not None and self.now_us >= self._watchdog_due_us:
            self._bite()
        elif self._held is not None:
            self._release()

    def _on_hello(self, sequence: int, payload: bytes) -> None:
        self._greeted = True
        self._own_since_us = self.now_us
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
        phase = payload[0]
        if self._own_since_us is not None:
            # Mounting (and formatting) may take long, but a board must come up for a host on a standing clock.
            self._granted_us += self.now_us - self._own_since_us
        self._own_since_us = self.now_us if phase in (ops.PHASE_SYSTEM, ops.PHASE_CORRUPT) else None
        self._deaf = phase in (ops.PHASE_SYSTEM, ops.PHASE_REPL)
        if phase != ops.PHASE_REPL:
            self._answer(sequence)
            return
        self._at_prompt = self._banner_is_due = True
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
        candidates = [(end_us, WAKE_TIMER)] if microseconds else []
        for pins, level, reason in (
            ([ext0] if ext0 >= 0 else [], ext0_level, WAKE_EXT0),
            ([pin for pin in range(64) if ext1 >> pin & 1], ext1_level, WAKE_EXT1),
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

    _SPECIAL: dict[int, Callable[[Calls, int, bytes], None]] = {
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
