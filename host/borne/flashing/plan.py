"""What has to be written: the flash is compared with what it shall hold by MD5, piece by piece, and only the rest is
sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from borne.flashing.chip import Chip, DifferError, Progress, Span, joined, md5, neighbours
from borne.flashing.image import Region
from borne.flashing.volume import BLOCK

# A piece that differs is sent as a whole. Bootloader and app change all at once or not at all, so their pieces may be
# large; a filesystem changes by blocks.
_PIECE: Final = 16 * BLOCK
# LittleFS keeps its superblock, and the root's files, in the first two blocks: they are written last, so that a cable
# pulled before leaves the old root, whose settings either are whole or do not parse.
_ROOT: Final = 2


def differing(chip: Chip, regions: Sequence[Region]) -> list[Span]:
    """What of these regions the flash does not hold, adjacent pieces joined."""
    pieces = [piece for region in regions for piece in _pieces(region)]
    # Of a bare board only what shall be blank can be right already.
    asked = [piece for piece in pieces if not chip.is_bare or not piece.data.strip(b"\xff")]
    right = {piece.offset for piece, held in zip(asked, chip.holds(asked), strict=True) if held}
    return _joined([piece for piece in pieces if piece.offset not in right])


def write(chip: Chip, spans: Sequence[Span], regions: Sequence[Region], progress: Progress | None) -> None:
    """Write spans, those of a filesystem's root last."""
    roots = [region.offset for region in regions if region.blocks is not None]
    last = [part for span in spans for part in _cut(span, roots) if _is_root(part, roots)]
    first = [part for span in spans for part in _cut(span, roots) if not _is_root(part, roots)]
    weights = [sum(len(span.data) for span in group) for group in (first, last)]
    done = 0.0
    for group, weight in zip((first, last), weights, strict=True):
        share = weight / sum(weights)
        if group:
            chip.write(group, _part(progress, done, share))
        done += share


def verify(chip: Chip, regions: Sequence[Region]) -> None:
    """Compare the whole of the regions with the flash, asking anew. Raises DifferError."""
    chip.forget()
    spans = _joined([piece for region in regions for piece in _pieces(region)])
    there = chip.md5([(span.offset, len(span.data)) for span in spans])
    for span, found in zip(spans, there, strict=True):
        if found != md5(span.data):
            raise DifferError(
                f"{chip.port}: the flash at {span.offset:#x} does not hold what it should after all was written; "
                "run the same command again; if it happens twice, the flash chip is worn out"
            )


def _pieces(region: Region) -> Iterator[Span]:
    if region.blocks is None:
        for at in range(0, len(region.data), _PIECE):
            yield Span(region.offset + at, region.data[at : at + _PIECE])
        return
    for block in sorted(region.blocks):
        at = block * BLOCK
        yield Span(region.offset + at, region.data[at : at + BLOCK])


def _joined(pieces: Sequence[Span]) -> list[Span]:
    return [joined(group) for group in neighbours(pieces)]


def _cut(span: Span, roots: Sequence[int]) -> Iterator[Span]:
    """The span, cut where a filesystem's root begins and ends."""
    edges = {span.offset, span.end}
    for root in roots:
        edges |= {edge for edge in (root, root + _ROOT * BLOCK) if span.offset < edge < span.end}
    cuts = sorted(edges)
    for start, end in zip(cuts, cuts[1:], strict=False):
        yield Span(start, span.data[start - span.offset : end - span.offset])


def _is_root(span: Span, roots: Sequence[int]) -> bool:
    return any(root <= span.offset < root + _ROOT * BLOCK for root in roots)


def _part(progress: Progress | None, done: float, share: float) -> Progress | None:
    if progress is None:
        return None
    follow = progress
    return lambda fraction: follow(done + share * fraction)
