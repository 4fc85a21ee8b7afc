"""The air: what is sent, who hears it, what is lost. It lives on the simulated clock beside the boards."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from borne.virtual.air.law import Law
from borne.virtual.air.propagation import Level, Path, Place, distance, drowned, readable
from borne.virtual.clock import SimClock
from borne.virtual.silicon.lora_air import Transceiver, Transmission
from borne.virtual.world.chance import dice

if TYPE_CHECKING:
    from borne.virtual.air.gateway import Gateway

__all__ = ["Air", "Law", "Traffic"]

# A chip looks at what it heard when it is next asked, milliseconds after the end of a frame.
_KEPT_US = 10_000_000


@dataclass
class Traffic:
    """What one node has sent: frames, those that a gateway could read, why the others were lost, airtime."""

    frames: int = 0
    heard: int = 0
    airtime_us: int = 0
    sf: int = 0
    power: float = 0.0
    lost: dict[str, int] = field(default_factory=dict)
    by_sf: dict[int, int] = field(default_factory=dict)


@dataclass(eq=False)
class _Node:
    name: str
    chip: Transceiver
    place: Place
    gain: float
    traffic: Traffic = field(default_factory=Traffic)


@dataclass(eq=False)
class _Signal:
    """A frame on the air, or over; `levels` by the receiver's name."""

    packet: Transmission
    levels: dict[str, Level]
    sender: str
    copies: dict[str, Transmission] = field(default_factory=dict)


