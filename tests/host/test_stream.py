"""Streams: the four envelopes with every trap of theirs, MQTT, bare bytes, writers, bad lines, flat memory."""

from __future__ import annotations

import base64
import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from borne.decoding import SUPPRESSED, encode, writers
from borne.decoding.envelopes import FORMS, nanoseconds, read
from borne.decoding.stream import LONGEST_LINE, Decoded, Uplinks, batches, decode_stream
from borne.errors import EnvelopeError

FILL = bytes.fromhex("0a3bd0")


def tts(**changes: Any) -> dict[str, Any]:
    """After https://www.thethingsindustries.com/docs/integrations/data-formats/."""
    up: dict[str, Any] = {
        "session_key_id": "AXA50tHUSVdgrMk0DA7bvQ==",
        "f_port": 30,
        "f_cnt": 7,
        "frm_payload": base64.b64encode(FILL).decode(),
        "rx_metadata": [
            {"gateway_ids": {"gateway_id": "far"}, "rssi": -118, "channel_rssi": -118, "snr": -9.5},
            {"gateway_ids": {"gateway_id": "near"}, "rssi": -71, "channel_rssi": -71, "snr": 9.25},
            {"gateway_ids": {"gateway_id": "loud"}, "rssi": -60, "snr": 3},
        ],
        "settings": {"data_rate": {"lora": {"spreading_factor": 7}}, "frequency": "868300000"},
        "received_at": "2026-03-01T10:00:00.787123456Z",
    }
    up = {name: value for name, value in (up | changes).items() if value is not None}
    ids = {"device_id": "bin-7", "dev_eui": "70B3D57ED0001A2B", "dev_addr": "260B4F5D"}
    return {"end_device_ids": ids, "received_at": "2026-03-01T10:00:00.9Z", "uplink_message": up}


def chirpstack(**changes: Any) -> dict[str, Any]:
    """After https://www.chirpstack.io/docs/chirpstack/integrations/events.html, event "up"."""
    message: dict[str, Any] = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-03-01T10:00:00.787123456+00:00",
        "deviceInfo": {"tenantName": "town", "deviceName": "bin-7", "devEui": "70b3d57ed0001a2b"},
        "devAddr": "00189440",
        "adr": True,
        "dr": 5,
        "fCnt": 7,
        "fPort": 30,
        "confirmed": False,
        "data": base64.b64encode(FILL).decode(),
        "rxInfo": [
            {"gatewayId": "0016c001f153a14c", "uplinkId": 1, "rssi": -48, "snr": 9.25, "context": "EFwMtA=="}
        ],
        "txInfo": {"frequency": 868100000, "modulation": {"lora": {"bandwidth": 125000}}},
    }
    return {name: value for name, value in (message | changes).items() if value is not None}


def thingpark(**changes: Any) -> dict[str, Any]:
    """After https://docs.thingpark.com (LRC-AS tunnel interface, DevEUI_uplink)."""
    up: dict[str, Any] = {
        "Time": "2026-03-01T11:00:00.787+01:00",
        "DevEUI": "70B3D57ED0001A2B",
        "FPort": 30,
        "FCntUp": 7,
        "ADRbit": 1,
        "payload_hex": FILL.hex(),
        "LrrRSSI": -65.0,
        "LrrSNR": 8.5,
        "SpFact": 7,
        "Channel": "LC2",
        "DevAddr": "04C44A5B",
        "Lrrs": {
            "Lrr": [{"Lrrid": "080E0029", "LrrRSSI": -65.0, "LrrSNR": 8.5}, {"LrrRSSI": -80.0, "LrrSNR": 9.0}]
        },
    }
    return {"DevEUI_uplink": {name: value for name, value in (up | changes).items() if value is not None}}


def live_objects(**changes: Any) -> dict[str, Any]:
    """After https://liveobjects.orange-business.com/doc/html/lo_manual_v2.html, LoRa data message."""
    lora: dict[str, Any] = {
        "devEUI": "70B3D57ED0001A2B",
        "port": 30,
        "fcnt": 7,
        "rssi": -85.0,
        "snr": 7.0,
        "esp": -85.79,
        "sf": 7,
        "frequency": 867.1,
        "signalLevel": 5,
        "gatewayCnt": 2,
    }
    return {
        "streamId": "urn:lo:nsid:lora:70B3D57ED0001A2B",
        "timestamp": "2026-03-01T10:00:00.787Z",
        "model": "lora_v0",
        "value": {"payload": FILL.hex()},
        "metadata": {"source": "urn:lo:nsid:lora:70B3D57ED0001A2B", "network": {"lora": lora | changes}},
    }


