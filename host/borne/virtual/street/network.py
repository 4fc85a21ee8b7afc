"""The LoRaWAN side of a street: the air, two gateways on roofs, a network server, and what arrived."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

from borne.decoding.listen import Heard, hear
from borne.errors import DeviceError
from borne.virtual.clock import SimClock
from borne.virtual.silicon.lora_air import Transceiver

# A share of frames that is lost whatever their strength: other users of the band.
_LOSS = 0.02
_ROOFS = {"b827ebfffe010201": (-1200, 2000), "b827ebfffe010202": (2600, -1900)}
_SPACING_M = 20


@cache
def is_available() -> bool:
    """Whether the network server's library is there: it has no wheel for every platform."""
    try:
        import borne.virtual.air.server  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass(frozen=True)
class Radio:
    """A LoRaWAN node's traffic so far. `sf` and `snr` are of its last frame that arrived.

    frames   sent, joins and empty ones included; `heard` those that a gateway could read
    duty     the fullest hour of any sub-band, as a share of what the law allows there
    """

    sf: int
    snr: float | None
    frames: int
    heard: int
    joins: int
    airtime_s: float
    duty: float


class Network:
    """Made once for a run. Nodes are added before they are powered; `arrived` is asked after each step of the clock."""

    def __init__(self, seed: int, clock: SimClock, stack: ExitStack) -> None:
        from borne.virtual.air import Air, Gateway, Place
        from borne.virtual.air.server import NetworkServer

        self._server = stack.enter_context(NetworkServer())
        self._air = Air(clock, seed, loss=_LOSS)
        stack.callback(self._air.close)
        for eui, roof in _ROOFS.items():
            Gateway(self._air, eui, Place(*roof), self._server.address)
        self._names: dict[str, str] = {}
        self._last: dict[str, tuple[int, float]] = {}

    def add(self, number: int, name: str, chip: Transceiver, dev_eui: str, app_key: bytes) -> None:
        """`number`: which house of the street; EUI and key as they are registered, hexadecimal."""
        from borne.virtual.air import Place

        self._names[dev_eui] = name
        self._air.add_node(name, chip, Place(_SPACING_M * number, 0))
        self._server.register(bytes.fromhex(dev_eui), bytes(8), bytes.fromhex(app_key.decode()))

    def arrived(self) -> Iterator[tuple[Heard, int]]:
        """(message, unix second of its arrival) of every report since the last call. Raises DeviceError."""
        if self._server.errors:
            raise DeviceError(f"the test network server failed: {self._server.errors[0]!r}")
        while self._server.uplinks:
            uplink = self._server.uplinks.popleft()
            name = self._names[uplink.dev_eui]
            self._last[name] = uplink.sf, uplink.snr
            yield hear(f"borne/v1/{name}/up/{uplink.port}", uplink.payload), int(uplink.received)

    def radio(self, name: str) -> Radio | None:
        """None for a node that has no radio."""
        if name not in self._air.nodes:
            return None
        traffic = self._air.traffic(name)
        sf, snr = self._last.get(name, (traffic.sf, None))
        dev_eui = next(eui for eui, one in self._names.items() if one == name)
        return Radio(
            sf,
            snr,
            traffic.frames,
            traffic.heard,
            self._server.devices[bytes.fromhex(dev_eui)].joins,
            traffic.airtime_us / 1e6,
            self._air.law.fullest.get(name, 0.0),
        )

    @property
    def broken(self) -> tuple[str, ...]:
        """What was sent against the law, in words; nothing of ours ever should."""
        return tuple(self._air.law.broken)
