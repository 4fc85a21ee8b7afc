"""Leaks: identifiers planted in the sensors, looked for in everything that leaves a node or lies on its flash."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch

_RUN = 3
_WORLDS = ("one", "other")

PRINTS_A_SAMPLE = (
    Patch(
        "sense/parking.py",
        "        for axis in range(3):\n            value = self._sample[axis]\n",
        "        if n == 7:\n"
        "            print('borne: sample', self._sample)\n"
        "        for axis in range(3):\n            value = self._sample[axis]\n",
    ),
)
PRINTS_AN_EXCEPTION = (
    Patch(
        "rescue.py",
        "reason = str(error) if isinstance(error, NodeError) else type(error).__name__",
        "reason = str(error)",
    ),
)


class _World(NamedTuple):
    """`planted`: identifiers as bytes; `places`: what leaves or stays, by name."""

    planted: set[bytes]
    places: dict[str, bytes]


def leak(lab: Laboratory, hours: int) -> Finding:
    """Two worlds that differ in the identifiers alone.

    Frames, log, NVS and flash must be the same, byte for byte, so that nothing of an identifier is in them in any
    form; and no identifier may stand there raw, reversed, in hex or base64, nor any run of three bytes of one that
    does not stand in the other world as well (three bytes also fall together by chance).
    """
    with ThreadPoolExecutor(len(_WORLDS)) as pool:
        one, other = pool.map(lambda world: _play(lab, world, hours), _WORLDS)
    # Noise alone gives both worlds some samples in common; those are nobody's.
    planted = one.planted - other.planted
    differing = {name: _differing(data, other.places.get(name, b"")) for name, data in one.places.items()}
    whole = sum(_whole(planted, data) for data in one.places.values())
    runs = _runs(planted, [(data, other.places.get(name, b"")) for name, data in one.places.items()])
    value = sum(differing.values()) + whole + runs
    names = tuple(differing)
    return Finding(
        "leak",
        "singling out",
        len(planted),
        "planted identifiers",
        "0 found in frames, log, exceptions, NVS and flash",
        0,
        f"{whole} whole, {runs} runs of 3 bytes; {sum(differing.values())} bytes depend on identifiers",
        value,
        value == 0 and 3 * len(planted) > len(one.planted) and _alive(one),
        Plot(
            ", ".join(f"{n}: {name}" for n, name in enumerate(names)),
            "bytes that depend on identifiers",
            (Series("found", tuple((float(n), float(differing[name])) for n, name in enumerate(names))),),
            0,
        ),
        tuple(f"{name}: {len(data):,} bytes searched" for name, data in one.places.items()),
    )


def _alive(world: _World) -> bool:
    """Whether the search had something to search: frames left, the planted exceptions reached the log, and after a
    car was there the record of the empty bays reached the store."""
    return (
        bool(world.places.get("frame"))
        and b"failed wake" in world.places["log"]
        and b"bays" in world.places.get("nvs", b"")
    )


def _play(lab: Laboratory, world: str, hours: int) -> _World:
    outcome = lab.run("plant", world=world, hours=hours)
    places: dict[str, bytes] = {"log": outcome.log.encode("utf-8", "surrogateescape")}
    planted: set[bytes] = set()
    for told in outcome.told:
        if "planted" in told:
            planted |= {bytes.fromhex(one) for one in told["planted"]}
            continue
        name = next(name for name in ("frame", "nvs", "flash") if name in told)
        head = str(told[name]).encode() if name != "flash" else b""
        places[name] = places.get(name, b"") + head + bytes.fromhex(told["bytes"])
    return _World(planted, places)


def _differing(one: bytes, other: bytes) -> int:
    return sum(a != b for a, b in zip(one, other, strict=False)) + abs(len(one) - len(other))


def _whole(planted: set[bytes], data: bytes) -> int:
    """Identifiers that stand in the data as a whole. By their length, each place in the data is looked up once."""
    lower = data.lower()
    needles: dict[int, set[bytes]] = {}
    for each in planted:
        forms = (each, each[::-1], each.hex().encode(), each[::-1].hex().encode())
        for form in (*forms, base64.b64encode(each).lower().rstrip(b"=")):
            needles.setdefault(len(form), set()).add(form)
    return sum(
        lower[at : at + size] in known or data[at : at + size] in known
        for size, known in needles.items()
        for at in range(len(data) - size + 1)
    )


def _runs(planted: set[bytes], places: list[tuple[bytes, bytes]]) -> int:
    known = {each[at : at + _RUN] for each in planted for at in range(len(each) - _RUN + 1)}
    known |= {run[::-1] for run in known}
    hexed = {run.hex().encode() for run in known}
    found = 0
    for data, other in places:
        if data == other:
            continue
        here = {data[at : at + _RUN] for at in range(len(data) - _RUN + 1)} & known
        here |= {data[at : at + 2 * _RUN] for at in range(len(data) - 2 * _RUN + 1)} & hexed
        found += sum(run not in other for run in here)
    return found