ENVELOPES = {"tts": tts, "chirpstack": chirpstack, "thingpark": thingpark, "liveobjects": live_objects}


def one(message: dict[str, Any], form: str = "auto") -> Decoded:
    (decoded,) = decode_stream([json.dumps(message).encode()], form)
    return decoded


@pytest.mark.parametrize("form", ["auto", None])
@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_says_who_when_and_what(name: str, form: str | None) -> None:
    decoded = one(ENVELOPES[name](), form or name)
    assert decoded.error is None and decoded.report is not None and decoded.uplink is not None
    uplink = decoded.uplink
    assert (uplink.device, uplink.port, uplink.payload, uplink.f_cnt) == ("70B3D57ED0001A2B", 30, FILL, 7)
    assert uplink.time is not None and nanoseconds(uplink.time) // 10**9 == 1772359200
    assert decoded.report.level == 35


def test_several_gateways_the_best_snr_counts() -> None:
    up = one(tts()).uplink
    assert up is not None and (up.rssi, up.snr, up.frequency, up.gateways) == (-71, 9.25, 868300000, 3)
    up = one(thingpark()).uplink
    assert up is not None and (up.rssi, up.snr, up.gateways) == (-80, 9.0, 2)
    heard = [
        {"gatewayId": "a", "rssi": -100, "snr": -2},
        {"gatewayId": "b", "rssi": -50},
        {"gatewayId": "c", "snr": -7},
    ]
    up = one(chirpstack(rxInfo=heard)).uplink
    assert up is not None and (up.rssi, up.snr, up.gateways) == (-50, 0, 3)
    up = one(live_objects()).uplink
    assert up is not None and (up.rssi, up.snr, up.frequency, up.gateways) == (-85, 7, 867100000, 2)


def test_the_things_stack_omits_zeros() -> None:
    first = one(tts(f_cnt=None))
    assert first.uplink is not None and first.uplink.f_cnt == 0 and first.report is not None
    empty = one(tts(frm_payload=None))
    assert empty.error == "port 30, byte 0: must have 3 bytes"
    # MAC commands alone: neither port nor payload.
    assert one(tts(frm_payload=None, f_port=None))[1:] == (None, None, None)
    silent = one(tts(rx_metadata=None, settings=None))
    assert silent.uplink is not None and (silent.uplink.snr, silent.uplink.gateways) == (None, 0)


def test_chirpstack_omits_defaults_inside_rx_info_only() -> None:
    up = one(chirpstack(rxInfo=[{"gatewayId": "a"}])).uplink
    assert up is not None and (up.rssi, up.snr) == (0, 0)
    assert one(chirpstack(data="")).error == "port 30, byte 0: must have 3 bytes"
    assert one(chirpstack(data="", fPort=0))[1:] == (None, None, None)


def test_thingpark_may_write_numbers_as_text() -> None:
    lrr = {"LrrRSSI": "-65.000000", "LrrSNR": "8.500000"}
    up = one(thingpark(FPort="30", FCntUp="7", Lrrs={"Lrr": lrr}, **lrr)).uplink
    assert up is not None and (up.port, up.f_cnt, up.rssi, up.snr, up.gateways) == (30, 7, -65, 8.5, 1)
    up = one(thingpark(Lrrs=None, Frequency="868.1")).uplink
    assert up is not None and (up.rssi, up.gateways, up.frequency) == (-65, None, 868100000)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-03-01T10:00:00Z", 1772359200 * 10**9),
        ("2026-03-01T10:00:00.787123456Z", 1772359200787123456),
        ("2026-03-01T11:00:00.787+01:00", 1772359200787000000),
        ("2026-03-01T04:30:00.5-05:30", 1772359200500000000),
        ("2026-03-01T11:00:00.000001+0100", 1772359200000001000),
    ],
)
def test_times_keep_their_nanoseconds_and_zones(time: str, expected: int) -> None:
    assert nanoseconds(time) == expected


