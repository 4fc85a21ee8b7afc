"""Which fields the nodes of a fleet fill at all: the others leave as unknown or withheld, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from borne.decoding.table import Field
from borne_node.report import schema

Node = Mapping[str, Any]


def _has_meter(node: Node) -> bool:
    return bool(node.get("lamp", "none") != "none")


def _tells_power(node: Node) -> bool:
    # A lamp that follows people would tell of them (borne_node/privacy/gate.py).
    return _has_meter(node) and node.get("dimmer", "none") == "none"


def _has_accelerometer(node: Node) -> bool:
    return bool(node.get("tilt", "none") != "none")


_NEEDS: Final[Mapping[tuple[int, str], Callable[[Node], bool]]] = {
    (schema.LIGHT, "lamp"): _has_meter,
    (schema.LIGHT, "dimming"): _tells_power,
    (schema.LIGHT, "energy"): _tells_power,
    (schema.FILL, "tilt"): _has_accelerometer,
}


def is_collected(nodes: Sequence[Node], port: int, field: Field) -> bool:
    """Whether any of these nodes, whose profile sends on this port, fills the field."""
    if port in (schema.BAY, schema.DAY, schema.LIVE):
        bay = int(field.name.rpartition("_")[2])
        return any(bay <= node["bays"] and bay not in node.get("withheld_bays", ()) for node in nodes)
    needs = _NEEDS.get((port, field.row))
    return needs is None or any(map(needs, nodes))
