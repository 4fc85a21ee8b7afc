"""One connection to a bootloader: who it is, hashes and bytes of its flash, writes, reset.

Behind it runs esptool, as a process of its own: it is GPL-2.0-or-later, borne is MIT. Errors say in one line what is
wrong and what to do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any, Final, Self

from borne.errors import BorneError, FlashError, NoAnswer
from borne.flashing import ports

Progress = Callable[[float], None]
_Answer = tuple[dict[str, Any], bytes]

# Tried from the first to the last until one carries data unharmed. CP2102N, CH9102 and CH343 bridges carry 921600 baud,
# some CH340 clones only 460800, long cables less.
BAUDS: Final = (921600, 460800, 230400, 115200)
BAUD: Final = BAUDS[0]
# esptool's own default; each attempt resets the board and asks, about a second.
_CONNECT_ATTEMPTS = 7
# Where a group differs: a fourth each time finds one piece of 64 in 13 questions, and costs a third more where all do.
_PARTS: Final = 4
_STOP_SECONDS: Final = 5

_CLOSED: Final = "Could not open"
_CLOSED_WHY: Final = re.compile(r"^\((.*)\)$", re.MULTILINE)
_DIFFERS: Final = "MD5 of file does not match"
_EMPTY: Final = "the written flash region is empty"


class LineError(FlashError):
    """The line lost or damaged bytes, or fell silent; another try at a lower speed may do."""


class DifferError(LineError):
    """The flash does not hold what was written to it."""


@dataclass(frozen=True)
class Identity:
    """What a ROM bootloader says of itself: `chip` as esptool writes it (ESP32-D0WD-V3), `mac` lower case.

    `name` is its family as Chip.title of the board files (ESP32-S3), `revision` as in "v3.1".
    """

    chip: str
    mac: str
    name: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Span:
    """Bytes for one place of the flash; it starts with a sector."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


