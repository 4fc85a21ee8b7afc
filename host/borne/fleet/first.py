"""The first message of a node that was just provisioned: the proof that it reaches its network, and how well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from borne.broker import Broker
from borne.decoding.listen import Subscriber
from borne.fleet import ear, hearing
from borne.fleet.commission import Done
from borne.fleet.hearing import Heard
from borne.fleet.registry.store import Registry, Stamp

_LOOK_UP_S: Final = 0.5


@dataclass(frozen=True)
class First:
    """`rssi` in dBm and `snr` in dB where a network says them; by Wi-Fi nobody does. `seconds` after the restart."""

    heard: Heard
    seconds: float
    rssi: float | None = None
    snr: float | None = None


Wait = Callable[[Done, float], First | None]


@contextmanager
def expecting(registry: Registry, at: Broker, password: str) -> Iterator[Wait]:
    """Listens from now on, so that nothing is missed; what is given waits for a node's message, for so many seconds.

    Raises BrokerError.
    """
    with Subscriber(at, password, None, ear.TOPICS, ear.take) as subscriber:

        def wait(done: Done, seconds: float) -> First | None:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                message = subscriber.next(_LOOK_UP_S)
                uplink = message.uplink if message else None
                if uplink is None or not uplink.device:
                    continue
                heard = hearing.hear(
                    registry,
                    uplink.device,
                    uplink.port,
                    uplink.payload,
                    Stamp(),
                    rssi=uplink.rssi,
                    snr=uplink.snr,
                )
                if heard.standing is not None and heard.standing.asset.asset == done.asset:
                    return First(heard, passed, uplink.rssi, uplink.snr)
            return None

        yield wait
