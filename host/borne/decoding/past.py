"""Earlier windows of many reports at once: the reader of borne_node.report.reader, one decision for all rows
at a time.

Each array has one entry a payload; every step works on those rows that still take it. The model (cells, first
probabilities, order of decisions) is that of borne_node.report.history, whose comments explain it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from borne.decoding.table import Field, Layout
from borne_node.report import history as model

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# Payloads read at a time: the probabilities of one take a few hundred bytes.
_ROWS = 1 << 14


class Past(NamedTuple):
    """Earlier windows: `row` of the payload, `earlier` windows back, a code per field; and which payloads
    are refused.
    """

    row: Ints
    earlier: npt.NDArray[np.int16]
    codes: list[npt.NDArray[Any]]
    refused: Bools


def read(
    layout: Layout, codes: list[npt.NDArray[Any]], data: npt.NDArray[np.uint8], starts: Any, ends: Any
) -> Past:
    """The windows behind reports with these `codes`, out of data[starts:ends]; none of a refused payload."""
    parts = []
    for at in range(0, len(starts), _ROWS):
        rows = slice(at, at + _ROWS)
        part = _Reader(layout, [one[rows] for one in codes], data, starts[rows], ends[rows]).windows()
        parts.append(part._replace(row=part.row + at))
    return Past(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.earlier for part in parts]),
        [np.concatenate(column) for column in zip(*(part.codes for part in parts), strict=True)],
        np.concatenate([part.refused for part in parts]),
    )


class _Reader:
    def __init__(
        self,
        layout: Layout,
        codes: list[npt.NDArray[Any]],
        data: npt.NDArray[np.uint8],
        starts: Any,
        ends: Any,
    ):
        count = len(starts)
        self.layout = layout
        self.data = data
        self.at = starts.astype(np.int64)
        self.ends = ends.astype(np.int64)
        self.first = int(starts.min())
        self.chances = np.tile(_first_chances(layout), (count, 1))
        self.codes = [one.astype(np.int64) for one in codes]
        self.numbers = [
            np.where(now > field.last, 0, now) for now, field in zip(self.codes, layout.fields, strict=True)
        ]
        self.steps = [np.zeros(count, np.int64) for _ in codes]
        self.gap = np.zeros(count, np.int64)
        self.sound = np.ones(count, np.bool_)
        self.low = np.zeros(count, np.int64)
        self.range = np.full(count, model.TOP, np.int64)
        self.value = np.zeros(count, np.int64)
        everyone = np.arange(count)
        for _ in range(3):
            self.value = self.value << 8 | self._next(everyone)

    def windows(self) -> Past:
        rows = np.arange(len(self.at))
        found: list[tuple[Ints, int, list[npt.NDArray[Any]]]] = []
        for earlier in range(1, model.MOST + 1):
            rows = rows[self._decide(rows, model.FOLLOWS) == 1]
            if not len(rows):
                break
            self._step(rows)
            rows = rows[self.sound[rows]]
            gap = self.gap[rows] == 1
            found.append((rows, earlier, self._codes_of(rows, gap)))
        refused = ~self.sound | ~self._ends_well()
        return self._gather(found, refused)

    def _codes_of(self, rows: Ints, gap: Bools) -> list[npt.NDArray[Any]]:
        return [
            np.where(gap, field.top, now[rows])
            for now, field in zip(self.codes, self.layout.fields, strict=True)
        ]

    def _gather(self, found: list[tuple[Ints, int, list[npt.NDArray[Any]]]], refused: Bools) -> Past:
        fields = range(len(self.codes))
        empty = np.empty(0, np.int64)
        row = np.concatenate([empty, *(rows for rows, _, _ in found)])
        earlier = np.concatenate([empty, *(np.full(len(rows), back) for rows, back, _ in found)]).astype(
            np.int16
        )
        codes = [np.concatenate([empty, *(codes[n] for _, _, codes in found)]) for n in fields]
        kept = ~refused[row]
        return Past(row[kept], earlier[kept], [one[kept] for one in codes], refused)

    def _ends_well(self) -> Bools:
        """What the writer's flush leaves: sixteen zero bits above its low end, and zero bytes to the end."""
        well = (self.value < model.LOW) & (self.value + self.low & model.LOW - 1 == 0)
        filled = np.concatenate([[0], np.cumsum(self.data[self.first : int(self.ends.max())] != 0)])
        rest = np.minimum(self.at, self.ends) - self.first
        return np.asarray(well & (filled[self.ends - self.first] == filled[rest]))

    def _step(self, rows: Ints) -> None:
        gap = self._decide(rows, model.GAP + self.gap[rows])
        self.gap[rows] = gap
        rows = rows[gap == 0]
        cell = model.FIRST_SET
        before = self.layout.fields[0].row
        for slot, field in enumerate(self.layout.fields):
            if field.row != before:
                cell += model.SET
                before = field.row
            self._slot(rows, slot, field, cell)
        unknown = np.logical_and.reduce(
            [now[rows] == f.top for now, f in zip(self.codes, self.layout.fields, strict=True)]
        )
        self.sound[rows[unknown]] = False

    def _slot(self, rows: Ints, slot: int, field: Field, cell: int) -> None:
        codes, numbers, steps = self.codes[slot], self.numbers[slot], self.steps[slot]
        old, last = codes[rows], field.last
        step = steps[rows]
        steps[rows] = 0
        kind = np.where(old > last, 3, np.where(old == 0, 1, np.where(old == last, 2, 0)))
        changed = self._decide(rows, cell + model.CHANGED + kind) == 1
        rows, old, step, kind = rows[changed], old[changed], step[changed], kind[changed]
        reserved = self._decide(rows, cell + model.RESERVED + (old > last)) == 1
        self._reserved(rows[reserved], old[reserved], codes, field, cell)
        rows, old, step, kind = rows[~reserved], old[~reserved], step[~reserved], kind[~reserved]
        moved = old <= last
        back = np.flatnonzero(~moved)
        moved[back] = self._decide(rows[back], cell + model.MOVED) == 1
        self._move(rows[moved], step[moved], kind[moved], numbers, steps, last, cell)
        codes[rows] = numbers[rows]

    def _reserved(self, rows: Ints, old: Ints, codes: Ints, field: Field, cell: int) -> None:
        below = self._decide(rows, cell + model.WHICH)
        more = below == 1
        below[more] += self._decide(rows[more], cell + model.WHICH + 1)
        codes[rows] = field.top - below
        self.sound[rows] &= (codes[rows] != old) & np.isin(codes[rows], list(field.reserved))

    def _move(
        self, rows: Ints, step: Ints, kind: Ints, numbers: Ints, steps: Ints, last: int, cell: int
    ) -> None:
        number = numbers[rows]
        down = number > 0
        inside = down & (number < last)
        down[inside] = self._decide(rows[inside], cell + model.DOWN + step[inside]) == 1
        size = self._size(rows, cell, kind)
        number = np.where(down, number - size, number + size)
        numbers[rows] = number
        steps[rows] = np.where(down, 2, 1)
        self.sound[rows] &= (number >= 0) & (number <= last)

    def _size(self, rows: Ints, cell: int, kind: Ints) -> Ints:
        bits = np.zeros(len(rows), np.int64)
        here = np.arange(len(rows))
        for n in range(model.WIDEST):
            at = cell + model.LONGER + n if n else cell + model.FAR + kind[here]
            here = here[self._decide(rows[here], at) == 1]
            bits[here] += 1
        size = np.ones(len(rows), np.int64)
        for n in range(model.WIDEST):
            here = np.flatnonzero(bits > n)
            if n == 0:
                bit = self._decide(rows[here], cell + model.HALF + np.minimum(bits[here], 4) - 1)
            else:
                bit = self._narrow(rows[here], self.range[rows[here]] >> 1)
            size[here] = size[here] << 1 | bit
        return size

    def _decide(self, rows: Ints, cell: Any) -> Ints:
        chance = self.chances[rows, cell].astype(np.int64)
        bit = self._narrow(rows, (self.range[rows] >> 9) * chance >> 6)
        self.chances[rows, cell] = np.where(
            bit, chance - (chance >> model.RATE), chance + (32768 - chance >> model.RATE)
        )
        return bit

    def _narrow(self, rows: Ints, bound: Ints) -> Ints:
        value, width, low = self.value[rows], self.range[rows], self.low[rows]
        bit = (value >= bound).astype(np.int64)
        value -= bound * bit
        low += bound * bit
        width = np.where(bit, width - bound, bound)
        small = np.flatnonzero(width < model.LOW)
        while len(small):
            value[small] = value[small] << 8 | self._next(rows[small])
            low[small] <<= 8
            width[small] <<= 8
            small = small[width[small] < model.LOW]
        self.value[rows], self.range[rows], self.low[rows] = value, width, low & model.TOP - 1
        return bit

    def _next(self, rows: Ints) -> Ints:
        at = self.at[rows]
        there = at < self.ends[rows]
        byte = np.zeros(len(rows), np.int64)
        byte[there] = self.data[at[there]]
        self.at[rows] = at + 1
        return byte


def _first_chances(layout: Layout) -> npt.NDArray[np.uint16]:
    sets = len({field.row for field in layout.fields})
    chances = np.full(model.FIRST_SET + model.SET * sets, 16384, np.uint16)
    chances[: len(model.COMMON)] = [128 * one for one in model.COMMON]
    for n, priors in enumerate(model.PRIORS.get(layout.port, ())):
        at = model.FIRST_SET + n * model.SET
        chances[at : at + len(priors)] = [128 * one for one in priors]
    return chances
