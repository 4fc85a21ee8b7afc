"""The payloads of one port, all at once: wire codes and errors as NumPy arrays, by shifts and masks over
whole columns.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from borne.decoding import past
from borne.decoding.report import unknown_port
from borne.decoding.table import Field, Layout, fields_of
from borne.errors import DecodeError

Codes = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

# What an error key says, from bit 40 up; below it the length, or the field's number (from bit 20 up) and its
# code.
FINE, LENGTH, CODE, NO_COMMAND, NO_HISTORY, NO_PORT = (n << 40 for n in range(6))
_NO_HISTORY_TEXT = "what follows the report is no history"


class Column(NamedTuple):
    """A binary column as one run of bytes, and where each value starts and ends in it."""

    data: npt.NDArray[np.uint8]
    starts: npt.NDArray[Any]
    ends: npt.NDArray[Any]

    def part(self, rows: Any) -> Column:
        return Column(self.data, self.starts[rows], self.ends[rows])

    @property
    def lengths(self) -> npt.NDArray[Any]:
        return np.asarray(self.ends - self.starts)


class Bulk(NamedTuple):
    """What payloads of one port say: a code for each field (those of all variants) and row.

    row, earlier  which payload a row is about and how many windows back it lies (None: one row a payload, in order)
    errors        error keys, or None where every payload is a report
    """

    layout: Layout
    size: int
    window: npt.NDArray[np.int32] | None
    codes: list[Codes]
    errors: Rows | None
    row: Rows | None = None
    earlier: npt.NDArray[np.int16] | None = None

    @property
    def rows(self) -> Rows:
        return np.arange(self.size) if self.row is None else self.row

    @property
    def ages(self) -> npt.NDArray[np.int16]:
        return np.zeros(self.size, np.int16) if self.earlier is None else self.earlier

    @property
    def good(self) -> Bools | None:
        """Rows that are no errors; None: all."""
        return None if self.errors is None else self.errors == FINE

    def applies(self, number: int) -> Bools | None:
        """Rows that have field `number` at all: a variant's field only where the first code chose it. None: all."""
        before = len(self.layout.fields)
        for code, more in self.layout.variants.items():
            if before <= number < before + len(more):
                return np.asarray(self.codes[0] == code)
            before += len(more)
        return None

    def explain(self, key: int) -> str:
        """The text of the DecodeError that the decoder of single reports raises for the same payload."""
        port, low = self.layout.port, key & (1 << 40) - 1
        if key >= NO_PORT:
            return str(DecodeError(unknown_port(port), port=port)) if port >= 0 else "no port"
        if key >= NO_HISTORY:
            return str(DecodeError(_NO_HISTORY_TEXT, port=port, byte=self.layout.size, bit=7))
        if key >= NO_COMMAND:
            return str(DecodeError("is no command", port=port, byte=0, bit=7))
        if key >= CODE:
            field, code = fields_of(self.layout)[low >> 20], low & 0xFFFFF
            at, reason = field.position, f"{field.row} has no code {code}"
            return str(DecodeError(reason, port=port, byte=at >> 3, bit=7 - (at & 7)))
        size, length = low >> 20, low & 0xFFFFF
        return str(DecodeError(f"must have {size} bytes", port=port, byte=min(size, length)))


def strange(port: int, count: int) -> Bulk:
    """Payloads of a port that this version does not know."""
    layout = Layout(port, "", 0, 0, 0, 0, (), {}, ())
    return Bulk(layout, count, None, [], np.full(count, NO_PORT, np.int64))


def decode(layout: Layout, column: Column, history: bool) -> Bulk:
    """Wire codes of every payload; with `history` the rows of earlier windows stand behind all others."""
    size = layout.size
    lengths = column.lengths
    plain = bool((lengths == size).all())
    take = _bytes_at(column, size, plain and not layout.variants)
    window = _extract(take, 0, layout.window_bits).astype(np.int32) if layout.window_bits else None
    codes = [_extract(take, field.position, field.width) for field in fields_of(layout)]
    errors = _errors(layout, codes, lengths, plain)
    bulk = Bulk(layout, len(lengths), window, codes, errors)
    if not plain and layout.has_history:
        bulk = _add_history(bulk, column, history)
    return bulk


def _bytes_at(column: Column, size: int, plain: bool) -> Any:
    """A function that gives byte k of every payload as a column; zeros behind the end of a short one."""
    count = len(column.starts)
    if plain and count and column.ends[-1] - column.starts[0] == count * size:
        matrix = column.data[column.starts[0] : column.ends[-1]].reshape(count, size)
        return cache(lambda k: matrix[:, k].copy())

    def gather(k: int) -> npt.NDArray[np.uint8]:
        at = column.starts + k
        there = at < column.ends
        found = np.zeros(count, np.uint8)
        found[there] = column.data[at[there]]
        return found

    return cache(gather)


