"""borne decode: one report from the command line, or a stream of them from a file or a pipe."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from borne.decoding import writers
from borne.decoding.envelopes import FORMS, bare
from borne.decoding.report import Report
from borne.decoding.report import decode as decode_report
from borne.decoding.stream import Uplinks, batches
from borne.errors import DecodeError, EnvelopeError, UserError

# mypy reads members of literals only.
_Form = StrEnum("_Form", {name: name for name in FORMS})  # type: ignore[misc]
_To = StrEnum("_To", {name: name for name in (*writers.TEXT_FORMS, "parquet")})  # type: ignore[misc]


_AUTO, _TABLE = _Form("auto"), _To("table")


def decode(
    port: Annotated[
        str, typer.Argument(metavar="PORT|FILE|-", help="fPort; or a file of lines, - for stdin.")
    ] = "-",
    payload: Annotated[str, typer.Argument(metavar="HEX|-", help="One report; - for lines of them.")] = "",
    form: Annotated[_Form, typer.Option("--from", help="What the lines are.")] = _AUTO,
    to: Annotated[_To, typer.Option("--to", help="What to write.")] = _TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write into a file.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Also earlier windows that frames carry.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first line that does not decode.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Keep frames that came more than once.")
    ] = False,
) -> None:
    """Decode PORT HEX, or lines of network messages (JSON), of PORT HEX or of PORT BASE64.

    Lines that do not decode are named on stderr; the others are written all the same, and the exit code is 2.
    """
    if payload not in ("", "-"):
        given = None if form == "auto" else str(form)
        uplink = bare(payload, _number(port), given)
        report = decode_report(uplink.payload, uplink.port)
        if to == "table" and output is None:
            Console(highlight=False, soft_wrap=True).print(_page(report))
            return
        line = f"{uplink.port} {uplink.payload.hex()}".encode()
        _convert([[line]], Uplinks("auto"), to, output, history, True)
        return
    only = _number(port) if payload == "-" else None
    name = "-" if payload == "-" else port
    if name.isdigit() and not Path(name).exists():
        raise UserError(f"port {name} and then? Give the bytes in hex, or - for lines of them")
    try:
        with _lines(name) as lines:
            _convert(lines, Uplinks(str(form), only, not duplicates), to, output, history, strict)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def _convert(lines: Any, uplinks: Uplinks, to: str, output: Path | None, history: bool, strict: bool) -> None:
    def problem(number: int, text: str) -> None:
        if strict:
            raise EnvelopeError(f"line {number}: {text}")
        print(f"borne: line {number}: {text}", file=sys.stderr)

    # A line leaves no cycles behind, yet the collector would walk over all that wait for their batch every 700 objects.
    gc.set_threshold(1_000_000)
    if to == "parquet":
        if output is None:
            raise UserError("Parquet needs a file: give one with -o")
        summary = writers.convert_to_parquet(lines, output, problem, uplinks, history=history)
    elif output is None:
        summary = writers.convert(lines, to, sys.stdout, problem, uplinks, history=history)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            summary = writers.convert(lines, to, file, problem, uplinks, history=history)
    if summary.duplicates:
        print(f"borne: {summary.duplicates} frames came more than once", file=sys.stderr)
    if summary.problems:
        print(
            f"borne: {summary.problems} lines did not decode, {summary.reports} reports did", file=sys.stderr
        )
        raise typer.Exit(DecodeError.exit_code)


def _number(port: str) -> int:
    if not (port.isascii() and port.isdigit()) or int(port) > 255:
        raise UserError(f"{port!r} is no port: an fPort is a number from 1 to 223")
    return int(port)


@contextmanager
def _lines(name: str) -> Iterator[Iterator[list[bytes]]]:
    """Batches of lines of a file, with progress on a terminal, or of stdin."""
    if name == "-":
        stdin: Any = sys.stdin.buffer
        yield batches(stdin)
        return
    with (
        Path(name).open("rb") as file,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        size = os.fstat(file.fileno()).st_size
        task = progress.add_task(Path(name).name, total=size or None)
        source: Any = file
        yield _told(batches(source), file, lambda at: progress.update(task, completed=at))


def _told(lines: Iterator[list[bytes]], file: Any, tell: Any) -> Iterator[list[bytes]]:
    for batch in lines:
        yield batch
        if file.seekable():
            tell(file.tell())


def _page(report: Report) -> Text:
    """One report, one value a line."""
    from borne.decoding.listen import SIGNS, STYLES, shown

    window = "" if report.window is None else f", window {report.window} of {report.layout.window_s} s"
    page = Text(f"port {report.port}, {report.kind}{window}")
    values = shown(report)
    width = max(len(one.name) for one in values)
    for one in values:
        page.append(f"\n  {one.name.replace('_', ' '):<{width}}  ")
        page.append(SIGNS.get(one.mark, "") + one.text, STYLES.get(one.mark, ""))
        page.append(f"  ({one.mark})" if one.mark in ("noised", "coarse") else "", "dim")
    if report.history:
        page.append(f"\n  and {len(report.history)} earlier windows", "dim")
    return page
