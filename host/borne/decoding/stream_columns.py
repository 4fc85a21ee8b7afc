"""Streams of lines into Arrow tables: each batch of lines one table, its payloads decoded as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from borne.decoding.columns import batches_schema, decode_columns, plain
from borne.decoding.envelopes import Uplink, nanoseconds
from borne.decoding.stream import Uplinks
from borne.decoding.table import layouts
from borne.errors import EnvelopeError

_TIME = pa.timestamp("ns", tz="UTC")
_HEAD = (
    ("device", pa.string()),
    ("time", _TIME),
    ("started", pa.timestamp("s", tz="UTC")),
    ("f_cnt", pa.int64()),
    ("rssi", pa.float32()),
    ("snr", pa.float32()),
    ("frequency", pa.int64()),
    ("gateways", pa.int16()),
)


class Batch(NamedTuple):
    """What a batch of lines says: a row for each report, and (number, text) for each line that does not decode."""

    table: pa.Table
    problems: list[tuple[int, str]]


@cache
def stream_schema(history: bool = False) -> pa.Schema:
    """The columns of every table of a stream."""
    head = [pa.field(*one) for one in _HEAD] + ([pa.field("earlier", pa.int16())] if history else [])
    return pa.schema([*head, *(one for one in batches_schema() if one.name != "error")])


def decode_tables(
    batches: Iterable[list[bytes]], uplinks: Uplinks, *, history: bool = False, rows: int = 1 << 14
) -> Iterator[Batch]:
    """Decode lines into tables of the same columns, `rows` reports each. `uplinks` says of which form the lines are.

    history  adds a row for each earlier window that a frame carries
    """
    found: list[Uplink] = []
    numbers: list[int] = []
    problems: list[tuple[int, str]] = []
    for lines in batches:
        for line in lines:
            try:
                uplink = uplinks.take(line)
            except EnvelopeError as problem:
                problems.append((uplinks.number, str(problem)))
                continue
            if uplink is not None:
                found.append(uplink)
                numbers.append(uplinks.number)
        if len(found) >= rows or len(problems) >= rows:
            yield _batch(found, numbers, problems, history)
            found, numbers, problems = [], [], []
    yield _batch(found, numbers, problems, history)


def _batch(found: list[Uplink], numbers: list[int], problems: list[tuple[int, str]], history: bool) -> Batch:
    table, failed = _table(found, history)
    return Batch(table, sorted(problems + [(numbers[row], text) for row, text in failed]))


def _table(uplinks: list[Uplink], history: bool) -> tuple[pa.Table, list[tuple[int, str]]]:
    if not uplinks:
        return stream_schema(history).empty_table(), []
    columns = Uplink(*zip(*uplinks, strict=True))  # type: ignore[arg-type]
    decoded = decode_columns(columns.payload, np.array(columns.port, np.int64), history=history)
    errors = decoded["error"].combine_chunks()
    head = [pa.array(columns.device, pa.string()), _times(columns.time)]
    head += [pa.array(values, kind) for values, (_, kind) in zip(_radio(columns), _HEAD[3:], strict=True)]
    failed: list[tuple[int, str]] = []
    if history or errors.null_count < len(errors):
        row = decoded["row"].combine_chunks() if history else pa.array(np.arange(len(uplinks)))
        good = errors.is_null()
        failed = list(
            zip(row.filter(errors.is_valid()).to_pylist(), errors.drop_null().to_pylist(), strict=True)
        )
        decoded, row = decoded.filter(good), row.filter(good)
        head = [one.take(row) for one in head]
    head.insert(2, _started(decoded, head[1], history))
    names = [name for name in stream_schema(history).names if name not in dict(_HEAD)]
    arrays = head + [plain(decoded[name]) for name in names]
    return pa.Table.from_arrays(arrays, schema=stream_schema(history)), failed


def _radio(columns: Any) -> tuple[Any, ...]:
    return columns.f_cnt, columns.rssi, columns.snr, columns.frequency, columns.gateways


def _times(times: Any) -> pa.Array:
    texts = pa.array(times, pa.string())
    try:
        return texts.cast(_TIME)
    except pa.ArrowInvalid:  # one that Arrow cannot read, such as +0100 without a colon: look at each
        return pa.array([_nanoseconds(one) for one in times], pa.int64()).cast(_TIME)


def _nanoseconds(time: str | None) -> int | None:
    try:
        return None if time is None else nanoseconds(time)
    except EnvelopeError:
        return None


def _started(decoded: pa.Table, time: pa.Array, history: bool) -> pa.Array:
    """When each row's window began: the last time before the uplink at which its index was current."""
    ports = decoded["port"].to_numpy().astype(np.int64)
    length, period = np.ones(256, np.int64), np.ones(256, np.int64)
    for layout in layouts().values():
        if layout.window_bits:
            length[layout.port], period[layout.port] = layout.window_s, 1 << layout.window_bits
    known = pc.and_(time.is_valid(), decoded["window"].combine_chunks().is_valid())
    seconds = time.fill_null(0).cast(pa.int64()).to_numpy() // 10**9
    windows = decoded["window"].combine_chunks().fill_null(0).to_numpy().astype(np.int64)
    if history:  # the frame's own window, not the row's: an index that wraps must not point to the future
        windows = windows + decoded["earlier"].to_numpy()
    now = seconds // length[ports]
    start = (now - (now - windows) % period[ports]) * length[ports]
    if history:
        start -= decoded["earlier"].to_numpy() * length[ports]
    return pc.if_else(known, pa.array(start), None).cast(pa.timestamp("s", tz="UTC"))
