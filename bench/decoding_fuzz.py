"""Any bytes at all either decode or are refused, identically by every decoder: `python -m bench.decoding_fuzz [COUNT]`.

Compares the single decoder with columns and with the generated JavaScript in node, by default on a million payloads:
random ones, and vectors with bits flipped, bytes cut off and added. `--atheris` lets coverage guide the single decoder
instead.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from borne.decoding import DecodeError, Report, codecs, decode, encode
from borne.decoding.columns import decode_columns
from borne.decoding.table import layouts

_VECTORS = Path(__file__).parents[1] / "tests" / "vectors" / "reports"
_BATCH = 20_000
Pair = tuple[int, bytes]


def seeds() -> list[Pair]:
    found = []
    for path in sorted(_VECTORS.glob("*.json")):
        vectors = json.loads(path.read_text())
        found += [
            (one["port"], bytes.fromhex(one["payload"])) for one in vectors["accept"] + vectors["reject"]
        ]
    return found


def payloads(rng: random.Random, known: list[Pair]) -> Iterator[Pair]:
    """Without end: half of them near a vector, half random with a likely length."""
    ports = [*layouts(), *layouts(), 0, 4, 94, 255]
    while True:
        port, payload = rng.choice(known)
        if rng.random() < 0.5:
            yield rng.choice(ports), rng.randbytes(rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 14, 17, 30)))
        else:
            yield port, mutated(rng, payload)


def mutated(rng: random.Random, payload: bytes) -> bytes:
    changed = bytearray(payload)
    for _ in range(rng.randrange(3)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    if rng.random() < 0.3:
        del changed[rng.randrange(len(changed) + 1) :]
    if rng.random() < 0.3:
        changed += rng.randbytes(rng.randrange(5))
    return bytes(changed)


def single(port: int, payload: bytes) -> dict[str, Any]:
    """What a TS013 decoder must answer; a report must also be encoded back to the same bytes."""
    try:
        report = decode(payload, port)
    except DecodeError as error:
        return {"errors": [str(error)]}
    size = len(payload) if report.layout.variants else report.layout.size
    if encode(port, report.window, report.values) != payload[:size]:
        raise AssertionError(f"port {port}, {payload.hex()}: is encoded to other bytes")
    data: dict[str, Any] = report.flat()
    rows = [Report(port, report.earlier(n), values).flat() for n, values in enumerate(report.history)]
    if rows:
        data["history"] = [{k: v for k, v in row.items() if k not in ("port", "kind")} for row in rows]
    return {"data": data}


def by_columns(pairs: list[Pair]) -> list[str | None]:
    table = decode_columns([payload for _, payload in pairs], [port for port, _ in pairs])
    errors: list[str | None] = table["error"].to_pylist()
    return errors


def in_node(pairs: list[Pair]) -> list[dict[str, Any]]:
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("fuzzing needs node")
    script = codecs.javascript("tts") + (
        "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0)).map(decodeUplink)));"
    )
    asked = json.dumps([{"fPort": port, "bytes": list(payload)} for port, payload in pairs])
    done = subprocess.run([node, "-e", script], input=asked, capture_output=True, text=True, check=True)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def check(pairs: list[Pair]) -> int:
    """Raises AssertionError at the first payload on which two decoders differ; returns how many were reports."""
    good = 0
    for (port, payload), error, script in zip(pairs, by_columns(pairs), in_node(pairs), strict=True):
        answer = single(port, payload)
        if script != answer or answer.get("errors", [None])[0] != error:
            raise AssertionError(
                f"port {port}, {payload.hex()}: {answer}, columns: {error}, JavaScript: {script}"
            )
        good += "data" in answer
    return good


def run(count: int, seed: int) -> int:
    rng = random.Random(seed)
    source = payloads(rng, seeds())
    good = 0
    for at in range(0, count, _BATCH):
        good += check([next(source) for _ in range(min(_BATCH, count - at))])
    return good


def guided() -> None:
    """Coverage-guided, until stopped (pip install atheris)."""
    import atheris  # type: ignore[import-not-found]

    def one(data: bytes) -> None:
        if data:
            single(data[0], data[1:])

    atheris.instrument_all()
    atheris.Setup([sys.argv[0]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    if "--atheris" in sys.argv:
        guided()
    else:
        wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
        start = random.SystemRandom().randrange(1 << 32)
        print(
            f"seed {start}: {wanted} payloads, {run(wanted, start)} of them reports, no two decoders differ"
        )
