"""What nodes say, and what that means for the registry: whose report it is, that it lives, which settings it has."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sql

from borne.decoding.report import Report, decode
from borne.errors import DecodeError
from borne.fleet.registry import nodes, pending
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.pending import Waiting
from borne.fleet.registry.store import Registry, Stamp
from borne_node import settings as node_settings
from borne_node.report import codec, schema

# The firmware carries no annotations.
_canonical: Callable[[dict[str, Any]], bytes] = node_settings.canonical
_validate: Callable[[dict[str, Any]], dict[str, Any]] = node_settings.validate
_digest: Callable[[dict[str, Any]], bytes] = node_settings.digest
_encode: Callable[[int, int | None, tuple[Any, ...]], bytes] = codec.encode

SETTABLE: Final[tuple[str, ...]] = tuple(schema.SETTABLE)
AGAIN_S: Final = 6 * 3600
_HASH: Final = "settings_hash"


@dataclass(frozen=True)
class Heard:
    """One message, and whose it is.

    `standing` is None for a device that the registry does not know; `report` for bytes that are none (`reason`).
    `confirmed` are settings that the node now has; `differs`: its settings are not those that the registry knows.
    """

    device: str
    standing: Standing | None
    port: int
    report: Report | None
    reason: str = ""
    confirmed: tuple[str, ...] = ()
    differs: bool = False


def hear(
    registry: Registry,
    device: str,
    port: int,
    payload: bytes,
    stamp: Stamp,
    *,
    rssi: float | None = None,
    snr: float | None = None,
) -> Heard:
    """Note a message. `device`: the DevEUI, or the node's name. `rssi` in dBm, `snr` in dB. Raises RegistryError."""
    report, reason = None, ""
    try:
        report = decode(payload, port)
    except DecodeError as error:
        reason = str(error)
    with registry.writing() as db:
        standing = nodes.by_dev_eui(db, device.lower()) or nodes.by_name(db, device)
        if standing is None or standing.id is None or report is None:
            return Heard(device, standing, port, report, reason)
        nodes.heard(db, standing, stamp, rssi, snr)
        confirmed, differs = _compare(db, standing, report, stamp)
        return Heard(device, standing, port, report, reason, confirmed, differs)


def _compare(
    db: sql.Connection, standing: Standing, report: Report, stamp: Stamp
) -> tuple[tuple[str, ...], bool]:
    """Which waiting settings the node has taken, by the hash that it reports; and whether it has others altogether."""
    if _HASH not in report.names or standing.settings is None or standing.id is None:
        return (), False
    reported = str(report.value(_HASH))
    if standing.digest and standing.digest.startswith(reported):
        return (), False
    waiting = pending.waiting(db, standing.id)
    for count, settings in enumerate(_steps(standing.settings, waiting), 1):
        digest = _digest(settings).hex()
        if digest.startswith(reported):
            for one in waiting[:count]:
                pending.done(db, one.id, stamp)
            nodes.confirmed(db, standing, _canonical(settings).decode(), digest, stamp)
            return tuple(one.setting for one in waiting[:count]), False
    # A report that waited on the node while it was told anew.
    return (), not nodes.had(db, standing, reported)


def _steps(settings: str, waiting: Sequence[Waiting]) -> list[dict[str, Any]]:
    """The node's settings after the first, the second, ... of those that wait."""
    current, found = json.loads(settings), []
    for one in waiting:
        current = _validate({**current, one.setting: one.value})
        found.append(current)
    return found


def commands(registry: Registry, standing: Standing, stamp: Stamp) -> list[bytes]:
    """The downlinks (port 5) that a node's waiting settings make, oldest first; they count as sent from now on.

    What the node has not confirmed after AGAIN_S is sent again: the broker or the network may have lost it.
    """
    if standing.id is None:
        return []
    with registry.writing() as db:
        waiting = pending.waiting(db, standing.id)
        due = [one for one in waiting if one.sent_at is None or one.sent_at + AGAIN_S <= stamp.at]
        for one in due:
            pending.sent(db, one.id, stamp)
    return [command(one.setting, one.value) for one in due]


def command(setting: str, value: int) -> bytes:
    """The bytes of one SET."""
    return bytes(_encode(schema.COMMAND, None, (schema.SET, schema.SETTABLE.index(setting), value)))
