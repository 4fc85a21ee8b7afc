"""borne sensor-test: what the sensor on the bench sees, now."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import deque
from contextlib import closing
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from borne.fleet import sensor_test as library
from borne.fleet.sensor_test import Reading

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 60


def sensor_test(
    port: Annotated[
        str, typer.Option("--port", "-p", help="Device, socket://host:port or rfc2217://host:port.")
    ],
    sensor: Annotated[
        str | None, typer.Option(help="One of: " + ", ".join(library.NAMES) + ". Default: the node's own.")
    ] = None,
    bay: Annotated[int | None, typer.Option(help="Channel of the multiplexer, 1 to 8.")] = None,
    interval: Annotated[float, typer.Option(min=0.0, help="Seconds between two readings.")] = 0.5,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many readings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a reading.")] = False,
) -> None:
    """Show live readings of a sensor with units and a plot, until Ctrl-C. The node is started again in the end."""
    plot = Plot()
    live = None if as_json or not sys.stdout.isatty() else Live(console=Console(), refresh_per_second=8)
    found = library.readings(port, sensor, bay, interval=interval, started=plot.begin)
    with closing(found):
        try:
            if live:
                live.start()
            for number, reading in enumerate(found, 1):
                plot.add(reading)
                if live:
                    live.update(plot.table())
                else:
                    typer.echo(json.dumps(dataclasses.asdict(reading)) if as_json else line(reading))
                if number == count:
                    break
        except KeyboardInterrupt:
            pass
        finally:
            if live:
                live.stop()


def line(reading: Reading) -> str:
    """One reading as text."""
    said = ", ".join(f"{what} {one.value:g} {one.unit}" for what, one in reading.values.items())
    return f"{reading.at:8.1f} s  {said or 'fault: ' + reading.fault}"


class Plot:
    """The last readings of each value, as bars between the least and the most of them."""

    def __init__(self) -> None:
        self._sensor = ""
        self._values: dict[str, deque[float]] = {}
        self._units: dict[str, str] = {}
        self._last: Reading | None = None
        self._faults = 0

    def begin(self, sensor: str) -> None:
        self._sensor = sensor

    def add(self, reading: Reading) -> None:
        self._last = reading
        self._faults += bool(reading.fault)
        for what, one in reading.values.items():
            self._values.setdefault(what, deque(maxlen=_SHOWN)).append(one.value)
            self._units[what] = one.unit

    def table(self) -> Table:
        table = Table(self._sensor, "now", "unit", "least", "most", "", box=None)
        for what, values in self._values.items():
            numbers = (f"{number:g}" for number in (values[-1], min(values), max(values)))
            now, least, most = numbers
            table.add_row(what, now, self._units[what], least, most, bars(values))
        if self._last and self._last.fault:
            table.add_row("fault", self._last.fault)
        table.caption = f"{self._faults} faults" if self._faults else None
        return table


def bars(values: deque[float]) -> str:
    """Equal values lie in the middle."""
    least, most = min(values), max(values)
    if least == most:
        return _BARS[3] * len(values)
    return "".join(_BARS[round((value - least) / (most - least) * (len(_BARS) - 1))] for value in values)
