"""esptool, driven as a process of its own: it is GPL-2.0-or-later, borne is MIT.

One call writes all regions. esptool itself compares the chip with the one that is asked for and the regions
with the detected flash before it erases anything, and checks the MD5 of each region afterwards; what it
prints is read here for progress and turned into one line where it fails.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from borne import boards
from borne.boards import Board
from borne.errors import BoardError, BorneError, FlashError, NoAnswer
from borne.flashing import ports
from borne.flashing.image import Region

Progress = Callable[[float], None]

# CP2102, CH340 and CH9102 bridges all carry 460800 baud; 921600 fails on some CH340 clones.
BAUD: Final = 460800
# esptool's own default; each attempt resets the board and asks, about a second.
_CONNECT_ATTEMPTS = 7
# A list of ports should not wait for that long.
_PROBE_ATTEMPTS: Final = 1
_STOP_SECONDS: Final = 5

_CHIP: Final = re.compile(r"Chip type:\s+(\S+)")
_MAC: Final = re.compile(r"MAC:\s+([0-9a-f]{2}(?::[0-9a-f]{2}){5})")
_WRITING: Final = re.compile(r"Writing at (0x[0-9a-f]+).*?(\d+(?:\.\d+)?)\s?%")
_WRONG_CHIP: Final = re.compile(r"This chip is (\S+), not (\S+)\. Wrong")
_NO_ROOM: Final = re.compile(r"will not fit in (\d+) bytes of flash")
_ERROR: Final = re.compile(r"error occurred: (.*)")
_CONNECTED: Final = "Connected to"
_ERASING: Final = "Flash will be erased"
_DIFFERS: Final = "MD5 of file does not match"
_CLOSED: Final = "Could not open"
_CLOSED_WHY: Final = re.compile(r"^\((.*)\)$")
_SILENT: Final = (
    "Failed to connect",
    "No serial data received",
    "Wrong boot mode",
    "Unable to verify flash chip",
)


@dataclass(frozen=True)
class Flashed:
    """What was written where. `bytes` counts the regions' length, uncompressed."""

    port: str
    chip: str
    mac: str
    bytes: int


@dataclass(frozen=True)
class Identity:
    """What a ROM bootloader says of itself: `chip` as esptool writes it (ESP32-D0WD-V3), `mac` lower case."""

    chip: str
    mac: str


