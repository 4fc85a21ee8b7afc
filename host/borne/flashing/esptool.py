"""esptool, driven as a process of its own (see chip): what differs is written, checked, and nothing else is touched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, TypeVar

from borne import boards
from borne.boards import Board
from borne.errors import BoardError, BorneError, FlashError, NoAnswer, PortError
from borne.flashing import plan
from borne.flashing.chip import BAUD, BAUDS, Chip, DifferError, Identity, LineError, Progress
from borne.flashing.image import Region

__all__ = ["BAUD", "Flashed", "Identity", "attempt", "flash", "flash_all", "identify"]

# A list of ports should not wait for as long as somebody who wants to flash.
_PROBE_ATTEMPTS: Final = 2

T = TypeVar("T")
Job = TypeVar("Job")


@dataclass(frozen=True)
class Flashed:
    """What a board holds now. `bytes` counts all its regions, uncompressed; `written` those that had to be written: 0
    where everything was right already. `kept`: files of the node's own that outlived it. `notes`: what somebody
    should know.
    """

    port: str
    chip: str
    mac: str
    bytes: int
    written: int = 0
    board: str = ""
    revision: str = ""
    flash_mb: int = 0
    baud: int = 0
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    # SHA-256 of the node's settings file in hex, empty where it has none.
    settings: str = ""

    @property
    def provisioned(self) -> bool:
        return bool(self.settings)


def identify(port: str) -> Identity | None:
    """Chip and MAC of the ROM bootloader on `port`, None when none answers. Resets the board, where it can.

    Raises PortError.
    """
    try:
        with Chip(port, attempts=_PROBE_ATTEMPTS) as chip:
            return chip.identity
    except (NoAnswer, FlashError):
        return None


def flash(
    port: str,
    board: Board,
    regions: Sequence[Region],
    *,
    baud: int = BAUD,
    before: str = "default-reset",
    after: str = "hard-reset",
    progress: Progress | None = None,
    verify: bool = True,
) -> Flashed:
    """Make the board on `port` hold these regions; what they do not cover keeps its content, what is right is left
    alone.

    `baud` is the highest speed to try. `progress` gets 0.0 to 1.0, by compressed bytes of what is written. `before` and
    `after` are esptool's reset modes. `verify`: compare everything once more at the end, what was not written too.
    Raises BoardError (wrong chip or flash too small: nothing was written), PortError, NoAnswer, FlashError.
    """

    def action(chip: Chip) -> Flashed:
        check_size(chip, board, max(region.end for region in regions))
        written = complete(chip, regions, progress, verify)
        chip.reset(after)
        return result(chip, board, regions, written)

    return attempt(port, action, baud=baud, before=before, board=board)


def complete(
    chip: Chip,
    regions: Sequence[Region],
    progress: Progress | None,
    verify: bool,
    guard: AbstractContextManager[object] = nullcontext(),  # noqa: B008
) -> int:
    """Write what differs, inside `guard`, and compare all of it; gives the number of bytes that were written."""
    spans = plan.differing(chip, regions)
    if spans:
        with guard:
            plan.write(chip, spans, regions, progress)
    if verify:
        plan.verify(chip, regions)
    if progress:
        progress(1.0)
    return sum(len(span.data) for span in spans)


def result(
    chip: Chip,
    board: Board,
    regions: Sequence[Region],
    written: int,
    kept: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Flashed:
    """What is to be told of a board that is done."""
    return Flashed(
        port=chip.port,
        chip=chip.identity.chip,
        mac=chip.identity.mac,
        bytes=sum(len(region.data) for region in regions),
        written=written,
        board=board.name,
        revision=chip.identity.revision,
        flash_mb=chip.flash_bytes >> 20,
        baud=chip.baud,
        kept=tuple(kept),
        notes=tuple(notes),
    )


def attempt(
    port: str,
    action: Callable[[Chip], T],
    *,
    baud: int = BAUD,
    before: str = "default-reset",
    board: Board | None = None,
) -> T:
    """Run `action` with the chip on `port`, at the highest speed that works: where the line fails it is run again,
    slower.

    `board`: refuse another chip than its own, before anything is sent to it. Raises what `action` and Chip raise.
    """
    failed: LineError | None = None
    for rate in _rates(port, baud):
        try:
            with Chip(port, before=before) as chip:
                if board is not None:
                    _check_chip(chip, board)
                chip.start(rate)
                return action(chip)
        except LineError as error:
            # Twice the same bytes come back wrong: that is the flash, and no speed helps.
            if isinstance(error, DifferError) and isinstance(failed, DifferError):
                raise
            failed = error
        except (NoAnswer, PortError, FlashError):
            # What broke first is what has to be said; that the board is gone now follows from it.
            if failed is None:
                raise
            break
    assert failed is not None
    raise failed


def _rates(port: str, highest: int) -> Iterator[int]:
    if port.startswith("socket://"):
        # Raw TCP carries no speed: the far end has set one, and the ROM talks at this.
        yield BAUDS[-1]
        return
    yield highest
    yield from (baud for baud in BAUDS if baud < highest)


def _check_chip(chip: Chip, board: Board) -> None:
    found = chip.identity.name
    if found == board.silicon.title:
        return
    fitting = [name for name in boards.names() if boards.load(name).silicon.title == found]
    hint = f"; boards with that chip: {', '.join(fitting)}" if fitting else ""
    raise BoardError(
        f"{chip.port}: the chip is an {found}, but board {board.name} has an {board.silicon.title}; "
        f"nothing was written{hint}"
    )


def check_size(chip: Chip, board: Board, needed: int) -> None:
    """Refuse a flash that is smaller than what is to be written. Raises BoardError."""
    if chip.flash_bytes and needed > chip.flash_bytes:
        raise BoardError(
            f"{chip.port}: the flash has {chip.flash_bytes >> 20} MB, but board {board.name} has {board.flash_mb} MB; "
            "nothing was written"
        )


def at_once(
    jobs: Sequence[Job],
    port_of: Callable[[Job], str],
    run: Callable[[Job, Progress], Flashed],
    progress: Callable[[str, float], None] | None,
) -> list[Flashed | BorneError]:
    """Run jobs all at once; one's failure does not stop the others, an interruption of the caller stops all.

    Returns what became of each, in the order given. `progress` gets a port and 0.0 to 1.0, from several threads.
    """
    stop = threading.Event()

    def one(job: Job) -> Flashed | BorneError:
        def follow(fraction: float) -> None:
            if stop.is_set():
                raise _Stopped
            if progress:
                progress(port_of(job), fraction)

        try:
            return run(job, follow)
        except BorneError as error:
            return error

    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        try:
            return list(pool.map(one, jobs))
        except BaseException:
            stop.set()
            raise


def flash_all(
    ports: Sequence[str],
    board: Board,
    regions: Sequence[Region],
    *,
    baud: int = BAUD,
    progress: Callable[[str, float], None] | None = None,
) -> list[Flashed | BorneError]:
    """`flash` the boards on these ports all at once; one's failure does not stop the others."""

    def run(port: str, follow: Progress) -> Flashed:
        return flash(port, board, regions, baud=baud, progress=follow)

    return at_once(ports, str, run, progress)


class _Stopped(Exception):
    """Ends the esptool of every board when the caller was interrupted."""
