"""How fast reports are decoded and encoded, each against a peer in the same run on one core."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cayennelpp
import numpy as np
from bench.decoding_series import clamp

from borne.decoding import codecs, decode, encode
from borne.decoding.columns import decode_columns
from borne_node.report.schema import LIGHT

_ROOT = Path(__file__).parents[1]
_POOL = 4096
_REPEAT = 256
# About what a town of ten thousand nodes sends in a day.
_LINES = 1_000_000
Row = dict[str, object]


def row(name: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": value / peer_value,
    }


def rate(work: Callable[[], object], count: int, tries: int = 7) -> float:
    """Things a second, the best of several tries: what disturbs a run only makes it slower."""
    best = min(_seconds(work) for _ in range(tries))
    return count / best


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def lights() -> list[tuple[Any, ...]]:
    """Values of light reports: presence, lux class, lamp, dimming in %, energy in Wh."""
    rng = random.Random(1)
    lamps = ("off", "on", "low")
    return [
        (
            clamp(rng.expovariate(0.02), 0, 1020),
            rng.randrange(11),
            rng.choice(lamps),
            5 * rng.randrange(21),
            2 * rng.randrange(1000),
        )
        for _ in range(_POOL)
    ]


def cayenne(values: tuple[Any, ...]) -> bytes:
    """The same values in CayenneLPP: what its types can say, one channel each."""
    presence, lux, lamp, dimming, energy = values
    frame = cayennelpp.LppFrame()
    frame.add_luminosity(1, presence)
    frame.add_digital_input(2, lux)
    frame.add_digital_input(3, ("off", "on", "low").index(lamp))
    frame.add_percentage(4, dimming)
    frame.add_energy(5, energy / 1000)
    return bytes(frame)


def by_hand(buffer: bytes) -> tuple[Any, ...]:
    """What one writes by hand for this frame with NumPy: 40-bit words, shifts, masks, which codes are reserved."""
    octets = np.frombuffer(buffer, np.uint8).reshape(-1, 5)
    word = np.zeros(len(octets), np.uint64)
    for n in range(5):
        word = (word << np.uint64(8)) | octets[:, n]

    def field(shift: int, mask: int, kind: Any) -> Any:
        return ((word >> np.uint64(shift)) & np.uint64(mask)).astype(kind)

    presence, lux, lamp = field(22, 1023, np.int16), field(18, 15, np.int8), field(15, 7, np.int8)
    dimming, energy = field(10, 31, np.int8), field(0, 1023, np.int16)
    reserved = presence > 1020, lux > 10, lamp > 4, dimming > 20, energy > 1020
    return field(32, 255, np.int32), presence, lux, lamp, dimming * 5, energy * 2, reserved


def columnar() -> list[Row]:
    values = lights()
    buffer = b"".join(encode(LIGHT, n, one) for n, one in enumerate(values)) * _REPEAT
    count = _POOL * _REPEAT
    ours = rate(lambda: decode_columns(buffer, LIGHT), count)
    frames = [cayenne(one) for one in values]
    theirs = rate(lambda: [cayennelpp.LppFrame.from_bytes(one) for one in frames], _POOL, 3)
    hand = rate(lambda: by_hand(buffer), count)
    name, unit = "decode a column of 5-byte reports", "reports/s"
    return [
        row(name, ours, unit, "pycayennelpp, the same values", theirs),
        row(name, ours, unit, "shifts and masks by hand in NumPy", hand),
        row(name, ours, unit, "the generated JavaScript in node", in_node(buffer[: 5 * 200_000])),
    ]


def in_node(buffer: bytes) -> float:
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("the benchmark needs node")
    script = codecs.javascript("tts") + (
        "var raw = require('fs').readFileSync(0), all = [], best = 0, n, k;"
        "for (n = 0; n < raw.length; n += 5) { all.push(Array.prototype.slice.call(raw, n, n + 5)); }"
        "for (k = 0; k < 5; k += 1) { var start = process.hrtime.bigint();"
        "all.forEach(function (bytes) { decodeUplink({bytes: bytes, fPort: 20}); });"
        "best = Math.max(best, all.length / Number(process.hrtime.bigint() - start) * 1e9); }"
        "console.log(best);"
    )
    done = subprocess.run([node, "-e", script], input=buffer, capture_output=True, check=True)
    return float(done.stdout)


def single() -> list[Row]:
    values = lights()
    payloads = [encode(LIGHT, n, one) for n, one in enumerate(values)]
    frames = [cayenne(one) for one in values]
    ours = rate(lambda: [decode(one, LIGHT) for one in payloads], _POOL)
    theirs = rate(lambda: [cayennelpp.LppFrame.from_bytes(one) for one in frames], _POOL, 3)
    return [row("decode one report", ours, "reports/s", "pycayennelpp, the same values", theirs)]


def message(number: int, payload: bytes) -> str:
    """An uplink of The Things Stack as it comes, some 1.1 kB."""
    device = number % 500
    heard = {
        "gateway_ids": {"gateway_id": "town-hall", "eui": "58A0CBFFFE8015B8"},
        "time": "2026-03-01T10:00:00.123Z",
        "timestamp": 1234567890 + number,
        "rssi": -60 - number % 60,
        "channel_rssi": -60 - number % 60,
        "snr": 9.25 - number % 20,
        "location": {"latitude": 48.1, "longitude": -1.6, "altitude": 30, "source": "SOURCE_REGISTRY"},
        "uplink_token": "Ch4KHAoQ" * 8,
        "channel_index": 2,
        "received_at": "2026-03-01T10:00:00.234234234Z",
    }
    rate_ = {"lora": {"bandwidth": 125000, "spreading_factor": 7, "coding_rate": "4/5"}}
    up = {
        "session_key_id": f"AY8{device:09d}==",
        "f_port": 30,
        "f_cnt": number // 500 + 1,
        "frm_payload": base64.b64encode(payload).decode(),
        "rx_metadata": [heard],
        "settings": {
            "data_rate": rate_,
            "frequency": "868300000",
            "timestamp": 12345678,
            "time": "2026-03-01T10:00:00.1Z",
        },
        "received_at": f"2026-03-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}.787123456Z",
        "consumed_airtime": "0.046336s",
        "network_ids": {"net_id": "000013", "tenant_id": "town", "cluster_id": "eu1"},
    }
    ids = {
        "device_id": f"bin-{device}",
        "application_ids": {"application_id": "town"},
        "dev_addr": f"260B{device:04X}",
    }
    ids |= {"dev_eui": f"70B3D57ED00{device:05X}", "join_eui": "70B3D57ED0000000"}
    return json.dumps(
        {"end_device_ids": ids, "correlation_ids": [f"gs:uplink:01H{number:020d}"], "uplink_message": up}
    )


def stream() -> list[Row]:
    """`borne decode --from tts --to parquet`, the whole process, start-up included; msgspec parses the JSON."""
    rng = random.Random(2)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.ndjson", Path(folder) / "out.parquet"
        with source.open("w") as file:
            for n in range(_LINES):
                payload = encode(30, n, (5 * rng.randrange(21), rng.randrange(-10, 30), False, False))
                file.write(message(n, payload) + "\n")
        program = [sys.executable, "-c", "from borne.cli import main; main()", "decode", str(source)]
        options = ["--from", "tts", "--to", "parquet", "-o", str(target)]
        ours = rate(lambda: subprocess.run([*program, *options], check=True, preexec_fn=_one_core), _LINES, 3)
        parsed = rate(lambda: _only_json(source), _LINES, 1)
    return [
        row(
            "The Things Stack NDJSON to Parquet, whole process", ours, "uplinks/s", "json.loads alone", parsed
        )
    ]


def _one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _only_json(source: Path) -> None:
    with source.open("rb") as file:
        for line in file:
            json.loads(line)


_NODE = """
import sys, time
sys.path[:] = sys.argv[1:]
from borne_node.report import codec
from cayennelpp.lpp_frame import LppFrame

