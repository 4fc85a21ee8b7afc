"""A live reading of one sensor over the cable: the node's own driver, on the node's own pins.

The node need not be provisioned, only flashed; without a name, the sensor is that of its settings. What it did before
is interrupted, and started again in the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from borne.boards import unknown
from borne.errors import BorneError, ReplError, SettingError
from borne.flashing.repl import Repl
from borne_node import sensors
from borne_node.settings import FILE

NAMES: tuple[str, ...] = tuple(row[0] for row in sensors.TABLE)
_choices: Callable[[str], tuple[str, ...]] = sensors.choices

# Runs on the node. A reading may take seconds (a dark light sensor, a silent ranger): the REPL's limit is above that.
_OPEN = """\
from borne_node import hardware
from borne_node.errors import NodeError
from borne_node.sense.probe import Probe
try:p=Probe(%r,hardware.Board(),%r)
except NodeError as e:print('!%%s'%%e)
except KeyError as e:print('!no pin for %%s'%%e)
"""
_READ = "p.say()"


@dataclass(frozen=True)
class Value:
    value: float
    unit: str


@dataclass(frozen=True)
class Reading:
    """`at`: seconds since the first; `values` by what they are of, none when there is a `fault` (its reason)."""

    at: float
    values: Mapping[str, Value]
    fault: str = ""


def readings(
    port: str,
    sensor: str | None = None,
    bay: int | None = None,
    *,
    interval: float = 0.5,
    started: Callable[[str], None] | None = None,
) -> Generator[Reading, None, None]:
    """Read the sensor on `port` every `interval` seconds until the iterator is closed; then restart the node.

    `bay` counts from 1: the channel of a TCA9548A, None without one. `started` is told the sensor's name. Raises
    SettingError (no such sensor, or none in the node's settings), PortError, NoAnswer, ReplError.
    """
    if sensor is not None and sensor not in NAMES:
        raise SettingError(f"sensor {unknown(sensor, NAMES)}")
    if bay is not None and not 1 <= bay <= 8:
        raise SettingError(f"bay: must lie between 1 and 8, not {bay}")
    with Repl(port) as board:
        try:
            name = sensor or _settled(board)
            _open(board, name, None if bay is None else bay - 1)
            if started:
                started(name)
            began = time.monotonic()
            while True:
                yield _reading(board.run(_READ), time.monotonic() - began)
                time.sleep(interval)
        finally:
            with suppress(BorneError):
                board.reset()


def _settled(board: Repl) -> str:
    raw = board.read_file(FILE)
    try:
        found: dict[str, Any] = json.loads(raw or b"{}")
        kind = found["kind"]
        name = found.get("sensor") or _choices(kind)[0]
    except (ValueError, KeyError, AttributeError, TypeError):
        raise SettingError("sensor: this node has no settings yet: name one, or provision it") from None
    return str(name)


def _open(board: Repl, name: str, channel: int | None) -> None:
    said = board.run(_OPEN % (name, channel)).strip()
    if said:
        raise ReplError(f"{board.port}: {name}: {said.lstrip('!')}")


def _reading(line: str, at: float) -> Reading:
    """Out of what Probe.say printed."""
    line = line.strip()
    if line.startswith("!"):
        return Reading(at, {}, line[1:])
    values = {}
    try:
        for part in line.split(";"):
            what, _, rest = part.partition("=")
            number, unit = rest.split(" ")
            values[what] = Value(float(number), unit)
    except ValueError:
        raise ReplError(f"the node said {line[:60]!r} instead of a reading") from None
    return Reading(at, values)