@pytest.mark.parametrize("time", ["yesterday", "2026-03-01T10:00:00", "2026-13-01T10:00:00Z", ""])
def test_a_time_without_sense_or_zone_is_refused(time: str) -> None:
    with pytest.raises(EnvelopeError):
        nanoseconds(time)


def test_frames_that_came_before_are_dropped_unless_the_session_is_new() -> None:
    lines = [
        json.dumps(message) for message in (tts(), tts(), tts(f_cnt=8), tts(session_key_id="new"), tts())
    ]
    assert [one.report is not None for one in decode_stream(lines)] == [True, False, True, True, False]
    assert all(one.report for one in decode_stream(lines, deduplicate=False))
    uplinks = Uplinks()
    list(map(uplinks.take, lines))
    assert uplinks.duplicates == 2


def test_what_is_remembered_of_frames_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("borne.decoding.stream._REMEMBERED", 4)
    uplinks = Uplinks()
    for n in range(100):
        assert uplinks.take(json.dumps(tts(f_cnt=n + 1))) is not None
    assert len(uplinks._seen) + len(uplinks._before) <= 8
    assert uplinks.take(json.dumps(tts(f_cnt=100))) is None
    assert uplinks.take(json.dumps(tts(f_cnt=1))) is not None


@pytest.mark.parametrize(
    "message",
    [
        chirpstack(joinServerContext={"sessionKeyId": "0123"}),
        tts(app_s_key={"key": "AAAA", "kek_label": "js"}),
    ],
)
def test_data_that_is_still_encrypted_is_not_decoded(message: dict[str, Any]) -> None:
    error = one(message).error
    assert error is not None and "still encrypted" in error
    assert one(chirpstack(joinServerContext=False) | {"joinServerContext": None}).report is not None


@pytest.mark.parametrize(
    "message",
    [
        {"end_device_ids": {"device_id": "bin-7"}, "join_accept": {"session_key_id": "AX"}},
        {"deviceInfo": {"devEui": "70b3d57ed0001a2b"}, "devAddr": "00189440", "time": "2026-03-01T10:00:00Z"},
        {"DevEUI_location": {"DevEUI": "70B3D57ED0001A2B"}},
        {"streamId": "urn:lo:nsid:mqtt:x", "metadata": {"connector": "mqtt"}, "value": {"temp": 3}},
        {"topic": "borne/v1/bin-7/down/5", "payload": "05"},
    ],
)
def test_other_messages_are_passed_over(message: dict[str, Any]) -> None:
    assert one(message)[1:] == (None, None, None)


def test_the_things_stack_wraps_messages_in_its_streams() -> None:
    assert one({"result": tts()}).report is not None
    event = {
        "name": "as.up.data.forward",
        "identifiers": [],
        "data": {"@type": "ttn.lorawan.v3.ApplicationUp", **tts()},
    }
    assert one(event).report is not None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"a": 1}', "no network server"),
        ('{"end_device_ids": ', "kind"),
        ('["a"]', "no port"),
        (json.dumps(tts(f_port="x")), "f_port"),
        (json.dumps(tts(frm_payload="***")), "frm_payload"),
        (json.dumps(thingpark(payload_hex="0a3")), "payload_hex is no hex"),
        ("30 zz", "neither hex nor base64"),
        ("0a3bd0", "no port"),
        ("30 0a3bd0 x", "neither JSON"),
        ("300 0a3bd0", "port 300: is no port"),
        (b"\xff\xfe 30", "no text"),
        ("{" + " " * LONGEST_LINE, "longer"),
    ],
)
def test_a_bad_line_is_named_and_the_stream_goes_on(line: str | bytes, reason: str) -> None:
    raw = line.encode() if isinstance(line, str) else line
    good, bad, also = decode_stream([b"30 0a3bd0", raw, b"30 0a3bd0"])
    assert good.report is not None and also.report is not None
    assert (bad.number, bad.report) == (2, None)
    assert bad.error is not None and reason in bad.error