def md5(data: bytes) -> str:
    """As the bootloader computes it of its flash; against damage, not against anybody."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def neighbours(spans: Sequence[Span]) -> list[list[Span]]:
    """In groups, each without a gap between one and the next; `spans` by rising offset."""
    groups: list[list[Span]] = []
    for span in spans:
        if groups and groups[-1][-1].end == span.offset:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def joined(group: Sequence[Span]) -> Span:
    """Neighbours as one."""
    return Span(group[0].offset, b"".join(span.data for span in group))


# A process that is being started holds a copy of every open port until it execs: none is open while one starts.
_STARTING: Final = threading.Lock()


# Loaders that were started ahead of their use; each ends with its input, and so with this process.
_SPARE: Final[list[subprocess.Popen[bytes]]] = []


def prepare(count: int) -> None:
    """Start the programs behind so many connections already: they need a quarter of a second until they can be used."""
    with _STARTING:
        _SPARE.extend(_start() for _ in range(count))


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "borne.flashing.loader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )


class Chip:
    """A connection to the bootloader on `port`, as a context manager. Entering says who is there; `start` brings the
    rest.

    Raises PortError, NoAnswer, LineError, FlashError (the port is gone).
    """

    def __init__(self, port: str, *, attempts: int | None = None, before: str = "default-reset") -> None:
        self.port = port
        self._attempts = _CONNECT_ATTEMPTS if attempts is None else attempts
        self._before = before
        self._hashes: dict[tuple[int, int], str] = {}
        self.baud = BAUDS[-1]
        self.flash_bytes = 0
        # The partition table as it is on the chip.
        self.table = b""

    def __enter__(self) -> Self:
        with _STARTING:
            ports.check(self.port)
            self._process = _SPARE.pop() if _SPARE else _start()
        try:
            answer, _ = self._ask("connect", port=self.port, attempts=self._attempts, before=self._before)
        except BaseException:
            self._end()
            raise
        name, _, revision = answer["description"].partition(" (revision ")
        self.identity = Identity(name.split(" ")[0], answer["mac"], answer["name"], revision.rstrip(")"))
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def start(self, baud: int) -> None:
        """Load esptool's stub and go to this speed. A network port keeps its own, which the far end sets."""
        self.baud = BAUDS[-1] if self.port.startswith("socket://") else baud
        self._ask("stub")
        answer, self.table = self._ask("speed", baud=self.baud)
        self.flash_bytes = answer["flash"]

    @property
    def is_bare(self) -> bool:
        """Whether it has never been flashed, or erased: no partition table, so nothing that could be right already."""
        return bool(self.table) and not self.table.strip(b"\xff")

    def md5(self, spans: Sequence[tuple[int, int]]) -> list[str]:
        """MD5 of each (offset, size) of the flash, in hex; what was asked before and not written since is
        remembered.
        """
        new = [span for span in dict.fromkeys(spans) if span not in self._hashes]
        if new:
            answer, _ = self._ask("md5", spans=new)
            self._hashes.update(zip(new, answer["md5"], strict=True))
        return [self._hashes[span] for span in spans]

    def holds(self, spans: Sequence[Span]) -> list[bool]:
        """Whether the flash holds each of these.

        Each question is a round trip, and mostly all is as it should be or next to nothing: neighbours are asked for
        together, and their parts only where the whole is not right.
        """
        groups = neighbours([span for span in spans if (span.offset, len(span.data)) not in self._hashes])
        while groups:
            wholes = [joined(group) for group in groups]
            there = self.md5([(whole.offset, len(whole.data)) for whole in wholes])
            parts: list[list[Span]] = []
            for group, whole, found in zip(groups, wholes, there, strict=True):
                if found == md5(whole.data):
                    self._hashes.update({(span.offset, len(span.data)): md5(span.data) for span in group})
                elif len(group) > 1:
                    size = -(-len(group) // _PARTS)
                    parts += [group[at : at + size] for at in range(0, len(group), size)]
            groups = parts
        return [self._hashes[span.offset, len(span.data)] == md5(span.data) for span in spans]

    def forget(self) -> None:
        """Ask anew from now on: what was remembered was only a hope."""
        self._hashes.clear()

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the flash, checked by MD5 on their way."""
        return self._ask("read", offset=offset, length=size)[1]

    def write(self, spans: Sequence[Span], progress: Progress | None = None) -> None:
        """Write these, each compared by MD5 afterwards. `progress` gets 0.0 to 1.0, by compressed bytes."""
        self._hashes.clear()
        meter = _Meter(spans, progress)
        raw = b"".join(span.data for span in spans)
        self._ask("write", raw, meter, spans=[(span.offset, len(span.data)) for span in spans])
        meter.report(1.0)

    def reset(self, after: str = "hard-reset") -> None:
        """Leave the bootloader; `after` is one of esptool's modes."""
        self._ask("reset", after=after)

    def _ask(self, do: str, raw: bytes = b"", meter: _Meter | None = None, **names: Any) -> _Answer:
        request = {"do": do, **names, **({"size": len(raw)} if raw else {})}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(request).encode() + b"\n" + raw)
            stdin.flush()
            return self._answer(do, stdout, meter)
        except BrokenPipeError:
            raise FlashError(f"{self.port}: esptool ended unexpectedly; run the same command again") from None

    def _answer(self, do: str, stdout: IO[bytes], meter: _Meter | None) -> _Answer:
        while True:
            line = stdout.readline()
            if not line:
                raise FlashError(f"{self.port}: esptool ended unexpectedly; run the same command again")
            answer = json.loads(line)
            if "error" in answer:
                raise self._explain(do, answer["error"], answer["kind"], meter)
            if "at" not in answer:
                return answer, stdout.read(answer.get("size", 0))
            if meter:
                meter.at(answer["at"], answer["part"])

    def _explain(self, do: str, text: str, kind: str, meter: _Meter | None) -> BorneError:
        """esptool's failure as one line that says what to do."""
        closed = _CLOSED_WHY.search(text)
        if _CLOSED in text or (do == "connect" and kind == "port"):
            return ports.explain(self.port, OSError(closed[1] if closed else text))
        if do == "connect":
            return NoAnswer(
                f"{self.port}: no ESP32 answers; hold BOOT, press and release RESET, release BOOT, and try again"
            )
        reason = text.splitlines()[0].removesuffix(".") if text else "no reason given"
        if meter is None:
            error = LineError if kind == "protocol" else FlashError
            return error(
                f"{self.port}: nothing was written: {reason}; check the cable and run the same command again"
            )
        if _DIFFERS in text or _EMPTY in text:
            return DifferError(
                f"{self.port}: the flash does not hold what was written; run the same command again; "
                "if it happens twice, the flash chip is worn out"
            )
        kind_of = LineError if kind == "protocol" else FlashError
        return kind_of(
            f"{self.port}: the link broke at {meter.fraction:.0%} ({reason}); the board is incomplete: "
            "check the cable and run the same command again"
        )

    def _end(self) -> None:
        """The process never outlives its owner, whatever ended that: Ctrl-C, an error, its own exit."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                _close(pipe)
        try:
            process.wait(_STOP_SECONDS if process.poll() is not None else _GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# An idle process notices the end of its input at once; one amid a transfer is not waited for.
_GRACE_SECONDS: Final = 0.3


def _close(pipe: IO[bytes]) -> None:
    with contextlib.suppress(OSError):
        pipe.close()


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "TERM": "dumb"}


class _Meter:
    """How far a write is, over all its spans. They weigh what they cost on the line: esptool sends them compressed."""

    def __init__(self, spans: Sequence[Span], progress: Progress | None) -> None:
        self.fraction = 0.0
        self._progress = progress
        self._spans = spans

    @cached_property
    def _weights(self) -> list[tuple[Span, int]]:
        # Level 1 is as good for a bar as esptool's 9, and five times as fast; by now the loader is at work.
        return [(span, len(zlib.compress(span.data, 1))) for span in self._spans]

    def at(self, address: int, fraction: float) -> None:
        done = 0.0
        for span, weight in self._weights:
            # The address is where the next block goes, so that the last one is the span's end.
            if span.offset < address <= span.end:
                done += weight * fraction
                break
            done += weight
        self.report(done / sum(weight for _, weight in self._weights))

    def report(self, fraction: float) -> None:
        self.fraction = max(self.fraction, fraction)
        if self._progress:
            self._progress(self.fraction)