N = 20000
buffer = bytearray(5)
values = (42, 5, 1, 80, 118)

def ours():
    for n in range(N):
        codec.encode_into(buffer, 20, n, values)

def theirs():
    for n in range(N):
        frame = LppFrame()
        frame.add_luminosity(1, 42)
        frame.add_digital_input(2, 5)
        frame.add_digital_input(3, 1)
        frame.add_percentage(4, 80)
        frame.add_energy(5, 0.118)
        # MicroPython's bytes() does not call __bytes__.
        b"".join([one.__bytes__() for one in frame.data])

for work in (ours, theirs):
    best = 1 << 60
    for _ in range(5):
        start = time.ticks_us()
        work()
        best = min(best, time.ticks_diff(time.ticks_us(), start))
    print(N * 1000000 / best)
"""


def node() -> list[Row]:
    """The node's encoder on MicroPython's unix port."""
    micropython = shutil.which("micropython", path=str(Path(sys.executable).parent)) or shutil.which(
        "micropython"
    )
    if micropython is None:
        raise RuntimeError("the benchmark needs micropython")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "encode.py"
        script.write_text(_NODE)
        path = [str(_ROOT / "firmware"), str(Path(cayennelpp.__file__).parents[1]), ".frozen"]
        done = subprocess.run([micropython, str(script), *path], capture_output=True, text=True, check=True)
    ours, theirs = map(float, done.stdout.split())
    return [
        row("encode on MicroPython (unix port)", ours, "reports/s", "pycayennelpp, the same values", theirs)
    ]


def rows() -> list[Row]:
    """For `make bench`."""
    return [*columnar(), *single(), *stream(), *node()]


if __name__ == "__main__":
    for one in rows():
        peer = f"{one['ratio']:.2f} x {one['peer']} ({one['peer_value']:,.0f})"
        print(f"{one['name']}: {one['value']:,.0f} {one['unit']}, {peer}")
