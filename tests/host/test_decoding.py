"""One report on the host: the vectors, typed values, errors, and agreement with the node's own decoder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borne import decoding
from borne.decoding import OVERFLOW, SUPPRESSED, DecodeError, Report, decode, encode
from borne.decoding.table import Field, build, fields_of, layouts
from borne_node.errors import SensorFault
from borne_node.privacy import policy
from borne_node.report import codec, meaning, schema

VECTORS = Path(__file__).parents[1] / "vectors" / "reports"


def vectors(sort: str) -> list[Any]:
    found = []
    for path in sorted(VECTORS.glob("*.json")):
        found += [
            pytest.param(one, id=f"{path.stem}: {one['name']}") for one in json.loads(path.read_text())[sort]
        ]
    assert found
    return found


@pytest.mark.parametrize("vector", vectors("accept"))
def test_a_report_says_what_the_vector_says(vector: dict[str, Any]) -> None:
    report = decode(bytes.fromhex(vector["payload"]), vector["port"])
    head = {"port": vector["port"], "kind": report.kind, "window": vector["window"]}
    assert report.flat() == head | vector["report"]
    json.dumps(report.as_dict())


@pytest.mark.parametrize("vector", vectors("accept"))
def test_a_report_is_encoded_to_the_same_bytes(vector: dict[str, Any]) -> None:
    payload = bytes.fromhex(vector["payload"])
    report = decode(payload, vector["port"])
    history = report.history if "history" in vector else None
    assert encode(report.port, report.window, report.values, history, vector.get("room")) == payload


@pytest.mark.parametrize("vector", vectors("reject"))
def test_a_refusal_names_port_byte_and_bit(vector: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(bytes.fromhex(vector["payload"]), vector["port"])
    assert (caught.value.port, caught.value.byte, caught.value.bit) == (
        vector["port"],
        vector["byte"],
        vector["bit"],
    )
    assert f"port {vector['port']}" in str(caught.value)


def test_values_are_typed_and_named() -> None:
    report = decode(bytes.fromhex("0a3bd0"), 30)
    assert (report.level, report.temperature, report.tilt) == (35, 21, False)
    assert report.value("level") == 35
    assert report.as_dict()["values"]["level"] == {"value": 35, "unit": "%"}
    with pytest.raises(AttributeError, match="fill report has no field 'lux_class'"):
        _ = report.lux_class
    with pytest.raises(AttributeError):
        report.window = 3  # type: ignore[misc]


def test_markers_are_no_numbers() -> None:
    report = decode(bytes.fromhex("01f7f3"), 30)
    assert report.level is SUPPRESSED and report.temperature is None
    assert decode(bytes.fromhex("01a7dd"), 30).temperature is OVERFLOW


def test_a_late_report_finds_its_time() -> None:
    start = 1_900_000_800 // 900
    report = decode(codec.encode(10, start, (1, 1)), 10)
    for late in (0, 899, 900, 86400, 4095 * 900):
        assert report.started(start * 900 + late) == start * 900
    assert report.started(start * 900, earlier=2) == (start - 2) * 900
    assert decode(codec.encode(5, None, (5,)), 5).started(0) is None


@pytest.mark.parametrize(
    ("port", "said"),
    [(30 + 2 * 64, "3, this decoder knows version 2"), (10 + 2 * 64, "3, this decoder knows version 1")],
)
def test_a_later_version_is_refused_by_name(port: int, said: str) -> None:
    with pytest.raises(DecodeError, match=rf"port {port}: is of format version {said}"):
        decode(bytes(3), port)
    with pytest.raises(DecodeError, match="port 31: is no port of format version 2"):
        decode(bytes(3), 31)


@pytest.mark.parametrize(
    ("port", "values", "where"),
    [
        (30, ("full", 0, False, False), "port 30, byte 1, bit 7: level cannot be 'full'"),
        (30, (35, 0, "no", False), "port 30, byte 2, bit 3: tilt cannot be 'no'"),
        (20, (1, 1, "broken", 5, 5), "port 20, byte 2, bit 1: lamp cannot be 'broken'"),
        (5, ("sing",), "port 5, byte 0, bit 7: command cannot be 'sing'"),
        (30, (35, 0, False), "port 30, byte 2, bit 1: fire is missing"),
        (30, (None, 0, False, False, 1), "port 30: takes 4 values"),
    ],
)
def test_values_that_no_frame_can_say_are_refused(port: int, values: tuple[Any, ...], where: str) -> None:
    with pytest.raises(DecodeError) as caught:
        encode(port, None if port == 5 else 0, values)
    assert str(caught.value) == where


def test_history_is_labelled_and_numbered() -> None:
    payload = encode(30, 1, (35, 21, False, True), ((30, 20, False, False), (30, OVERFLOW, None, None)), 12)
    report = decode(payload, 30)
    assert report.history == ((30, 20, False, False), (30, OVERFLOW, None, None))
    assert [one["window"] for one in report.as_dict()["history"]] == [0, 255]


def values_of(field: Field) -> st.SearchStrategy[Any]:
    if field.raw:
        return st.binary(min_size=field.width // 8, max_size=field.width // 8).map(bytes.hex)
    if field.labels:
        usual: list[Any] = [label for label in field.labels if label is not None]
    else:
        usual = [field.offset + field.step * code for code in range(field.last + 1)]
    marks = {"unknown": None, "suppressed": SUPPRESSED, "overflow": OVERFLOW}
    return st.sampled_from(usual + [marks[name] for name in field.reserved.values()])


@st.composite
def reports(draw: st.DrawFn, history: bool = False) -> Report:
    layout = layouts()[
        draw(st.sampled_from([p for p, one in layouts().items() if one.has_history or not history]))
    ]
    fields = layout.fields
    if layout.variants:
        code = draw(st.sampled_from(sorted(layout.variants)))
        label = fields[0].labels[code]  # type: ignore[index]
        rest = tuple(draw(values_of(field)) for field in layout.variants[code])
        return Report(layout.port, None, (label, *rest))
    window = draw(st.integers(0, (1 << layout.window_bits) - 1)) if layout.window_bits else None
    row = st.tuples(*map(values_of, fields))
    earlier = tuple(draw(st.lists(row, max_size=8))) if history else ()
    return Report(layout.port, window, draw(row), earlier)


@given(reports())
def test_any_report_survives_the_way(report: Report) -> None:
    assert decode(encode(report.port, report.window, report.values), report.port) == report


@given(reports(history=True), st.integers(0, 60))
def test_history_is_cut_to_the_room_and_otherwise_survives(report: Report, room: int) -> None:
    payload = encode(report.port, report.window, report.values, report.history, room)
    assert len(payload) == max(room, layouts()[report.port].size)
    back = decode(payload, report.port)
    assert back == report._replace(history=report.history[: len(back.history)])


@given(st.integers(0, 255), st.binary(max_size=20))
@settings(max_examples=500)
def test_any_bytes_decode_or_are_refused_as_on_the_node(port: int, payload: bytes) -> None:
    try:
        frame = codec.decode(port, payload)
    except schema.FrameError as error:
        with pytest.raises(DecodeError) as caught:
            decode(payload, port)
        assert (caught.value.byte, caught.value.bit) == (error.byte, error.bit)
    else:
        report = decode(payload, port)
        assert len(report.values) == len(frame.values) and report.window == frame.window


@given(st.sampled_from(sorted(layouts())), st.data())
@settings(max_examples=500)
def test_whatever_decodes_is_encoded_back(port: int, data: st.DataObject) -> None:
    size = layouts()[port].size
    payload = data.draw(st.binary(min_size=size, max_size=size + 9))
    try:
        report = decode(payload, port)
    except DecodeError:
        return
    assert (
        encode(port, report.window, report.values) == payload[: max(size, len(payload) if port == 5 else 0)]
    )


def test_a_field_without_a_meaning_is_refused() -> None:
    table = {30: ("fill", 14400, 8, 0, (("level", 8, 0, 1, 100, 0, 1),))}
    with pytest.raises(ValueError, match="no meaning"):
        build(table, {}, {})
    rows = {(30, "level"): meaning.ROWS[30, "level"]}
    assert build(table, {}, rows)[30].fields[0].unit == "%"
    with pytest.raises(ValueError, match="do not exist"):
        build(table, {}, rows | {(30, "lid"): rows[30, "level"]})


def test_fields_fill_whole_bytes() -> None:
    table = {30: ("fill", 14400, 8, 0, (("level", 7, 0, 1, 100, 0, 1),))}
    with pytest.raises(ValueError, match="whole bytes"):
        build(table, {}, {(30, "level"): meaning.ROWS[30, "level"]})


def test_no_field_hides_what_stands_beside_it() -> None:
    beside = {
        "port",
        "kind",
        "window",
        "earlier",
        "row",
        "error",
        "device",
        "time",
        "started",
        "f_cnt",
        "gateways",
    }
    for layout in layouts().values():
        names = [field.name for field in fields_of(layout)]
        assert len(set(names)) == len(names) and not beside & set(names), layout.name


def test_labels_match_what_the_node_calls_them() -> None:
    assert layouts()[2].fields[2].labels == SensorFault.REASONS


def test_epsilon_and_windows_are_the_policy_s() -> None:
    for row in policy.TABLE:
        layout = layouts()[row.port]
        assert layout.window_s == row.window_s, row
        claimed = {field.epsilon for field in layout.fields} - {None}
        assert claimed == ({row.epsilon} if row.epsilon else set()), row


def test_every_field_with_history_can_be_unknown() -> None:
    # A window without a release is told as unknown throughout.
    for layout in layouts().values():
        if layout.has_history:
            assert all("unknown" in field.reserved.values() for field in layout.fields), layout.name


def test_the_package_gives_columns_and_streams_when_named() -> None:
    assert decoding.decode_columns([b"\x0a\x3b\xd0"], 30)["level"].to_pylist() == [35]
    assert [one.report is not None for one in decoding.decode_stream(["30 0a3bd0"])] == [True]
    with pytest.raises(AttributeError, match="no attribute 'decode_everything'"):
        _ = decoding.decode_everything


def test_a_plain_installation_decodes_without_the_columns_libraries() -> None:
    script = "import sys; from borne.decoding import decode; decode(bytes(3), 30); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numpy", "pyarrow", "msgspec"} & set(done.stdout.split())