@pytest.mark.parametrize(
    ("line", "form", "port"),
    [
        ("30 0a3bd0", "auto", None),
        ("30 0A3BD0", "hex", None),
        ("30:0x0a3bd0", "auto", None),
        ("30\tCjvQ", "auto", None),
        ("30 CjvQ", "base64", None),
        ("0a3bd0", "auto", 30),
        ("CjvQ", "auto", 30),
        ("borne/v1/bin-7/up/30 0a3bd0", "auto", None),
        (
            '{"topic": "borne/v1/bin-7/up/30", "payload": "0a3bd0", "tst": "2026-03-01T10:00:00.5+0000"}',
            "auto",
            None,
        ),
    ],
)
def test_bare_bytes_and_our_own_mqtt(line: str, form: str, port: int | None) -> None:
    uplink = read(line, form, port)
    assert uplink is not None and (uplink.port, uplink.payload) == (30, FILL)
    assert uplink.device == ("bin-7" if "bin-7" in line else None)


def test_what_is_both_hex_and_base64_is_hex_unless_said() -> None:
    assert read("30 abcd") == read("30 abcd", "hex")
    other = read("30 abcd", "base64")
    assert other is not None and other.payload == base64.b64decode("abcd")


def test_blank_lines_and_comments_count_but_say_nothing() -> None:
    decoded = list(decode_stream(["# bins", "", "  ", "30 0a3bd0\r\n"]))
    assert [one.report is not None for one in decoded] == [False, False, False, True]
    assert decoded[-1].number == 4


