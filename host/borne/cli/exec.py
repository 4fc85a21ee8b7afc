"""borne exec: run code on a node, and show what it prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from borne.cli import attach
from borne.errors import UserError


def exec(
    port: attach.Port,
    code: Annotated[str | None, typer.Argument(help="MicroPython code.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="A file that holds it, - for stdin.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds of silence until it is given up.")] = 10.0,
    via: attach.Way = "mpremote",
    wait: attach.Wait = attach.WAIT_SECONDS,
    restart: Annotated[bool, typer.Option(help="Start the node again afterwards.")] = True,
) -> None:
    """Run MicroPython code on a node; what it prints comes as it is printed. Exit code 1 when it raises."""
    source = _source(code, file)
    opening = attach.node(port, wait, via) if restart else attach.repl(port, wait, via)
    with opening as opened:
        trouble = opened.stream(source, _show, timeout)
    if trouble:
        print(trouble, end="", file=sys.stderr)
        raise typer.Exit(1)


def _source(code: str | None, file: Path | None) -> str:
    if (code is None) == (file is None):
        raise UserError("exec: give either code or --file")
    if file is None:
        assert code is not None
        return code
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text in UTF-8"
        raise UserError(f"{file}: {reason}") from None


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data.replace(b"\r\n", b"\n"))
    sys.stdout.buffer.flush()
