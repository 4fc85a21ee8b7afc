"""Streams of lines, decoded with flat memory: line by line into reports, or batch by batch into Arrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from borne.decoding.envelopes import Uplink, nanoseconds, reader
from borne.decoding.report import Report, decode
from borne.errors import DecodeError, EnvelopeError

# A message of a server has one to four kilobytes; what is longer than this is no line of a stream.
LONGEST_LINE = 1 << 20
_READ = 1 << 20
# Deliveries of one frame by several paths lie seconds apart; so many frames of the whole fleet
# are remembered, up to twice as many.
_REMEMBERED = 1 << 16
# How an empty line and a comment begin.
_NOTHING = frozenset((b"", b" ", b"\r", b"\t", b"\n", b"#", "", " ", "\r", "\t", "\n", "#"))


class Decoded(NamedTuple):
    """One line. `report` is None where `error` says why, or where the line is a message but no (new) uplink."""

    number: int
    uplink: Uplink | None
    report: Report | None
    error: str | None


class Source(Protocol):
    """What a binary file, a pipe and stdin.buffer have: read what there is, up to `size` bytes."""

    def read1(self, size: int, /) -> bytes: ...


def batches(source: Source) -> Iterator[list[bytes]]:
    """Lines as they come, all that one read gives at a time, so that a slow pipe is decoded at once.

    A line longer than LONGEST_LINE is cut to it, which no reader takes for a message; the rest of it is dropped.
    """
    rest = b""
    too_long = False
    while chunk := source.read1(_READ):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if too_long and lines:
            lines.pop(0)
            too_long = False
        if len(rest) > LONGEST_LINE:
            if not too_long:
                lines.append(rest[: LONGEST_LINE + 1])
            rest, too_long = b"", True
        if lines:
            yield lines
    if rest and not too_long:
        yield [rest]


class Uplinks:
    """Reads lines into uplinks, counts them, and knows frames that it has seen before."""

    def __init__(self, form: str = "auto", port: int | None = None, deduplicate: bool = True) -> None:
        self._read = reader(form, port)
        self.deduplicate = deduplicate
        self.number = 0
        self.duplicates = 0
        self._seen: set[tuple[Any, ...]] = set()
        self._before: set[tuple[Any, ...]] = set()

    def take(self, line: bytes | str) -> Uplink | None:
        """The uplink of the next line; None for an empty line, a comment, another message, a frame seen before.

        Raises EnvelopeError. Frames are the same when DevEUI, frame counter and session are.
        """
        self.number += 1
        if len(line) > LONGEST_LINE:
            raise EnvelopeError(f"is longer than {LONGEST_LINE} bytes")
        if line[:1] in _NOTHING and (not line.strip() or line[:1] in (b"#", "#")):
            return None
        uplink = self._read(line)
        if uplink is None or not self.deduplicate or uplink.f_cnt is None or uplink.device is None:
            return uplink
        key = (uplink.device, uplink.f_cnt, uplink.session)
        if key in self._seen or key in self._before:
            self.duplicates += 1
            return None
        self._seen.add(key)
        if len(self._seen) == _REMEMBERED:
            # Forgetting half at a time costs nothing; taking the oldest one out of a dict walks over all that went
            # before.
            self._before, self._seen = self._seen, set()
        return uplink


def decode_stream(
    lines: Iterable[bytes | str], form: str = "auto", *, port: int | None = None, deduplicate: bool = True
) -> Iterator[Decoded]:
    """Decode lines of any form of envelopes.FORMS, one Decoded each. Never raises for what a line says.

    port         of lines that are bytes alone
    deduplicate  a frame that several paths delivered is decoded once
    """
    return decode_lines(lines, Uplinks(form, port, deduplicate))


def decode_lines(lines: Iterable[bytes | str], uplinks: Uplinks) -> Iterator[Decoded]:
    """The same, where the caller keeps the count: for a stream that comes in batches."""
    for line in lines:
        uplink, report, error = None, None, None
        try:
            uplink = uplinks.take(line)
            if uplink is not None:
                report = decode(uplink.payload, uplink.port)
        except (EnvelopeError, DecodeError) as problem:
            error = str(problem)
        yield Decoded(uplinks.number, uplink, report, error)


def started(uplink: Uplink, report: Report, earlier: int = 0) -> int | None:
    """When the report's window began, in unix seconds; None without a time of the network or without a window."""
    if uplink.time is None:
        return None
    try:
        return report.started(nanoseconds(uplink.time) // 10**9, earlier)
    except EnvelopeError:
        return None
