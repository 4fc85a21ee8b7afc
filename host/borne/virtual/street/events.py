"""What happens while a street plays, one immutable object each, in the order in which it happens."""

from __future__ import annotations

from dataclasses import dataclass

from borne.decoding.listen import Heard
from borne.virtual.street.network import Radio
from borne.virtual.street.summary import Summary
from borne.virtual.world import Asset


@dataclass(frozen=True)
class Progress:
    """How far one board is on its way to being a node: `step` is "flash" or "provision", `fraction` 0..1.

    The order of these between boards is that of the real tools, and not repeatable; that of all others is.
    """

    name: str
    step: str
    fraction: float


@dataclass(frozen=True)
class Ready:
    """A board was flashed and provisioned: `bytes` written and verified, `settings_hash` as it reports it."""

    asset: Asset
    chip: str
    mac: str
    bytes: int
    firmware: str
    settings_hash: str


@dataclass(frozen=True)
class Reported:
    """A message of a node arrived on the broker or the network server at `received` (unix seconds, simulated time).

    `radio` is the node's traffic on the air so far, None for one with Wi-Fi.
    """

    asset: Asset
    received: int
    heard: Heard
    radio: Radio | None = None


@dataclass(frozen=True)
class Passed:
    """Simulated time has reached `now` (unix seconds)."""

    now: int


@dataclass(frozen=True)
class Ended:
    """The street is over; every board is off."""

    summary: Summary


Event = Progress | Ready | Reported | Passed | Ended
