"""Randomness: is the generator a small one whose seed can be swept, and what leaves when its source is broken?"""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from borne.privacy.attacks.finding import Finding, Plot, Series
from borne.privacy.attacks.laboratory import Laboratory, Patch

_WINDOWS = 6
_CHUNK = 1 << 18
# Bytes that the sampler takes from the generator a window, and how the first of them becomes the jitter.
_BLOCK = 32
_JITTERS = 240
_OFFSETS = range(4)
# Within every sweep, so that a small generator would be found.
_SEED = 0x2F0C5
_WEAK = frozenset({"random", "urandom"})

SMALL_GENERATOR = (
    Patch(
        "privacy/drbg.py",
        "        return self._core.generate(count)",
        "        import random\n\n        return bytes(random.getrandbits(8) for _ in range(count))",
    ),
    Patch(
        "privacy/drbg.py",
        "        mark = hashlib.sha256(raw).digest()[:8]\n",
        "        mark = hashlib.sha256(raw).digest()[:8]\n"
        "        import random\n\n        random.seed(int.from_bytes(raw[:4], 'little'))\n",
    ),
)
UNTESTED_SOURCE = (
    Patch(
        "privacy/drbg.py",
        "    return (\n        len(raw) == _RAW\n",
        "    return True or (\n        len(raw) == _RAW\n",
    ),
)

Words = npt.NDArray[np.uint32]


def randomness(lab: Laboratory, bits: int) -> Finding:
    """Sweep 2^bits seeds of MicroPython's own generator against the jitter that anybody hears."""
    (heard,) = lab.run("chances", seed=_SEED, windows=_WINDOWS).told
    survivors = sum(_sweep(heard["jitter"], low) for low in range(0, 1 << bits, _CHUNK))
    imports = weak_imports(lab)
    told = heard["broken"]
    leaking = sum(1 for values in told.values() if values)
    value = survivors + leaking + len(imports)
    return Finding(
        "randomness",
        "inference",
        1 << bits,
        "seeds swept",
        "0 surviving seeds; only suppressed frames from broken sources; no `random`",
        0,
        f"{survivors} seeds survive; {leaking} of {len(told)} broken sources let values out; "
        f"{len(imports)} weak imports",
        value,
        value == 0 and len(heard["jitter"]) >= _WINDOWS,
        Plot(
            "seconds of jitter, window by window",
            "s",
            (Series("heard", tuple((float(n), float(one)) for n, one in enumerate(heard["jitter"]))),),
        ),
        tuple(f"{name}: {values} values in a day" for name, values in told.items()) + tuple(imports),
    )


def weak_imports(lab: Laboratory) -> list[str]:
    """Files of the firmware that import a weak generator."""
    found = []
    for path in sorted((lab.source / "borne_node").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if _WEAK & {name.split(".")[0] for name in names}:
                found.append(f"{path.relative_to(lab.source)} imports a weak generator")
    return found


class Yasmarang(NamedTuple):
    """MicroPython's generator (extmod/modrandom.c, yasmarang), for many seeds at once."""

    pad: Words
    n: Words
    d: Words
    dat: Words

    @classmethod
    def seeded(cls, seeds: Words) -> Yasmarang:
        shape = seeds.shape
        full: Any = np.full
        return cls(seeds, full(shape, 69, np.uint32), full(shape, 233, np.uint32), full(shape, 0, np.uint32))

    def step(self) -> tuple[Yasmarang, Words]:
        pad = self.pad + self.dat + self.d * self.n
        pad = (pad << np.uint32(3)) + (pad >> np.uint32(29))
        n = pad | np.uint32(2)
        d = self.d ^ ((pad << np.uint32(31)) + (pad >> np.uint32(1)))
        dat = (self.dat ^ pad ^ (d >> np.uint32(8)) ^ np.uint32(1)) & np.uint32(0xFF)
        out = pad ^ (d << np.uint32(5)) ^ (pad >> np.uint32(18)) ^ (dat << np.uint32(1))
        return Yasmarang(pad, n, d, dat), out

    def of(self, rows: Any) -> Yasmarang:
        return Yasmarang(*(part[rows] for part in self))


_REVERSED = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], np.uint32)


def _sweep(jitter: list[int], low: int) -> int:
    """How many of the seeds from `low` on explain the jitter, beginning with any of the first windows."""
    state = Yasmarang.seeded(np.arange(low, low + _CHUNK, dtype=np.uint32))
    found = 0
    for _ in _OFFSETS:
        found += _explained(state, jitter)
        for _ in range(_BLOCK):
            state, _ = state.step()
    return found


def _explained(state: Yasmarang, jitter: list[int]) -> int:
    for wanted in jitter:
        state, first = state.step()
        state, second = state.step()
        one, other = _REVERSED[first & 0xFF], _REVERSED[second & 0xFF]
        rows = np.flatnonzero((one == wanted) | ((one >= _JITTERS) & (other == wanted)))
        if not len(rows):
            return 0
        state = state.of(rows)
        for _ in range(_BLOCK - 2):
            state, _ = state.step()
    return len(state.pad)
