"""Drift: is every bit of every frame accounted for by the tables that the documents are made of?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from borne.decoding.report import decode
from borne.errors import DecodeError
from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch
from borne.privacy.attacks.traffic import streets

UNDESCRIBED_FIELD = (
    Patch(
        "report/schema.py",
        '            ("bays_ok", 6, 0, 1, 60, _U, 1),\n',
        '            ("bays_ok", 6, 0, 1, 60, _U, 1),\n            ("extra", 8, 0, 1, 255, 0, 1),\n',
    ),
    Patch(
        "privacy/gate.py",
        "sum(read >= self._row.need for read in self._counts[8:])]",
        "sum(read >= self._row.need for read in self._counts[8:]), self._counts[0]]",
    ),
)


class _Tables(NamedTuple):
    ports: dict[int, Any]
    meanings: dict[tuple[Any, ...], Any]
    policies: list[Any]


def drift(lab: Laboratory, hours: int) -> Finding:
    """Bits of the format without an entry, and bits of frames really sent that change nothing when flipped."""
    tables = _read(lab)
    listed = [(port, name, width) for port, name, width in _fields(tables)]
    missing = [(port, name, width) for port, name, width in listed if (port, name) not in tables.meanings]
    wrong = list(_wrong_epsilon(tables))
    sent = [
        (int(port), bytes.fromhex(payload))
        for street in streets(lab, hours).values()
        for port, payload in street["payloads"]
    ]
    flipped = dead = 0
    for port, payload in dict.fromkeys(sent):
        for bit in range(8 * len(payload)):
            flipped += 1
            dead += _dead(port, payload, bit)
    bits = sum(width for _, _, width in listed) + sum(one["bits"] for one in tables.ports.values())
    undescribed = sum(width for _, _, width in missing) + dead
    share = 100 * (1 - undescribed / (bits + flipped))
    return Finding(
        "drift",
        "transparency",
        bits + flipped,
        "bits of formats and frames",
        "100 % described in the data dictionary made from the policy",
        100,
        f"{share:.2f} % described"
        + (f"; without entry: {', '.join(n for _, n, _ in missing)}" if missing else ""),
        share,
        not undescribed and not wrong and bool(flipped),
        Plot(
            "0: bits, 1: without meaning",
            "bits",
            (Series("found", ((0, float(bits + flipped)), (1, float(undescribed)))),),
        ),
        tuple(wrong),
    )


def _read(lab: Laboratory) -> _Tables:
    ports, meanings, policies = {}, {}, []
    for told in lab.run("tables").told:
        if "fields" in told:
            ports[told["port"]] = told
        elif "meaning" in told:
            meanings[tuple(told["meaning"])] = told
        elif "policy" in told:
            policies.append(told)
    return _Tables(ports, meanings, policies)


def _fields(tables: _Tables) -> Iterator[tuple[int, str, int]]:
    for port, table in tables.ports.items():
        for name, width, _, _, _, _, count in table["fields"]:
            yield port, name, width * count


def _wrong_epsilon(tables: _Tables) -> Iterator[str]:
    """The dictionary must claim the epsilon of the policy, where the policy has one, and only there."""
    for one in tables.policies:
        claimed = [
            row["epsilon"] for key, row in tables.meanings.items() if key[0] == one["port"] and row["epsilon"]
        ]
        if claimed != ([one["epsilon"]] if one["epsilon"] else []):
            yield f"{one['policy']}: the dictionary claims epsilon {claimed}, the policy has {one['epsilon']}"


def _dead(port: int, payload: bytes, bit: int) -> bool:
    """Whether the decoder made from the dictionary takes both values of a bit for the same report."""
    changed = bytearray(payload)
    changed[bit >> 3] ^= 0x80 >> (bit & 7)
    try:
        before = decode(payload, port)
    except DecodeError:
        return True  # the dictionary knows no such frame: none of its bits is described
    try:
        return decode(bytes(changed), port) == before
    except DecodeError:
        return False
