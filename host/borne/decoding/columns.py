"""Millions of reports at once: a binary column in, an Arrow table of typed columns out, no Python loop per
report.

A field becomes a column of the smallest signed integer, bool, dictionary (labels) or string (hex of raw
bytes). Unknown is null. Where a field can be suppressed or overflow, a column `<name>_mark` says which; the
value is null then. A payload that is no report gives a row of nulls and, in the column `error`, the text of
the DecodeError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from borne.decoding import bulk
from borne.decoding.bulk import Bulk, Column
from borne.decoding.report import layout_of
from borne.decoding.table import MARKS, Field, Layout, fields_of, layouts, prefix

# Rows worked on at a time: their intermediate arrays stay in a second-level cache, and memory stays flat.
_CHUNK = 1 << 16
_NO_PORT = -1
_TEXT = pa.dictionary(pa.int8(), pa.string())
_ERROR = pa.dictionary(pa.int32(), pa.string())

Bools = npt.NDArray[np.bool_]
# Where the rows of one port lie in the whole; None: they are the whole, in order.
Places = npt.NDArray[np.int64] | None


def decode_columns(payloads: Any, ports: Any, *, history: bool = False) -> pa.Table:
    """Decode a column of payloads into an Arrow table, one row a payload, in order.

    payloads  an Arrow binary column (array or chunked), a NumPy array of shape (n, size) and type uint8, a
              sequence of bytes; or, with one port, one buffer of back-to-back reports without history
    ports     one port, for a table of its fields; or one for each payload, for a table of mixed kinds, whose
              columns carry the kind before the name: fill_level, parking_zone_occupied
    history   add a row for each earlier window that a payload carries, behind its own row: `row` is the
              index of the payload, `earlier` counts the windows back

    Raises DecodeError for a single port that this version does not know; ValueError for columns that do not
    fit.
    """
    if isinstance(ports, int):
        layout = layout_of(ports)
        column = _column(payloads, layout.size)
        batches = [_one_port(column.part(rows), layout, rows.start, history) for rows in _chunks(column)]
        return pa.Table.from_batches(batches, schema(ports, history=history))
    column = _column(payloads, None)
    each = _ports(ports, len(column.starts))
    batches = [_mixed(column.part(rows), each[rows], rows.start, history) for rows in _chunks(column)]
    return pa.Table.from_batches(batches, schema(history=history))


def _chunks(column: Column) -> Iterator[slice]:
    for at in range(0, len(column.starts), _CHUNK):
        yield slice(at, min(at + _CHUNK, len(column.starts)))


def decode_batches(
    batches: Iterable[pa.RecordBatch], *, payload: str = "payload", port: str = "port"
) -> Iterator[pa.RecordBatch]:
    """Decode batch by batch, other columns kept: for Spark's mapInArrow, DuckDB, Polars
    (docs/distributed.md).

    Labels, marks and errors are plain strings, since not every engine takes Arrow dictionaries.
    """
    for batch in batches:
        decoded = decode_columns(batch.column(payload), batch.column(port))
        kept = [name for name in batch.schema.names if name not in (payload, port)]
        columns = [batch.column(name) for name in kept] + [plain(one) for one in decoded.columns]
        yield pa.RecordBatch.from_arrays(columns, names=kept + decoded.column_names)


def batches_schema(kept: Iterable[pa.Field] = ()) -> pa.Schema:
    """The columns of decode_batches: those `kept`, then those of a table of mixed ports."""
    return pa.schema([*kept, *(pa.field(one.name, _plain_type(one.type)) for one in schema())])


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def plain(column: pa.ChunkedArray) -> pa.Array:
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):  # an empty table has no chunk to combine
        return pa.array([], _plain_type(column.type))
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


@cache
def schema(port: int | None = None, *, history: bool = False) -> pa.Schema:
    """The columns of decode_columns for one port, or for mixed ports (None)."""
    columns = [("row", pa.int64()), ("earlier", pa.int16())] if history else []
    if port is None:
        columns += [("port", pa.int16()), ("kind", _TEXT), ("window", pa.int32())]
        # The versions of a report share its columns.
        columns += {
            name: kind for one in layouts().values() for name, kind in _columns_of(one, prefix(one))
        }.items()
    else:
        columns += [("window", pa.int32())] if layout_of(port).window_bits else []
        columns += _columns_of(layout_of(port), "")
    return pa.schema([*columns, ("error", _ERROR)])


def _columns_of(layout: Layout, before: str) -> list[tuple[str, pa.DataType]]:
    columns = []
    for field in fields_of(layout):
        columns.append((before + field.name, _type(field)))
        if field.marks:
            columns.append((before + field.name + "_mark", _TEXT))
    return columns


def _type(field: Field) -> pa.DataType:
    if field.raw:
        return pa.string()
    if field.is_flag:
        return pa.bool_()
    return _TEXT if field.labels else pa.from_numpy_dtype(_numbers(field))


def _numbers(field: Field) -> np.dtype[Any]:
    """The smallest signed integer that holds the field's values: Spark knows no unsigned ones."""
    low, high = field.offset, field.offset + field.step * field.last
    for kind in (np.int8, np.int16):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.int32)


