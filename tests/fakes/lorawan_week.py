"""Plays a street of LoRaWAN nodes (lorawan_street.py) and reports on it: for tests, and in full for `make bench`."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from lorawan_street import Node

from borne.virtual.air import Air, Gateway, Place
from borne.virtual.air.server import NetworkServer
from borne.virtual.clock import SimClock
from borne.virtual.silicon.sx126x import SX126x
from borne.virtual.silicon.sx127x import SX127x
from borne.virtual.world.chance import dice

DAY_S = 86_400
# A parking bay, a lamp, a container: seconds between reports, bytes of the bare report, port.
KINDS = ((900, 3, 10), (3600, 5, 20), (14_400, 4, 30))
# SX1276 datasheet Rev. 7, table 6 (PA_BOOST at +13 dBm: 29 mA; +17 dBm: 90 mA; RX: 11.5 mA), ESP32 datasheet (modem
# sleep at 80 MHz: 25 mA; deep sleep with RTC memory: 10 uA), volts of a lithium cell.
TX_MA, RX_MA, CPU_MA, SLEEP_MA, VOLTS = 45.0, 11.5, 25.0, 0.011, 3.7


class Line(NamedTuple):
    """One node. `delivered` is the share of its reports that the network has; `airtime_s` and `energy_mwh` a day."""

    name: str
    made: int
    sent: int
    arrived: int
    joined: int
    frames: int
    heard: int
    lost: tuple[tuple[str, int], ...]
    sf: int
    by_sf: tuple[tuple[int, int], ...]
    power: float
    airtime_s: float
    fullest: float
    energy_mwh: float


class Street(NamedTuple):
    lines: tuple[Line, ...]
    broken: list[str]
    errors: list[str]
    downlinks: int
    refused: dict[str, int]
    # By node: packets heard by frequency; tenths of MHz sent on; (battery, margin dB) of the last DevStatusAns.
    heard: tuple[dict[int, int], ...]
    used: tuple[set[int], ...]
    status: tuple[tuple[int, int] | None, ...]

    @property
    def delivery(self) -> float:
        """Share of the reports that were made and have arrived."""
        return sum(line.arrived for line in self.lines) / sum(line.made for line in self.lines)


def play(seed: int, nodes: int, days: float, loss: float = 0.02, **network: Any) -> Street:
    """`network`: options of NetworkServer."""
    clock = SimClock()
    air = Air(clock, seed, loss=loss)
    with NetworkServer(**network) as server:
        for number, place in enumerate((Place(-1200, 2000), Place(2600, -1900))):
            Gateway(air, f"b827ebfffe0102{number:02x}", place, server.address)
        made = [_node(clock, air, server, seed, number) for number in range(nodes)]
        clock.run_for(days * DAY_S)
        for node in made:
            node.puppet.end()
        lines = tuple(_line(air, server, node, days) for node in made)
        errors = [f"{node.name}: {node.puppet.error!r}" for node in made if node.puppet.error]
        errors += [repr(error) for error in server.errors]
        downlinks = sum(device.downlinks for device in server.devices.values())
        air.close()
        heard = tuple(dict(node.heard) for node in made)
        used = tuple({round(one.frequency / 1e5) for one in node.chip.sent} for node in made)
        status = tuple(device.status for device in server.devices.values())
        return Street(lines, air.law.broken, errors, downlinks, dict(server.refused), heard, used, status)


def _node(clock: SimClock, air: Air, server: NetworkServer, seed: int, number: int) -> Node:
    rnd: random.Random = dice(seed, "node", number)
    name = f"n{number:03d}"
    every, size, port = KINDS[number % 3]
    chip: Any = SX127x() if number % 2 else SX126x()
    node = Node(
        clock,
        name,
        chip,
        rnd.randbytes(16),
        seed,
        every_s=every,
        size=size,
        port=port,
        starts_s=rnd.random() * 600,
        battery=lambda: 200,
    )
    air.add_node(name, chip, Place(20 * (number - 25), rnd.choice((-6, 6))))
    server.register(node.dev_eui, bytes(8), node.key)
    return node


def _line(air: Air, server: NetworkServer, node: Node, days: float) -> Line:
    traffic = air.traffic(node.name)
    arrived = {up.payload[:3] for up in server.uplinks if up.dev_eui == node.dev_eui.hex()}
    seconds = traffic.airtime_us / 1e6, node.listened_us / 1e6, node.awake_us / 1e6
    milliamp_s = seconds[0] * TX_MA + seconds[1] * RX_MA + seconds[2] * CPU_MA + days * DAY_S * SLEEP_MA
    return Line(
        node.name,
        node.made,
        node.sent,
        len(arrived),
        server.devices[node.dev_eui].joins,
        traffic.frames,
        traffic.heard,
        tuple(sorted(traffic.lost.items())),
        traffic.sf,
        tuple(sorted(traffic.by_sf.items())),
        traffic.power,
        round(seconds[0] / days, 3),
        round(air.law.fullest.get(node.name, 0.0), 4),
        round(milliamp_s * VOLTS / 3600 / days, 3),
    )
