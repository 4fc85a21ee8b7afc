"""Columns say what single reports say, for every vector and for any bytes at all."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borne.decoding import DecodeError, Marker, Report, decode, encode
from borne.decoding.columns import batches_schema, decode_batches, decode_columns, schema
from borne.decoding.table import layouts, prefix

VECTORS = Path(__file__).parents[1] / "vectors" / "reports"


def vectors(sort: str) -> list[tuple[int, bytes]]:
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        found += [(one["port"], bytes.fromhex(one["payload"])) for one in json.loads(path.read_text())[sort]]
    assert found
    return found


def expected(port: int, payload: bytes) -> tuple[Report | None, str | None]:
    try:
        return decode(payload, port), None
    except DecodeError as error:
        return None, str(error)


def check_fields(row: dict[str, Any], before: str, report: Report, values: tuple[Any, ...]) -> None:
    """One row of a table against the values of a report or of one of its earlier windows."""
    for name, value in zip(report.names, values, strict=True):
        mark = row.pop(f"{before}{name}_mark", None)
        shown = row.pop(before + name)
        if isinstance(value, Marker):
            assert (shown, mark) == (None, value.name.lower()), (name, report)
        else:
            assert (shown, mark) == (value, None), (name, report)


def check_mixed(table: pa.Table, pairs: list[tuple[int, bytes]]) -> None:
    assert table.num_rows == len(pairs)
    assert table.schema == schema()
    for row, (port, payload) in zip(table.to_pylist(), pairs, strict=True):
        report, error = expected(port, payload)
        assert row.pop("error") == error, (port, payload.hex())
        assert row.pop("port") == port
        kind, window = row.pop("kind"), row.pop("window")
        if report is not None:
            assert (kind, window) == (report.kind, report.window)
            check_fields(row, prefix(report.layout), report, report.values)
        assert set(row.values()) <= {None}


def test_vectors_in_one_mixed_table() -> None:
    pairs = vectors("accept") + vectors("reject")
    random.Random(1).shuffle(pairs)
    table = decode_columns([payload for _, payload in pairs], [port for port, _ in pairs])
    check_mixed(table, pairs)


@pytest.mark.parametrize("port", sorted(layouts()))
def test_vectors_of_one_port_with_their_history(port: int) -> None:
    payloads = [one for sort in ("accept", "reject") for at, one in vectors(sort) if at == port]
    check_single(port, payloads)


def check_single(port: int, payloads: list[bytes]) -> None:
    table = decode_columns(payloads, port, history=True)
    assert table.schema == schema(port, history=True)
    rows = iter(table.to_pylist())
    for number, payload in enumerate(payloads):
        report, error = expected(port, payload)
        first = next(rows)
        assert (first.pop("row"), first.pop("earlier"), first.pop("error")) == (number, 0, error), (
            payload.hex()
        )
        if report is None:
            assert set(first.values()) <= {None}
            continue
        assert first.pop("window", None) == report.window
        check_fields(first, "", report, report.values)
        assert set(first.values()) <= {None}
        for back, values in enumerate(report.history):
            row = next(rows)
            assert (row.pop("row"), row.pop("earlier"), row.pop("error")) == (number, back + 1, None)
            assert row.pop("window") == report.earlier(back)
            check_fields(row, "", report, values)
    assert next(rows, None) is None


payloads_of_any_kind = st.lists(
    st.tuples(st.sampled_from([*layouts(), *layouts(), 0, 4, 158, 224, 255]), st.binary(max_size=20)),
    max_size=30,
)


@given(payloads_of_any_kind)
@settings(max_examples=200)
def test_any_bytes_in_a_mixed_table(pairs: list[tuple[int, bytes]]) -> None:
    check_mixed(decode_columns([payload for _, payload in pairs], [port for port, _ in pairs]), pairs)


@given(st.sampled_from(sorted(layouts())), st.data())
@settings(max_examples=200)
def test_any_bytes_of_one_port(port: int, data: st.DataObject) -> None:
    size = layouts()[port].size
    sizes = (
        st.binary(min_size=size, max_size=size)
        | st.binary(min_size=size, max_size=size + 12)
        | st.binary(max_size=20)
    )
    check_single(port, data.draw(st.lists(sizes, max_size=20)))


def test_many_random_payloads() -> None:
    rng = random.Random(7)
    ports, sizes = sorted(layouts()), [1, 3, 3, 4, 4, 5, 7, 10, 12, 14]
    pairs = [(rng.choice(ports), rng.randbytes(rng.choice(sizes))) for _ in range(4_000)]
    check_mixed(decode_columns([payload for _, payload in pairs], [port for port, _ in pairs]), pairs)


def fills(count: int) -> list[bytes]:
    rng = random.Random(3)
    return [encode(30, n, (5 * rng.randrange(21), rng.randrange(-40, 80), False, None)) for n in range(count)]


def test_every_way_to_hand_payloads_in_gives_the_same_table() -> None:
    payloads = fills(1000)
    whole = decode_columns(payloads, 30)
    buffer = b"".join(payloads)
    matrix = np.frombuffer(buffer, np.uint8).reshape(-1, 3)
    arrow = pa.array([b"xx", *payloads, b"yy"], pa.binary()).slice(1, 1000)
    ways = [
        buffer,
        memoryview(buffer),
        matrix,
        np.asfortranarray(matrix),
        arrow,
        arrow.cast(pa.large_binary()),
        pa.array(payloads, pa.binary(3)),
        pa.chunked_array([arrow.slice(0, 10), arrow.slice(10)]),
    ]
    for way in ways:
        assert decode_columns(way, 30).equals(whole), type(way)
    assert whole.num_rows == 1000 and whole["error"].null_count == 1000


def test_more_rows_than_a_chunk_stay_in_order() -> None:
    payloads = fills(256) * 600
    table = decode_columns(payloads, 30)
    assert table["window"].to_numpy().tolist() == list(range(256)) * 600
    ports = np.resize([30, 10], len(payloads))
    mixed = decode_columns(payloads, ports)
    assert mixed["port"].to_numpy().tolist() == ports.tolist()
    assert mixed["fill_level"].null_count == len(payloads) // 2


def test_missing_payloads_and_ports_are_errors_not_exceptions() -> None:
    table = decode_columns(pa.array([None, b"\0\0\0"], pa.binary()), pa.array([30, None], pa.int32()))
    assert table["error"].to_pylist() == ["port 30, byte 0: must have 3 bytes", "no port"]
    assert table["port"].to_pylist() == [30, None]


def test_an_empty_column_gives_an_empty_table() -> None:
    assert decode_columns([], 30).schema == schema(30)
    assert decode_columns(pa.array([], pa.binary()), pa.array([], pa.int32())).num_rows == 0


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 payloads and 2 ports"):
        decode_columns(fills(3), [30, 30])
    with pytest.raises(ValueError, match="whole reports"):
        decode_columns(bytes(10), 30)
    with pytest.raises(ValueError, match="must be uint8"):
        decode_columns(np.zeros((2, 3), np.int32), 30)
    with pytest.raises(DecodeError, match="format version 3"):
        decode_columns([], 158)


def test_memory_stays_below_twice_input_and_output() -> None:
    payloads = b"".join(fills(256)) * 2000
    column = pa.array(
        np.frombuffer(payloads, "S3"), pa.binary()
    )  # NumPy strips trailing zero bytes: shorter ones
    whole = np.frombuffer(payloads, np.uint8).reshape(-1, 3)
    decode_columns(whole[:1000], 30)
    for given_payloads in (whole, column):
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        table = decode_columns(given_payloads, 30)
        peak = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before
        tracemalloc.stop()
        assert peak < 2 * (len(payloads) + table.nbytes), (peak, len(payloads), table.nbytes)


def test_batches_keep_other_columns_and_are_plain() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "name": ["a", "b"],
            "payload": [bytes.fromhex("0a3bd0"), b""],
            "port": pa.array([30, 10], pa.int16()),
        }
    )
    (decoded,) = decode_batches([batch])
    assert decoded.schema == batches_schema([batch.schema.field("name")])
    assert decoded["name"].to_pylist() == ["a", "b"]
    assert decoded["kind"].to_pylist() == ["fill", None] or decoded["kind"].to_pylist() == [
        "fill",
        "parking zone",
    ]
    assert decoded["fill_level"].to_pylist() == [35, None]
    (empty,) = decode_batches([batch.slice(0, 0)])
    assert empty.num_rows == 0 and empty.schema == decoded.schema
