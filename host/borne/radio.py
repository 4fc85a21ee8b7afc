"""LoRaWAN by the node's own tables: region plans and time on air are written down once, in the firmware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from borne_node.chips import lora
from borne_node.link.lorawan import regions

# The firmware carries no annotations: these are the types of what is called.
_load: Callable[[str], Any] = regions.load
_airtime_us: Callable[[int, int, int], int] = lora.airtime_us

NAMES: tuple[str, ...] = regions.NAMES
# Bytes of a data frame around its application payload (TS001-1.0.4, 4.3).
OVERHEAD = 13


def plan(region: str) -> Any:
    """The firmware's plan of a region; borne_node.link.lorawan.regions documents its names. Raises ValueError."""
    return _load(region)


def airtime_us(sf: int, bandwidth: int, length: int) -> int:
    """Time on air of a frame of `length` bytes, uplink settings, microseconds."""
    return _airtime_us(sf, bandwidth, length)


def span_mhz(region: str) -> tuple[float, float]:
    """Lowest and highest frequency of a region in MHz."""
    bands = plan(region).bands
    return min(band[0] for band in bands) / 1e6, max(band[1] for band in bands) / 1e6