@dataclass
class _Said:
    """The lines that one run of esptool printed."""

    lines: list[str] = field(default_factory=list)

    def found(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return next((match for line in self.lines if (match := pattern.search(line))), None)

    def first(self, pattern: re.Pattern[str], otherwise: str = "unknown") -> str:
        match = self.found(pattern)
        return match[1] if match else otherwise

    def mention(self, *texts: str) -> bool:
        return any(text in line for line in self.lines for text in texts)


def flash(
    port: str,
    board: Board,
    regions: Sequence[Region],
    *,
    baud: int = BAUD,
    before: str = "default-reset",
    after: str = "hard-reset",
    progress: Progress | None = None,
) -> Flashed:
    """Write regions to the board on `port`, checked and verified; what they do not cover keeps its content.

    `progress` gets 0.0 to 1.0, by compressed bytes over all regions. `before` and `after` are esptool's reset
    modes. Raises BoardError (wrong chip or flash too small: nothing was written), PortError, NoAnswer,
    FlashError.
    """
    meter = _Meter(regions, progress)
    with tempfile.TemporaryDirectory(prefix="borne-flash-") as folder:
        arguments = ["--chip", board.chip, "--port", port, "--baud", str(baud)]
        arguments += ["--connect-attempts", str(_CONNECT_ATTEMPTS)]
        arguments += ["--before", before, "--after", after, "write-flash"]
        arguments += _files(Path(folder), regions)
        with _esptool(port, arguments) as process:
            for line in process.stdout or ():
                meter.line(line.rstrip())
        if process.returncode:
            raise _explain(meter, port, board)
    meter.report(1.0)
    size = sum(len(region.data) for region in regions)
    return Flashed(port, meter.said.first(_CHIP), meter.said.first(_MAC), size)


def flash_all(
    ports: Sequence[str],
    board: Board,
    regions: Sequence[Region],
    *,
    baud: int = BAUD,
    progress: Callable[[str, float], None] | None = None,
) -> list[Flashed | BorneError]:
    """Flash the boards on these ports all at once; one's failure does not stop the others.

    Returns what became of each, in the order given. `progress` gets a port and 0.0 to 1.0, from several threads.
    """
    stop = threading.Event()

    def one(port: str) -> Flashed | BorneError:
        def follow(fraction: float) -> None:
            if stop.is_set():
                raise _Stopped
            if progress:
                progress(port, fraction)

        try:
            return flash(port, board, regions, baud=baud, progress=follow)
        except BorneError as error:
            return error

    with ThreadPoolExecutor(max(1, len(ports))) as pool:
        try:
            return list(pool.map(one, ports))
        except BaseException:
            stop.set()
            raise


class _Stopped(Exception):
    """Ends the esptool of every board when the caller was interrupted."""


def identify(port: str, *, attempts: int = _PROBE_ATTEMPTS) -> Identity | None:
    """Chip and MAC of the ROM bootloader on `port`, None when none answers. Resets the board, where it can.

    Each of the `attempts` takes about a second. Raises PortError.
    """
    arguments = ["--port", port, "--connect-attempts", str(attempts), "--no-stub", "read-mac"]
    with _esptool(port, arguments) as process:
        said = _Said([line.rstrip() for line in process.stdout or ()])
    if process.returncode or not said.found(_MAC):
        return None
    return Identity(said.first(_CHIP), said.first(_MAC))


def _files(folder: Path, regions: Sequence[Region]) -> Iterator[str]:
    for region in regions:
        path = folder / f"{region.offset:08x}.bin"
        path.write_bytes(region.data)
        yield hex(region.offset)
        yield str(path)


# A process that is being started holds a copy of every open port until it execs: none is open while one starts.
_STARTING: Final = threading.Lock()


@contextmanager
def _esptool(port: str, arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """esptool as a child that never outlives this block, whatever ends it: Ctrl-C, an error, its own exit."""
    with _STARTING:
        ports.check(port)
        process = subprocess.Popen(
            [sys.executable, "-m", "esptool", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=_environment(),
        )
    try:
        with process:
            yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> Mapping[str, str]:
    # Whole, uncoloured lines, each as soon as it is printed.
    return {**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "400"}


class _Meter:
    """Follows what esptool prints: how far it is, over all regions, and what it said.

    Regions weigh what they cost on the line: esptool sends them compressed (zlib, level 9).
    """

    def __init__(self, regions: Sequence[Region], progress: Progress | None) -> None:
        self.said = _Said()
        self.fraction = 0.0
        self._progress = progress
        self._weights = [(region, len(zlib.compress(region.data, 9))) for region in regions]
        self._total = sum(weight for _, weight in self._weights)

    def line(self, text: str) -> None:
        self.said.lines.append(text)
        match = _WRITING.search(text)
        if match:
            self._at(int(match[1], 16), float(match[2]) / 100)

    def _at(self, address: int, fraction: float) -> None:
        done = 0.0
        for region, weight in self._weights:
            # The address is where the next block goes, so that the last one is the region's end.
            if region.offset < address <= region.offset + len(region.data):
                done += weight * fraction
                break
            done += weight
        self.report(done / self._total)

    def report(self, fraction: float) -> None:
        self.fraction = max(self.fraction, fraction)
        if self._progress:
            self._progress(self.fraction)


def _explain(meter: _Meter, port: str, board: Board) -> BorneError:
    """esptool's failure as one line that says what to do."""
    said = meter.said
    wrong = said.found(_WRONG_CHIP)
    if wrong:
        fitting = [name for name in boards.names() if boards.load(name).silicon.title == wrong[1]]
        hint = f"; boards with that chip: {', '.join(fitting)}" if fitting else ""
        return BoardError(
            f"{port}: the chip is an {wrong[1]}, but board {board.name} has an {wrong[2]}; "
            f"nothing was written{hint}"
        )
    room = said.found(_NO_ROOM)
    if room:
        return BoardError(
            f"{port}: the flash has {int(room[1]) >> 20} MB, but board {board.name} has {board.flash_mb} MB; "
            "nothing was written"
        )
    if said.mention(*_SILENT) and not said.mention(_CONNECTED):
        return NoAnswer(
            f"{port}: no ESP32 answers; hold BOOT, press and release RESET, release BOOT, and try again"
        )
    if said.mention(_CLOSED):
        return ports.explain(port, OSError(said.first(_CLOSED_WHY)))
    reason = said.first(_ERROR, said.lines[-1] if said.lines else "no output")
    if not said.mention(_ERASING):
        return FlashError(f"{port}: nothing was written: {reason}")
    if said.mention(_DIFFERS):
        return FlashError(
            f"{port}: the flash does not hold what was written; run the same command again; "
            "if it happens twice, the flash chip is worn out"
        )
    return FlashError(
        f"{port}: the link broke at {meter.fraction:.0%} ({reason}); the board is incomplete: "
        "check the cable and run the same command again"
    )
