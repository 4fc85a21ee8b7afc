"""How tight the history is: bits a window against the order-1 empirical entropy; `--priors` prints the
coder's table.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from typing import Any

from bench.decoding_series import KINDS, Row, series
from bench.decoding_street import street

from borne_node.report import history, schema

_TRAINED_ON = range(100, 130)
_MEASURED_ON = range(12)
_BATCH = 40


def entropy(streets: list[list[Row]]) -> float:
    """Order-1 empirical entropy of one window in bits: the sum over its fields of H(now | before)."""
    width = max(len(row) for row in streets[0] if row)
    bits = 0.0
    for field in range(width):
        pairs: Counter[tuple[Any, Any]] = Counter()
        for rows in streets:
            column = [row[field] if row else None for row in rows]
            pairs.update(zip(column, column[1:], strict=False))
        before: Counter[Any] = Counter()
        for (old, _), times in pairs.items():
            before[old] += times
        bits -= (
            sum(times * math.log2(times / before[old]) for (old, _), times in pairs.items()) / pairs.total()
        )
    return bits


def batches(rows: list[Row], length: int) -> list[tuple[Row, list[Row]]]:
    """(current window, `length` windows before it newest first), at every 41st window."""
    ends = [n for n in range(length, len(rows), 41) if rows[n] is not None]
    return [(rows[n], rows[n - length : n][::-1]) for n in ends]


class _Cost(history._Writer):  # noqa: SLF001 - the model's own decisions are what is counted here
    """Counts what the decisions cost ideally, and how often each went which way."""

    bits = 0.0

    def reset(self) -> None:
        super().reset()
        self.ones = [0] * len(self.chances)
        self.noes = [0] * len(self.chances)

    def decide(self, cell: int, bit: int) -> int:
        chance = self.chances[cell]
        self.bits -= math.log2((32768 - chance if bit else chance) / 32768)
        (self.ones if bit else self.noes)[cell] += 1
        self.learn(cell, bit)
        return int(bit)

    def half(self, bit: int) -> int:
        self.bits += 1
        return bit


def cost(port: int, streets: list[list[Row]], length: int) -> float:
    """Mean bits a window in batches of `length`, the end of the code included."""
    total = windows = 0.0
    for rows in streets:
        for now, past in batches(rows, length):
            coder = _Cost(port, schema.row(port)[4], now)
            for values in past:
                coder.window(values)
            coder.decide(history.FOLLOWS, 0)
            total += coder.bits
            windows += length
    return total / windows


def priors(port: int) -> tuple[bytes, ...]:
    """First probabilities of each row's cells, from how often each decision was a no."""
    noes: Counter[int] = Counter()
    times: Counter[int] = Counter()
    for rows in series(port, _TRAINED_ON) + street(port, _TRAINED_ON):
        for now, past in batches(rows, _BATCH):
            coder = _Cost(port, schema.row(port)[4], now)
            for values in past:
                coder.window(values)
            noes.update(dict(enumerate(coder.noes)))
            times.update(
                {cell: no + yes for cell, (no, yes) in enumerate(zip(coder.noes, coder.ones, strict=True))}
            )
    cells = bytes(max(2, min(254, round(256 * (noes[n] + 0.5) / (times[n] + 1)))) for n in range(len(times)))
    sets = [cells[at : at + history.SET] for at in range(history.FIRST_SET, len(cells), history.SET)]
    return tuple(one.rstrip(b"\x80") for one in sets)


def measured(port: int, length: int) -> dict[str, tuple[float, float]]:
    """(bits a window, entropy) on two kinds of streets; the priors come from other seeds of both."""
    own, other = series(port, _MEASURED_ON), street(port, _MEASURED_ON)
    return {
        "made-up streets": (cost(port, own, length), entropy(series(port, range(40)))),
        "virtual street": (cost(port, other, length), entropy(street(port, range(40)))),
    }


def rows() -> list[dict[str, object]]:
    """For `make bench`."""
    table: list[dict[str, object]] = []
    for port in KINDS:
        for where, (bits, least) in measured(port, _BATCH).items():
            name = f"history of {_BATCH} windows, {schema.row(port)[0]}, {where}"
            peer = {"peer": "order-1 entropy", "peer_value": least, "ratio": bits / least}
            table.append({"name": name, "value": bits, "unit": "bit a window"} | peer)
    return table


def main() -> None:
    if "--priors" in sys.argv:
        for port in KINDS:
            print(f"    {port}: (")
            for one in priors(port):
                print('        b"' + "".join(f"\\x{byte:02x}" for byte in one) + '",')
            print("    ),")
        return
    for port in KINDS:
        for length in (3, 10, 40, 100):
            for where, (bits, least) in measured(port, length).items():
                ratio = f"{bits / least:.2f} x the entropy {least:.2f}"
                print(f"{schema.row(port)[0]}, {length} windows, {where}: {bits:.2f} bits a window, {ratio}")


if __name__ == "__main__":
    main()