class Pipe(io.RawIOBase):
    """Gives what a slow writer gives: a few bytes at a time."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def read1(self, size: int = -1) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""


def test_lines_leave_a_pipe_as_soon_as_they_are_whole() -> None:
    pipe = Pipe(b"30 0a", b"3bd0\n10 ", b"7e7148\n30 0a3bd0\n", b"30 0a3bd0")
    assert list(batches(pipe)) == [[b"30 0a3bd0"], [b"10 7e7148", b"30 0a3bd0"], [b"30 0a3bd0"]]


def test_a_line_without_end_is_cut_and_the_next_one_lives() -> None:
    chunk = b"x" * (LONGEST_LINE // 2)
    found = list(batches(Pipe(chunk, chunk, chunk, chunk, b"tail\n30 0a3bd0\n")))
    lines = [line for batch in found for line in batch]
    assert [len(line) > LONGEST_LINE for line in lines] == [True, False]
    assert list(decode_stream(lines))[1].report is not None


def endless(count: int) -> Iterator[list[bytes]]:
    for n in range(count):
        yield [json.dumps(tts(f_cnt=n + 1)).encode()] * 2


class Sink(io.StringIO):
    """Forgets what is written."""

    def write(self, text: str) -> int:
        return len(text)


@pytest.mark.parametrize("to", writers.TEXT_FORMS)
def test_memory_stays_flat_on_an_endless_stream(to: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("borne.decoding.stream._REMEMBERED", 100)
    writers.convert(endless(200), to, Sink(), raise_problem, Uplinks())
    tracemalloc.start()
    writers.convert(endless(3000), to, Sink(), raise_problem, Uplinks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000  # the stream has 6 MB


def raise_problem(number: int, text: str) -> None:
    raise AssertionError(f"{number}: {text}")


def mixed_lines() -> list[bytes]:
    return [
        json.dumps(tts()).encode(),
        b"10 001f88",
        b"20 " + encode(20, 18, (SUPPRESSED, 5, None, None, None)).hex().encode(),
        b"1 0000",
        b"5 040a0fa00c",
    ]


def convert(to: str, history: bool = False) -> tuple[str, writers.Summary, list[str]]:
    problems: list[str] = []
    out = io.StringIO()
    summary = writers.convert(
        [mixed_lines()],
        to,
        out,
        lambda number, text: problems.append(f"{number}: {text}"),
        Uplinks(),
        history=history,
    )
    return out.getvalue(), summary, problems


def test_ndjson_is_flat_and_says_what_is_withheld() -> None:
    text, summary, problems = convert("ndjson")
    rows = [json.loads(line) for line in text.splitlines()]
    assert (summary.reports, summary.problems) == (4, 1) == (len(rows), len(problems))
    assert problems[0].startswith("4: port 1")
    assert rows[0]["device"] == "70B3D57ED0001A2B" and rows[0]["level"] == 35 and rows[0]["snr"] == 9.25
    assert rows[0]["started"] == "2026-01-28T16:00:00Z"
    assert rows[1]["occupied"] == "suppressed" and rows[1]["bays_ok"] == 8
    assert rows[2]["presence"] == "suppressed" and rows[2]["energy"] is None
    assert rows[3] | {"command": "resend", "of_port": 10} == rows[3]


def test_csv_has_one_header_for_all_kinds() -> None:
    text, _, _ = convert("csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 4
    assert (
        rows[0]["fill_level"] == "35"
        and rows[0]["fill_tilt"] == "false"
        and rows[0]["parking_zone_occupied"] == ""
    )
    assert rows[1]["parking_zone_occupied"] == "suppressed"


def test_people_read_a_line_a_report() -> None:
    text, _, _ = convert("table")
    assert "2026-01-28T16:00:00Z  70B3D57ED0001A2B  fill          level 35 %, temperature 21 °C" in text
    assert "occupied suppressed" in text


def test_parquet_says_the_same_as_ndjson(tmp_path: Path) -> None:
    text, _, _ = convert("ndjson")
    problems: list[str] = []
    path = tmp_path / "out.parquet"
    summary = writers.convert_to_parquet(
        [mixed_lines()], path, lambda number, text: problems.append(f"{number}: {text}"), Uplinks()
    )
    assert (summary.reports, summary.problems, len(problems)) == (4, 1, 1)
    table = pq.read_table(path).drop_columns("time")  # Python's datetime has no nanoseconds
    for row, line in zip(table.to_pylist(), text.splitlines(), strict=True):
        said = json.loads(line)
        before = said["kind"].replace(" ", "_") + "_"
        assert (row["device"], row["port"], row["kind"]) == (said["device"], said["port"], said["kind"])
        assert row["window"] == said["window"]
        assert said["started"] == (row["started"].strftime("%Y-%m-%dT%H:%M:%SZ") if row["started"] else None)
        for name, value in said.items():
            if before + name in row:
                assert value in (row[before + name], row.get(f"{before}{name}_mark"))
    assert not list(tmp_path.glob("*.part"))


def test_parquet_leaves_nothing_when_the_stream_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    with pytest.raises(AssertionError):
        writers.convert_to_parquet([mixed_lines()], path, raise_problem, Uplinks())
    assert list(tmp_path.iterdir()) == []


def test_history_becomes_rows_of_their_own(tmp_path: Path) -> None:
    vector = json.loads((Path(__file__).parents[1] / "vectors/reports/history.json").read_text())["accept"][3]
    payload = base64.b64encode(bytes.fromhex(vector["payload"])).decode()
    line = json.dumps(tts(frm_payload=payload)).encode()
    out = io.StringIO()
    writers.convert([[line]], "ndjson", out, raise_problem, Uplinks(), history=True)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["earlier"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["window"] for row in rows] == [10, 9, 8, 7, 6]
    assert [row["level"] for row in rows] == [35, 30, 30, 25, 20]
    assert [row["started"][:13] for row in rows][:2] == ["2026-01-28T16", "2026-01-28T12"]
    path = tmp_path / "out.parquet"
    writers.convert_to_parquet([[line]], path, raise_problem, Uplinks(), history=True)
    table = pq.read_table(path)
    assert table["fill_level"].to_pylist() == [35, 30, 30, 25, 20]
    assert [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in table["started"].to_pylist()] == [
        r["started"] for r in rows
    ]


def test_times_that_arrow_cannot_read_are_read_anyway(tmp_path: Path) -> None:
    line = b'{"topic": "borne/v1/bin-7/up/30", "payload": "0a3bd0", "tst": "2026-03-01T11:00:00.000001+0100"}'
    odd = b'{"topic": "borne/v1/bin-7/up/30", "payload": "0a3bd0", "tst": "noon"}'
    path = tmp_path / "out.parquet"
    writers.convert_to_parquet([[line, odd]], path, raise_problem, Uplinks())
    assert pq.read_table(path)["time"].cast(pa.int64()).to_pylist() == [1772359200000001000, None]


def test_an_empty_stream_is_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    assert writers.convert_to_parquet([], path, raise_problem, Uplinks()).reports == 0
    assert pq.read_table(path).num_rows == 0


def test_forms_are_named() -> None:
    assert FORMS == ("auto", "tts", "chirpstack", "thingpark", "liveobjects", "mqtt", "hex", "base64")
