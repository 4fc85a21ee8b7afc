"""Nodes, keys and short ways that the tests of the networks share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from faults import Waits

from borne.fleet.model import Asset, Node
from borne.fleet.networks import plan
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.pace import Pace


def lamp(number: int, **more: Any) -> Node:
    asset = Asset(
        f"LAMP-{number:04}", "light", "light", street="Rue Haute", latitude=48.1, longitude=-1.6, **more
    )
    return Node(asset, asset.asset, f"70b3d57ed00{number:05x}", "70b3d57ed0000001")


def key_of(node: Node) -> bytes:
    """Another AppKey for each node, always the same."""
    return hashlib.sha256(node.name.encode()).digest()[:16].hex().encode()


def run(backend: plan.Backend, nodes: Sequence[Node], keys: Keys = key_of, **more: Any) -> list[plan.Row]:
    return list(plan.register(backend, nodes, keys, **more))


def actions(rows: Sequence[plan.Row]) -> dict[str, str]:
    return {row.asset: row.action for row in rows if row.asset}


class Interrupted(BaseException):
    """As Ctrl-C, or the power."""


class BreakingPace(Pace):
    """Breaks off at call number `stop`, before it or `after` it was carried out."""

    def __init__(self, stop: int, after: bool) -> None:
        waits = Waits()
        super().__init__(sleep=waits.sleep, now=waits.now, draw=lambda: 0.5)
        self._left, self._after = stop, after

    def __call__(self, call: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Interrupted
        found = super().__call__(call)
        if self._left < 0:
            raise Interrupted
        return found


def until_interrupted(backend: plan.Backend, nodes: Sequence[Node]) -> None:
    with suppress(Interrupted):
        run(backend, nodes)