def _extract(take: Any, position: int, width: int) -> Codes:
    """`width` bits at `position` of every payload, in the narrowest type that holds the bytes they lie in."""
    first, last = position >> 3, (position + width - 1) >> 3
    spare = 8 * (last + 1) - position - width
    mask = (1 << width) - 1
    if first == last:
        codes = take(first)
        codes = codes >> spare if spare else codes
        return codes & mask if width + spare < 8 else codes  # type: ignore[no-any-return]
    wide = np.uint16 if last - first == 1 else np.uint32 if last - first < 4 else np.uint64
    codes = take(first).astype(wide)
    for k in range(first + 1, last + 1):
        np.left_shift(codes, 8, out=codes)
        np.bitwise_or(codes, take(k), out=codes)
    if spare:
        np.right_shift(codes, spare, out=codes)
    if width + spare < 8 * (last + 1 - first):
        np.bitwise_and(codes, mask, out=codes)
    return codes  # type: ignore[no-any-return]


def refused(field: Field, codes: Codes) -> Bools | None:
    """Which codes have no meaning; None where none is refused, which is quick to see."""
    if field.raw or field.last >= field.top - len(field.reserved):
        return None
    special = codes > field.last
    if not special.any():
        return None
    for code in field.reserved:
        special &= codes != code
    return special if special.any() else None


class _Errors:
    """The first thing wrong with each payload; what is noted first counts."""

    def __init__(self, lengths: npt.NDArray[Any]) -> None:
        self.lengths = lengths
        self.keys: Rows | None = None

    def note(self, where: Bools, keys: Any) -> None:
        if not where.any():
            return
        if self.keys is None:
            self.keys = np.zeros(len(self.lengths), np.int64)
        new = where & (self.keys == FINE)
        self.keys[new] = keys[new] if isinstance(keys, np.ndarray) else keys

    def size(self, where: Bools, right: Any) -> None:
        known = np.minimum(self.lengths, 0xFFFFF).astype(np.int64)
        self.note(where, LENGTH + (np.asarray(right, np.int64) << 20) + known)

    def code(self, number: int, field: Field, codes: Codes, chosen: Bools | None = None) -> None:
        wrong = refused(field, codes)
        if wrong is not None:
            keys = CODE + (number << 20) + codes.astype(np.int64)
            self.note(wrong if chosen is None else wrong & chosen, keys)


def _errors(layout: Layout, codes: list[Codes], lengths: npt.NDArray[Any], plain: bool) -> Rows | None:
    """Error keys, looked for in the order in which the node's decoder looks."""
    errors = _Errors(lengths)
    if not plain:
        errors.size(lengths < layout.size, layout.size)
    for number, field in enumerate(layout.fields):
        errors.code(number, field, codes[number])
    if layout.variants or not plain:
        longest = _variant_errors(layout, codes, errors)
        if not layout.has_history:
            errors.size(lengths > longest, longest)
    return errors.keys


def _variant_errors(layout: Layout, codes: list[Codes], errors: _Errors) -> npt.NDArray[Any]:
    """Note what is wrong with the fields that the first code chooses; returns the right length of each payload."""
    longest = np.full(len(errors.lengths), layout.size)
    if layout.variants:
        errors.note(~np.isin(codes[0], list(layout.variants)), np.int64(NO_COMMAND))
    number = len(layout.fields)
    for code, more in layout.variants.items():
        chosen = codes[0] == code
        longest[chosen] = layout.size + sum(field.width for field in more) // 8
        errors.size(chosen & (errors.lengths < longest), longest)
        for field in more:
            errors.code(number, field, codes[number], chosen)
            number += 1
    return longest


def _add_history(bulk: Bulk, column: Column, wanted: bool) -> Bulk:
    starts = column.starts + bulk.layout.size
    longer = column.ends > starts
    if bulk.errors is not None:
        longer &= bulk.errors == FINE
    rows = np.flatnonzero(longer)
    if not len(rows):
        return bulk
    block = Column(column.data, starts[rows], column.ends[rows])
    found = past.read(
        bulk.layout, [codes[rows] for codes in bulk.codes], block.data, block.starts, block.ends
    )
    if found.refused.any():
        errors = bulk.errors if bulk.errors is not None else np.zeros(len(starts), np.int64)
        errors[rows[found.refused]] = NO_HISTORY
        bulk = bulk._replace(errors=errors)
    return _append(bulk, rows, found, len(starts)) if wanted else bulk


def _append(bulk: Bulk, rows: Rows, found: past.Past, count: int) -> Bulk:
    own = rows[found.row]
    assert bulk.window is not None
    window = (bulk.window[own] - found.earlier) & ((1 << bulk.layout.window_bits) - 1)
    errors = bulk.errors
    return Bulk(
        bulk.layout,
        count + len(own),
        np.concatenate([bulk.window, window.astype(np.int32)]),
        [
            np.concatenate([now, then.astype(now.dtype)])
            for now, then in zip(bulk.codes, found.codes, strict=True)
        ],
        None if errors is None else np.concatenate([errors, np.zeros(len(own), np.int64)]),
        np.concatenate([np.arange(count), own]),
        np.concatenate([np.zeros(count, np.int16), found.earlier]),
    )
