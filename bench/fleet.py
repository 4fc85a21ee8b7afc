"""The fleet: lists, the registry, the vault, and boards over the cable (virtual ones, with the line's real speed).

The line: 115,200 baud at the prompt and 460,800 while flashing carry 11,520 and 46,080 bytes a second; the share of the
time that a real line would take is what these bytes take on it.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import serial
import sqlalchemy as sql

from borne.fleet import vault
from borne.fleet.batch import Batch
from borne.fleet.commission import Bench, commission, for_asset
from borne.fleet.importing import import_list
from borne.fleet.lists import text
from borne.fleet.registry import Stamp, assets, open_registry, status
from borne.fleet.registry.tables import nodes
from borne.fleet.vault import identities
from borne.virtual import VirtualBoard

NODES = 100_000
BOARDS, PROMPT_BYTES_A_SECOND = 24, 11_520
KIND = "ttgo-lora32-v21"

IMPORT = """
import resource, sys, time
from borne.fleet.importing import import_list
from borne.fleet.lists import text
from borne.fleet.registry import open_registry
content = open(sys.argv[1], "rb").read()
registry = open_registry(sys.argv[2])
began = time.perf_counter()
plan = import_list(registry, text.read("list", content))
took = time.perf_counter() - began
assert not plan.refused and len(plan.created) + plan.unchanged == int(sys.argv[3])
print(took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def rows() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_imports(folder), *_status(folder), *_vault(folder), *_cable(folder)]


def _row(
    name: str, value: float, unit: str, peer: str = "", peer_value: float | None = None
) -> dict[str, Any]:
    ratio = value / peer_value if peer_value else None
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer or None,
        "peer_value": peer_value,
        "ratio": ratio,
    }


def _list(count: int) -> str:
    head = "asset;kind;board;latitude;longitude;street;site;depth_mm\n"
    return head + "".join(
        f"A-{n};{'fill' if n % 3 else 'light'};{KIND};48,{85000 + n % 5000};2,{35000 + n % 7000};"
        f"Rue de l'Église {n % 400};Site {n % 9};{1000 + n % 7 * 100 if n % 3 else ''}\n"
        for n in range(count)
    )


def _imports(folder: Path) -> Iterator[dict[str, Any]]:
    """In a process of its own each, whose peak of memory is its own; beside csv's bare reading of the same bytes."""
    for count in (10_000, NODES):
        path = folder / f"{count}.csv"
        path.write_text(_list(count), encoding="utf-8")
        reading = _time(lambda path=path: sum(1 for _ in csv.reader(io.StringIO(path.read_text("utf-8")))))
        registry = folder / f"{count}.sqlite"
        for what in ("import", "import again"):
            command = [sys.executable, "-c", IMPORT, str(path), str(registry), str(count)]
            took, peak = map(float, subprocess.check_output(command, text=True).split())
            yield _row(f"{what}, {count:,} rows", took, "s", "csv.reader alone", reading)
        yield _row(f"import, {count:,} rows: peak memory", peak, "MB")


def _status(folder: Path) -> Iterator[dict[str, Any]]:
    registry = open_registry(str(folder / f"{NODES}.sqlite"))
    states = ("planned", "provisioned", "seen")
    with registry.writing() as db:
        db.execute(
            nodes.insert(),
            [
                {
                    "asset_id": n + 1,
                    "mac": f"{n:012x}",
                    "dev_eui": f"{n:016x}",
                    "state": states[n % 3],
                    "revision": 1,
                    "reserved_at": 1,
                    "provisioned_at": 1,
                    "settings": '{"depth_mm":1500}' * 10,
                }
                for n in range(NODES)
            ],
        )
    for name, wanted in (("all", assets.ANY), ("one site of nine", assets.Filter(site="Site 3"))):
        with registry.reading() as db:
            took = min(_time(lambda: status.counts(db, wanted)) for _ in range(5))  # noqa: B023
            bare = min(_time(lambda: db.execute(_COUNT).all()) for _ in range(5))  # noqa: B023
        yield _row(
            f"status of {NODES:,} nodes, {name}", took * 1e3, "ms", "one count(*) by state", bare * 1e3
        )
    registry.close()


_COUNT = sql.select(nodes.c.state, sql.func.count()).group_by(nodes.c.state)


def _vault(folder: Path) -> Iterator[dict[str, Any]]:
    me = identities.new()
    made = vault.create(folder / "vault", recipients=[me.recipient])
    count = 200
    took = _time(lambda: [made.issue(f"{n:016x}", "app_key", bytes(16)) for n in range(count)])
    yield _row("issue a key into the vault", took / count * 1e3, "ms")
    path = folder / "me.txt"
    path.write_text(me.revealed())
    path.chmod(0o600)
    made.unlock(path)
    took = _time(lambda: [made.read(name) for name in made.records()])
    yield _row("read a key out of it", took / count * 1e3, "ms")


def _cable(folder: Path) -> Iterator[dict[str, Any]]:
    registry = open_registry(str(folder / "boards.sqlite"))
    import_list(
        registry,
        text.read(
            "l", ("asset;kind;board\n" + "".join(f"L{n};light;{KIND}\n" for n in range(BOARDS + 1))).encode()
        ),
    )
    me = identities.new()
    bench = Bench(registry, vault.create(folder / "keys", recipients=[me.recipient]), self_test=False)
    with _board(folder, "one") as board:
        took = _time(lambda: commission(bench, board.port, for_asset("L0")))
        yield _row("a bare board: flashed and provisioned", took, "s")
        with registry.writing() as db:
            old = assets.get(db, "L0")
            assets.change(db, [(old, type(old)(**{**vars(old), "street": "Quai"}))], Stamp())
        with _counted() as sent:
            took = _time(lambda: commission(bench, board.port, for_asset("L0")))
        waiting = sent[0] / PROMPT_BYTES_A_SECOND
        yield _row(
            "told anew over the cable, nothing flashed", took, "s", "its bytes at 115,200 baud", waiting
        )
        took = _time(lambda: commission(bench, board.port, for_asset("L0")))
        yield _row("already so", took, "s")
    opened = [_board(folder, f"b{n}") for n in range(BOARDS)]
    boards = [one.__enter__() for one in opened]
    try:
        batch = Batch(bench, None, None, [one.port for one in boards])
        took = _time(batch.run)
        assert batch.tally().done == BOARDS
        yield _row(f"{BOARDS} bare boards, 8 at a time", took, "s")
    finally:
        for one in boards:
            one.close()
        registry.close()


def _board(folder: Path, name: str) -> VirtualBoard:
    made = VirtualBoard(folder / "boards" / name)
    made.power_on()
    return made


@contextmanager
def _counted() -> Iterator[list[int]]:
    """Bytes that go over serial lines, in both directions."""
    total = [0]
    write, read = serial.Serial.write, serial.Serial.read

    def counted_write(line: Any, data: bytes) -> Any:
        total[0] += len(data)
        return write(line, data)

    def counted_read(line: Any, size: int = 1) -> Any:
        data = read(line, size)
        total[0] += len(data)
        return data

    serial.Serial.write, serial.Serial.read = counted_write, counted_read
    try:
        yield total
    finally:
        serial.Serial.write, serial.Serial.read = write, read


def _time(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
