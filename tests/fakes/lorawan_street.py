"""LoRaWAN nodes of a whole street on CPython: the node's own link and driver over simulated chips, in simulated time.

Each node runs in a thread of its own and is resumed by the SimClock like a virtual board, one at a time. What a node
measures is left out: it has a report of a fixed size to send at fixed times.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from aes import aes
from store import FakeStore

from borne.virtual.clock import SimClock
from borne_node.chips.lora import airtime_us
from borne_node.chips.sx126x import SX126x
from borne_node.chips.sx127x import SX127x
from borne_node.errors import LinkDown
from borne_node.link.lorawan.link import LoraWanLink
from borne_node.report import codec

_TICKS = (1 << 30) - 1
_SPI_HZ = 8_000_000
_PIN_US = 8  # a call of Pin.value() in MicroPython on the ESP32
_BOOT_US = 350_000
_RETRY_S = 60
OVERHEAD = 13


class Ended(BaseException):
    """The street is over: unwinds a node's thread."""


class Puppet:
    """A board of the SimClock whose software is `live(puppet)`, and the clock that its firmware sees."""

    progress = 0

    def __init__(self, clock: SimClock, live: Callable[[Puppet], None], starts_us: int) -> None:
        self._sim = clock
        self._live = live
        self.number = clock.add(self)
        self.due_us: int | None = starts_us
        self.now_us = starts_us
        self.error: BaseException | None = None
        self._ahead = 0  # of what everybody else knows: costs of its bus
        self._go, self._settled = threading.Event(), threading.Event()
        self._settled.set()
        self._ending = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._offset_s: int | None = None
        self._thread.start()

    def _run(self) -> None:
        self._go.wait()
        try:
            if not self._ending:
                self._live(self)
        except Ended:
            pass
        except BaseException as error:
            self.error = error
        self.due_us = None
        self._settled.set()

    # -- the clock's side

    def resume(self, at_us: int) -> None:
        self.now_us = max(self.now_us, at_us)
        self._settled.clear()
        self._go.set()

    def wait_until_settled(self, seconds: float) -> bool:
        return self._settled.wait(seconds)

    def hang(self) -> None:
        raise AssertionError("a node hangs")

    def end(self) -> None:
        self._ending = True
        self._go.set()
        self._thread.join(10)

    # -- the firmware's side

    def spend(self, us: int) -> None:
        self.now_us += us

    def sleep_us(self, us: int) -> None:
        due = self.now_us + us
        if not self._sim.pass_to(self, due):
            self._go.clear()
            self.due_us = due
            self._settled.set()
            self._go.wait()
            if self._ending:
                raise Ended
        self.now_us = max(self.now_us, due)

    def sleep_ms(self, ms: int) -> None:
        if ms < 0:
            raise ValueError("sleep_ms of a negative time")
        self.sleep_us(ms * 1000)

    def ticks_ms(self) -> int:
        return (self.now_us // 1000) & _TICKS

    @property
    def is_set(self) -> bool:
        return self._offset_s is not None

    def now(self) -> int:
        return self.now_us // 1_000_000 + (self._offset_s or 0)

    def set(self, now: int) -> None:
        self._offset_s = now - self.now_us // 1_000_000


class Bus:
    """machine.SPI and machine.Pin between the driver and a chip."""

    def __init__(self, chip: Any, puppet: Puppet) -> None:
        self.chip, self.puppet = chip, puppet
        self.cs, self.reset, self.busy = Bus.Pin(self, None), Bus.Pin(self, "reset"), Bus.Pin(self, "level")

    class Pin:
        def __init__(self, bus: Bus, what: str | None) -> None:
            self._bus, self._what = bus, what

        def value(self, *level: int) -> int | None:
            bus = self._bus
            bus.puppet.spend(_PIN_US)
            if self._what == "level":
                return int(bus.chip.level(bus.puppet.now_us))
            if self._what == "reset" and level:
                bus.chip.reset(level[0], bus.puppet.now_us)
            return None

    def write_readinto(self, out: Any, into: Any) -> None:
        sent = bytes(out)
        self.puppet.spend(len(sent) * 8_000_000 // _SPI_HZ)
        into[:] = self.chip.transfer(sent, self.puppet.now_us)


class Meter:
    """A radio driver whose listening is timed, and whose packets are counted by frequency."""

    def __init__(self, radio: Any, node: Node) -> None:
        self._radio, self._node = radio, node
        self._since = self._frequency = 0

    def configure(self, frequency: int, *settings: Any, **more: Any) -> None:
        self._radio.configure(frequency, *settings, **more)
        self._frequency = frequency

    def __getattr__(self, name: str) -> Any:
        return getattr(self._radio, name)

    def start_receive(self, symbols: int) -> None:
        self._radio.start_receive(symbols)
        self._since = self._node.puppet.now_us

    def poll_receive(self) -> Any:
        got = self._radio.poll_receive()
        if got is not None:
            self._node.listened_us += self._node.puppet.now_us - self._since
        if got:
            self._node.heard[self._frequency] += 1
        return got


class Node:
    """`every_s`: seconds between its reports of `size` bytes on `port`; `until` in unix seconds."""

    def __init__(
        self,
        clock: SimClock,
        name: str,
        chip: Any,
        key: bytes,
        seed: int,
        *,
        every_s: int = 900,
        size: int = 3,
        port: int = 10,
        starts_s: float = 0.0,
        fair_use_s: int = 30,
        **options: Any,
    ) -> None:
        self.name, self.chip, self.key = name, chip, key
        self.every_s, self.size, self.port = every_s, size, port
        self.options = {"fair_use_s": fair_use_s, "gain": 2, **options}
        self.dev_eui = b"\x02" + name.encode().rjust(7, b"\0")[-7:]
        self.nvs, self.rtc = FakeStore(), FakeStore()
        self._rnd = random.Random(f"{seed} {name}")
        self.made = self.sent = self.failures = self.refusals = self.sessions = 0
        self.pending: list[bytes] = []
        self.downlinks: list[tuple[int, bytes]] = []
        self.heard: Counter[int] = Counter()
        self.listened_us = self.awake_us = 0
        self.puppet = Puppet(clock, self.live, clock.now_us + int(starts_s * 1e6))
        self.bus = Bus(chip, self.puppet)

    def radio(self) -> Any:
        bus = self.bus
        if type(self.chip).__name__ == "SX127x":
            driver: Any = SX127x(bus, bus.cs, bus.reset, self.puppet)
        else:
            driver = SX126x(bus, bus.cs, bus.reset, bus.busy, self.puppet)
        return Meter(driver, self)

    def link(self) -> LoraWanLink:
        identity = {"join_eui": bytes(8), "dev_eui": self.dev_eui, "app_key": self.key}
        return LoraWanLink(
            self.radio,
            identity,
            "EU868",
            self.puppet,
            self._rnd.randbytes,
            aes,
            self.nvs,
            self.rtc,
            **self.options,
        )

    def live(self, puppet: Puppet) -> None:
        due_us = puppet.now_us
        while True:
            self.pending.append(self.report())
            self.made += 1
            due_us += self.every_s * 1_000_000
            retry_us = 0
            while self.pending and retry_us is not None and puppet.now_us < due_us:
                retry_us = self.session()
                if retry_us is not None:
                    puppet.sleep_us(max(1, min(retry_us, due_us - puppet.now_us)))
            puppet.sleep_us(max(1, due_us - puppet.now_us))

    def report(self) -> bytes:
        rate = getattr(self, "rate", None)
        room = self.size
        if rate:
            sf, bandwidth, _ = rate
            room = codec.paid(self.size, lambda size: airtime_us(sf, bandwidth, size + OVERHEAD))
        number = self.made.to_bytes(3, "big")
        return (number + bytes(room))[: max(room, 3)]

    def session(self) -> int | None:
        """One wake that sends what waits. Returns microseconds until the next attempt, None when all is sent."""
        puppet, began = self.puppet, self.puppet.now_us
        puppet.sleep_us(_BOOT_US)
        link = self.link()
        try:
            link.open()
            if not puppet.is_set:
                told = link.time()
                if told is not None:
                    puppet.set(told)
            while self.pending:
                got = link.send(self.port, self.pending[0])
                self.pending.pop(0)
                self.sent += 1
                if got:
                    self.downlinks.append(got)
            return None
        except LinkDown as problem:
            if problem.when is not None:
                self.refusals += 1
                return max(1, problem.when - puppet.now()) * 1_000_000
            self.failures += 1
            return self._rnd.randrange(_RETRY_S, 10 * _RETRY_S) * 1_000_000
        finally:
            self.rate = link.rate() or getattr(self, "rate", None)
            link.close()
            self.awake_us += puppet.now_us - began