class Air:
    """The air of one street. `loss`: share of frames that vanish whatever their strength, in each direction.

    Nodes hear gateways and gateways hear nodes; nodes do not hear each other, for LoRaWAN inverts the downlink (so
    listen-before-talk always finds a free channel).
    """

    progress = 0

    def __init__(self, clock: SimClock, seed: int = 7, *, loss: float = 0.0, law: Law | None = None) -> None:
        self.clock = clock
        self.seed = seed
        self.law = law or Law()
        self.gateways: list[Gateway] = []
        self.nodes: dict[str, _Node] = {}
        self.due_us: int | None = None
        self._loss = loss
        self._dice = dice(seed, "loss")
        self._paths: dict[tuple[str, str], Path] = {}
        self._signals: list[_Signal] = []
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.number = clock.add(self)

    def add_node(self, name: str, chip: Transceiver, place: Place, *, gain: float = 2.0) -> None:
        """`gain`: of its antenna, in dBi."""
        node = _Node(name, chip, place, gain)
        self.nodes[name] = node
        chip.on_air = lambda packet: self._sent(node, packet)

    def add_gateway(self, gateway: Gateway) -> None:
        self.gateways.append(gateway)

    def traffic(self, name: str) -> Traffic:
        return self.nodes[name].traffic

    def close(self) -> None:
        self.clock.remove(self)
        for gateway in self.gateways:
            gateway.close()

    def at(self, at_us: int, do: Callable[[], None]) -> None:
        """Call `do` when simulated time has come to `at_us`."""
        heapq.heappush(self._events, (at_us, next(self._order), do))
        self.due_us = self._events[0][0]
        self.clock.hasten(self)

    # -- the clock's side -----------------------------------------------------------------------------------------

    def resume(self, at_us: int) -> None:
        while self._events and self._events[0][0] <= at_us:
            heapq.heappop(self._events)[2]()
        self.due_us = self._events[0][0] if self._events else None

    def wait_until_settled(self, seconds: float) -> bool:
        return True

    def hang(self) -> None:
        pass

    # -- up -------------------------------------------------------------------------------------------------------

    def _sent(self, node: _Node, packet: Transmission) -> None:
        eirp = packet.power + node.gain
        airtime = packet.end_us - packet.start_us
        traffic = node.traffic
        traffic.frames += 1
        traffic.airtime_us += airtime
        traffic.sf, traffic.power = packet.sf, eirp
        traffic.by_sf[packet.sf] = traffic.by_sf.get(packet.sf, 0) + 1
        self.law.watch(node.name, packet.start_us, packet.end_us, packet.frequency, eirp)
        levels = {
            gateway.eui: self._path(node, gateway).level(eirp, packet.bandwidth) for gateway in self.gateways
        }
        signal = _Signal(packet, levels, node.name)
        self._remember(signal)
        # Judged at its end: by then all that it could collide with is known.
        self.at(packet.end_us, lambda: self._ended(node, signal))

    def _ended(self, node: _Node, signal: _Signal) -> None:
        packet = signal.packet
        reasons = {gateway.eui: self._why_lost(gateway, signal) for gateway in self.gateways}
        reached = [gateway for gateway in self.gateways if not reasons[gateway.eui]]
        if reached:
            node.traffic.heard += 1
        else:
            # Of several gateways the one that came nearest says why.
            why = next((one for one in ("chance", "collision", "busy") if one in reasons.values()), "weak")
            node.traffic.lost[why] = node.traffic.lost.get(why, 0) + 1
        # The best first: a network server answers through it.
        for gateway in sorted(reached, key=lambda one: -signal.levels[one.eui].snr):
            gateway.forward(packet, signal.levels[gateway.eui])

    def _why_lost(self, gateway: Gateway, signal: _Signal) -> str:
        packet, level = signal.packet, signal.levels[gateway.eui]
        if not readable(level, packet.sf) or packet.corrupt:
            return "weak"
        if self._dice.random() < self._loss:
            return "chance"
        if gateway.is_busy(packet):
            return "busy"
        return "collision" if self._collides(signal, gateway.eui) else ""

    def _collides(self, signal: _Signal, receiver: str) -> bool:
        packet = signal.packet
        for other in self._signals:
            if other is signal or receiver not in other.levels or not _together(packet, other.packet):
                continue
            wanted, strength = signal.levels[receiver].rssi, other.levels[receiver].rssi
            if drowned(wanted, packet.sf, strength, other.packet.sf):
                return True
        return False

    # -- down -----------------------------------------------------------------------------------------------------

    def send_down(self, gateway: Gateway, packet: Transmission) -> None:
        """A gateway will send `packet`; told ahead of its start, so that every chip has it when it listens."""
        self.law.watch(gateway.eui, packet.start_us, packet.end_us, packet.frequency, packet.power)
        levels = {
            node.name: self._path(node, gateway).level(packet.power + node.gain, packet.bandwidth)
            for node in self.nodes.values()
        }
        signal = _Signal(packet, levels, gateway.eui)
        self._remember(signal)
        for node in self.nodes.values():
            node.chip.forget(self.clock.now_us - _KEPT_US)
            if readable(levels[node.name], packet.sf) and self._dice.random() >= self._loss:
                heard = copy(packet)
                level = levels[node.name]
                heard.rssi, heard.snr = round(level.rssi), round(level.snr * 4) / 4
                signal.copies[node.name] = heard
                node.chip.hear(heard)
        for other in self._signals:
            for one in (other, signal):
                for name, heard in one.copies.items():
                    if _together(other.packet, packet) and self._collides(one, name):
                        heard.corrupt = "payload"

    def _path(self, node: _Node, gateway: Gateway) -> Path:
        key = node.name, gateway.eui
        if key not in self._paths:
            self._paths[key] = Path(self.seed, *key, distance(node.place, gateway.place))
        return self._paths[key]

    def _remember(self, signal: _Signal) -> None:
        over = self.clock.now_us - _KEPT_US
        self._signals = [one for one in self._signals if one.packet.end_us > over]
        self._signals.append(signal)


def _together(one: Transmission, other: Transmission) -> bool:
    """Whether two frames are on one channel at one time, in one direction."""
    return (
        one is not other
        and one.start_us < other.end_us
        and other.start_us < one.end_us
        and one.inverted == other.inverted
        and abs(one.frequency - other.frequency) < (one.bandwidth + other.bandwidth) / 2
    )
