"""A new row in the table is a new field everywhere, no decoder is touched; and old decoders are not broken by it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
import quickjs

from borne.decoding import (
    DecodeError,
    codecs,
    columns,
    decode,
    dictionary,
    encode,
    report,
    stream_columns,
    table,
)
from borne.decoding.stream import decode_stream
from borne.decoding.writers import csv_header
from borne_node.report import codec, meaning, schema

NEW = schema.FILL + schema.PORTS_A_VERSION  # nobody sends it yet
CACHES = (table.layouts, report._plans, columns.schema, stream_columns.stream_schema)


def forget() -> None:
    for cached in CACHES:
        cached.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture
def humidity(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Format version 3 of the fill report: one row more, with its meaning."""
    name, window_s, window_bits, room, fields = schema.TABLE[schema.FILL]
    row = ("humidity", 8, 0, 1, 100, schema.UNKNOWN_CODE | schema.SUPPRESSED_CODE, 1)
    third = (name, window_s, window_bits, room, (*fields, row))
    monkeypatch.setitem(schema.TABLE, NEW, third)
    for field in fields:
        monkeypatch.setitem(meaning.ROWS, (NEW, field[0]), meaning.ROWS[schema.FILL, field[0]])
    means = meaning.Meaning("relative humidity", "%", None, meaning.THING, None, None, None, 1)
    monkeypatch.setitem(meaning.ROWS, (NEW, "humidity"), means)
    monkeypatch.setattr(report, "VERSION", 3)
    forget()
    yield
    monkeypatch.undo()
    forget()


VALUES = (35, 21, False, None, 3, 48)
HISTORY = ((30, 20, False, None, 2, 50), (30, 20, False, None, 1, schema.SUPPRESSED))


def test_one_row_is_a_field_everywhere(humidity: None) -> None:
    payload = codec.encode(
        NEW,
        10,
        (35, 21, 0, None, 3, 48),
        [(30, 20, 0, None, 2, 50), (30, 20, 0, None, 1, schema.SUPPRESSED)],
        12,
    )
    assert payload == encode(NEW, 10, VALUES, HISTORY, 12)

    single = decode(payload, NEW)
    assert (single.humidity, single.history) == (48, HISTORY)
    assert single.as_dict()["values"]["humidity"] == {"value": 48, "unit": "%"}

    rows = columns.decode_columns([payload], NEW, history=True)
    assert rows["humidity"].to_pylist() == [48, 50, None]
    assert rows["humidity_mark"].to_pylist() == [None, None, "suppressed"]
    mixed = columns.decode_columns([payload, b"\x0a\x3b\xd0"], np.array([NEW, 30]))
    assert mixed["fill_humidity"].to_pylist() == [48, None]
    # Versions of one report share their columns: whoever asks for fill levels gets those of old nodes too.
    assert mixed["kind"].to_pylist() == ["fill", "fill"]
    assert mixed["fill_level"].to_pylist() == [35, decode(b"\x0a\x3b\xd0", 30).level]

    context = quickjs.Context()
    context.eval(codecs.javascript("tts"))
    question = json.dumps({"fPort": NEW, "bytes": list(payload)})
    answer = json.loads(context.eval(f"JSON.stringify(decodeUplink({question}))"))["data"]
    assert (answer["humidity"], answer["history"][1]["humidity"]) == (48, "suppressed")

    assert "relative humidity, %" in codecs.javascript("chirpstack")
    assert (
        "| 32-39 | `humidity` | relative humidity | % | 0 to 100; 254: suppressed; 255: unknown"
        in dictionary.markdown()
    )
    assert "fill_humidity" in csv_header()
    (streamed,) = decode_stream([f"{NEW} {payload.hex()}"])
    assert streamed.report is not None and streamed.report.humidity == 48


def test_an_old_decoder_reads_old_reports_and_refuses_new_ones_by_name(humidity: None) -> None:
    new, old = encode(NEW, 10, VALUES), encode(30, 10, VALUES[:4])
    assert decode(old, 30).level == decode(new, NEW).level == 35
    forget()
    with pytest.MonkeyPatch.context() as before:
        before.delitem(schema.TABLE, NEW)
        for key in [key for key in meaning.ROWS if key[0] == NEW]:
            before.delitem(meaning.ROWS, key)
        before.setattr(report, "VERSION", 2)
        good, bad, also = decode_stream([f"30 {old.hex()}", f"{NEW} {new.hex()}", f"30 {old.hex()}"])
        assert good.report is not None and also.report is not None
        assert bad.error == "port 158: is of format version 3, this decoder knows version 2"
        table_of_both = columns.decode_columns([old, new], np.array([30, NEW]))
        assert table_of_both["fill_level"].to_pylist() == [35, None]
        assert table_of_both["error"].to_pylist() == [None, bad.error]
        with pytest.raises(DecodeError):
            decode(new, NEW)
        forget()