def _column(payloads: Any, size: int | None) -> Column:
    if isinstance(payloads, bytes | bytearray | memoryview):
        if size is None or len(payloads) % size:
            raise ValueError("a single buffer must hold whole reports of one port")
        payloads = np.frombuffer(payloads, np.uint8).reshape(-1, size)
    if isinstance(payloads, np.ndarray) and payloads.ndim == 2:
        if payloads.dtype != np.uint8:
            raise ValueError(f"payload bytes must be uint8, not {payloads.dtype}")
        edges = np.arange(len(payloads) + 1, dtype=np.int64) * payloads.shape[1]
        return Column(np.ascontiguousarray(payloads).reshape(-1), edges[:-1], edges[1:])
    return _arrow_column(payloads)


def _arrow_column(payloads: Any) -> Column:
    if isinstance(payloads, pa.ChunkedArray):
        payloads = payloads.combine_chunks()
    if not isinstance(payloads, pa.Array):
        payloads = pa.array(payloads, pa.binary())
    if not pa.types.is_large_binary(payloads.type):
        payloads = payloads.cast(pa.binary())
    payloads = payloads.fill_null(b"")
    wide = np.int64 if pa.types.is_large_binary(payloads.type) else np.int32
    _, offsets, data = payloads.buffers()
    if not len(payloads):
        edges = np.zeros(1, wide)
    else:
        edges = np.frombuffer(offsets, wide)[payloads.offset : payloads.offset + len(payloads) + 1]
    return Column(np.frombuffer(data or b"", np.uint8), edges[:-1], edges[1:])


def _ports(ports: Any, count: int) -> npt.NDArray[np.int64]:
    if isinstance(ports, pa.Array | pa.ChunkedArray):
        ports = ports.cast(pa.int64()).fill_null(_NO_PORT).to_numpy()
    array = np.asarray(ports, np.int64)
    if len(array) != count:
        raise ValueError(f"{count} payloads and {len(array)} ports")
    return array


def _one_port(column: Column, layout: Layout, at: int, history: bool) -> pa.RecordBatch:
    part = bulk.decode(layout, column, history)
    count = part.size
    order, places = _order([part], at) if history else ([], [None])
    arrays = [*order, *_arrays(part, places[0], count), _errors([part], places, count)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(layout.port, history=history))


def _mixed(column: Column, ports: npt.NDArray[np.int64], at: int, history: bool) -> pa.RecordBatch:
    parts = []
    for port in np.unique(ports).tolist():
        rows = np.flatnonzero(ports == port)
        part = (
            bulk.decode(layouts()[port], column.part(rows), history)
            if port in layouts()
            else bulk.strange(port, len(rows))
        )
        parts.append(part._replace(row=rows if part.row is None else rows[part.row]))
    count = sum(part.size for part in parts)
    order, places = _order(parts, at)
    arrays = [*(order if history else []), *_heads(parts, places, count)]
    by_port = {
        part.layout.port: (part, place) for part, place in zip(parts, places, strict=True) if part.codes
    }
    values: dict[str, list[pa.Array]] = {}
    for port, (part, place) in by_port.items():
        names = [name for name, _ in _columns_of(layouts()[port], prefix(layouts()[port]))]
        for name, array in zip(names, _fields(part, place, count), strict=True):
            values.setdefault(name, []).append(array)
    whole = schema(history=history)
    for field in list(whole)[len(arrays) : -1]:
        found = values.get(field.name)
        arrays.append(pc.coalesce(*found) if found else pa.nulls(count, field.type))
    return pa.RecordBatch.from_arrays([*arrays, _errors(parts, places, count)], schema=whole)


def _order(parts: list[Bulk], at: int) -> tuple[list[pa.Array], list[Places]]:
    """Columns `row` and `earlier` of the whole, and for each part the places of its rows in it."""
    rows = np.concatenate([part.rows for part in parts])
    earlier = np.concatenate([part.ages for part in parts])
    order = np.lexsort((earlier, rows))
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    ends = np.cumsum([part.size for part in parts])
    return [pa.array(rows[order] + at), pa.array(earlier[order])], list(np.split(places, ends[:-1]))


def _heads(parts: list[Bulk], places: list[Places], count: int) -> list[pa.Array]:
    """Columns `port`, `kind` and `window` of a table of mixed ports."""
    ports = np.full(count, _NO_PORT, np.int16)
    kinds = np.full(count, -1, np.int8)
    windows = np.full(count, -1, np.int32)
    names = list(dict.fromkeys(layout.name for layout in layouts().values()))
    for part, place in zip(parts, places, strict=True):
        ports[place] = np.clip(part.layout.port, _NO_PORT, 0x7FFF)
        if part.codes:
            kinds[place] = names.index(part.layout.name)
        if part.window is not None:
            windows[place] = part.window if part.good is None else np.where(part.good, part.window, -1)
    return [
        _array(ports, ports >= 0, pa.int16()),
        _dictionary(kinds, kinds >= 0, names),
        _array(windows, windows >= 0, pa.int32()),
    ]


def _arrays(part: Bulk, place: Places, count: int) -> list[pa.Array]:
    """Columns of a table of one port: `window`, where it has one, and its fields."""
    window = []
    if part.window is not None:
        window.append(_placed(part.window, part.good, place, count, pa.int32()))
    return window + _fields(part, place, count)


def _fields(part: Bulk, place: Places, count: int) -> list[pa.Array]:
    arrays = []
    for number, field in enumerate(fields_of(part.layout)):
        codes, good = part.codes[number], _both(part.good, part.applies(number))
        special = codes > field.last if field.reserved and not field.raw else None
        if special is not None and not special.any():
            special = None
        valid = good if special is None else _both(good, ~special)
        arrays.append(_value_array(field, codes, valid, place, count))
        if field.marks:
            arrays.append(_mark_array(field, codes, special, good, place, count))
    return arrays


def _both(one: Bools | None, other: Bools | None) -> Bools | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _value_array(field: Field, codes: Any, valid: Bools | None, place: Places, count: int) -> pa.Array:
    if field.raw:
        return _placed(_hex(codes, field.width), valid, place, count, pa.string())
    if field.is_flag:
        return _placed(codes == 1, valid, place, count, pa.bool_())
    if field.labels:
        return _placed(codes.astype(np.int8), valid, place, count, _TEXT, field.labels)
    numbers = codes.astype(_numbers(field))
    if field.step != 1:
        numbers *= numbers.dtype.type(field.step)
    if field.offset:
        numbers += numbers.dtype.type(field.offset)
    return _placed(numbers, valid, place, count, pa.from_numpy_dtype(numbers.dtype))


def _mark_array(
    field: Field, codes: Any, special: Bools | None, good: Bools | None, place: Places, count: int
) -> pa.Array:
    if special is None:
        return pa.nulls(count, _TEXT)
    mark = np.zeros(len(codes), np.int8)
    marked = np.zeros(len(codes), np.bool_)
    for code, name in field.marks.items():
        here = codes == code
        mark[here] = MARKS.index(name)
        marked |= here
    return _placed(mark, _both(good, marked), place, count, _TEXT, MARKS)


def _hex(codes: Any, width: int) -> npt.NDArray[np.bytes_]:
    """Codes as hex digits: each of their bytes looked up."""
    pairs = np.array([f"{n:02x}".encode() for n in range(256)], "S2")
    size = width // 8
    octets = codes.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - size :]
    return np.asarray(pairs[np.ascontiguousarray(octets)].view(f"S{2 * size}").reshape(-1))


def _errors(parts: list[Bulk], places: list[Places], count: int) -> pa.Array:
    """The column `error`: one text for each way to be wrong, however many payloads are."""
    texts: list[str] = []
    which = np.full(count, -1, np.int32)
    for part, place in zip(parts, places, strict=True):
        if part.errors is None:
            continue
        bad = np.flatnonzero(part.errors)
        keys, numbers = np.unique(part.errors[bad], return_inverse=True)
        which[bad if place is None else place[bad]] = len(texts) + numbers
        texts += [part.explain(key) for key in keys.tolist()]
    if not texts:
        return pa.nulls(count, _ERROR)
    return _dictionary(which, which >= 0, texts)


def _placed(
    values: Any, valid: Bools | None, place: Places, count: int, kind: pa.DataType, labels: Any = None
) -> pa.Array:
    """An Arrow column with `values` at their places, null elsewhere and where they are not valid."""
    if place is not None:
        whole = np.zeros(count, values.dtype)
        whole[place] = values
        there = np.zeros(count, np.bool_)
        there[place] = True if valid is None else valid
        values, valid = whole, there
    return _array(values, valid, kind) if labels is None else _dictionary(values, valid, labels)


def _dictionary(values: Any, valid: Bools | None, labels: Any) -> pa.Array:
    indices = _array(values, valid, pa.from_numpy_dtype(values.dtype))
    return pa.DictionaryArray.from_arrays(indices, pa.array(labels, pa.string()))


def _array(values: Any, valid: Bools | None, kind: pa.DataType) -> pa.Array:
    """Arrow over the memory of a NumPy array, which is copied for bits and nothing else."""
    present = None if valid is None or valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    data = (
        np.packbits(values, bitorder="little") if values.dtype == np.bool_ else np.ascontiguousarray(values)
    )
    buffers = [present, pa.py_buffer(data)]
    if values.dtype.kind == "S":
        edges = np.arange(len(values) + 1, dtype=np.int32) * values.dtype.itemsize
        buffers.insert(1, pa.py_buffer(edges))
    return pa.Array.from_buffers(kind, len(values), buffers)
