"""The other side of `esptool.Chip`: a program that holds one connection to a ROM bootloader by way of esptool.

It imports esptool, which is GPL-2.0-or-later, and so runs as a process of its own: `python -m borne.flashing.loader`.
Requests come on standard input and answers go to standard output, each a line of JSON, followed by `size` raw bytes
where the line says so. It ends with its input. Nothing that it is sent is ever printed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import serial
from esptool import cmds  # type: ignore[import-untyped]
from esptool import loader as esptool_loader
from esptool.logger import EsptoolLogger  # type: ignore[import-untyped]
from esptool.logger import log as esptool_log
from esptool.util import FatalError, flash_size_bytes  # type: ignore[import-untyped]

from borne.flashing.ports import BUSY_SECONDS

# The ROM talks at this speed until it is told otherwise.
ROM_BAUD = 115200
# A USB bridge that lost its contact is back within two.
_RETURN_SECONDS = 3
_POLL_SECONDS = 0.05
_HANG_UP_SECONDS = 0.1
_TABLE_AT, _TABLE_SIZE = 0x8000, 0xC00
_WRITING = re.compile(r"Writing at (0x[0-9a-f]+)")

Answer = tuple[dict[str, Any], bytes]


class _Wire:
    """Lines of JSON, both ways, with raw bytes behind them."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink

    def receive(self) -> tuple[dict[str, Any], bytes] | None:
        line = self._source.readline()
        if not line:
            return None
        request = json.loads(line)
        return request, self._source.read(request.get("size", 0))

    def send(self, answer: dict[str, Any], raw: bytes = b"") -> None:
        if raw:
            answer = {**answer, "size": len(raw)}
        self._sink.write(json.dumps(answer).encode() + b"\n" + raw)
        self._sink.flush()


class _Quiet(EsptoolLogger):  # type: ignore[misc]
    """Passes on how far a write is, and nothing else of what esptool prints."""

    def __init__(self, wire: _Wire) -> None:
        super().__init__()
        self._wire = wire

    def print(self, *args: Any, **kwargs: Any) -> None:
        pass

    warn = err = note = hint = debug = print

    def stage(self, finish: bool = False) -> None:
        pass

    @contextmanager
    def progress(self, total: int, *_: Any, **__: Any) -> Iterator[_Task]:
        yield _Task(self._wire, total)


class _Task:
    def __init__(self, wire: _Wire, total: int) -> None:
        self._wire, self._total, self._done = wire, total, 0

    def update(self, advance: int = 1, description: str = "", **_: Any) -> None:
        self._done += advance
        match = _WRITING.search(description)
        if match and self._total:
            self._wire.send({"at": int(match[1], 16), "part": min(self._done / self._total, 1.0)})


def _patiently(attempt: Callable[[], Any]) -> Any:
    """Connect; to a port that is locked again and again, because its last user may just be ending (see ports)."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return attempt()
        except FatalError as error:
            if "exclusively lock" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(_POLL_SECONDS)


class Session:
    """One connection; each public method is a request, its keywords the request's names."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._esp: Any = None
        self._rom: dict[str, Any] = {}

    def connect(self, port: str, attempts: int, before: str) -> Answer:
        """Reach the ROM and ask who it is."""
        self._esp = _patiently(lambda: cmds.detect_chip(port, ROM_BAUD, before, False, attempts))
        mac = self._esp.read_mac("BASE_MAC")
        return {
            "name": self._esp.CHIP_NAME,
            "description": self._esp.get_chip_description(),
            "mac": ":".join(f"{byte:02x}" for byte in mac),
        }, b""

    def stub(self) -> Answer:
        """Load esptool's stub, which writes compressed data and hashes fast, and run it."""
        self._esp = cmds.run_stub(self._esp)
        return {}, b""

    def speed(self, baud: int) -> Answer:
        """Go to this speed, and prove that it works: what is read is checked by MD5."""
        if baud != ROM_BAUD:
            self._esp.change_baud(baud)
        cmds.attach_flash(self._esp)
        size = cmds.detect_flash_size(self._esp)
        if size:
            # The ROM assumes 2 or 4 MB until it is told; beyond that it would read and hash something else.
            self._esp.flash_set_parameters(flash_size_bytes(size))
        table = self._esp.read_flash(_TABLE_AT, _TABLE_SIZE)
        return {
            "flash": flash_size_bytes(size) if size else 0,
        }, table

    def md5(self, spans: list[list[int]]) -> Answer:
        return {"md5": [self._esp.flash_md5sum(offset, size) for offset, size in spans]}, b""

    def read(self, offset: int, length: int) -> Answer:
        return {}, self._esp.read_flash(offset, length)

    def write(self, spans: list[list[int]], raw: bytes) -> Answer:
        """Write and compare by MD5, all in one go; what lies between the spans is not touched."""
        parts, at = [], 0
        for offset, size in spans:
            parts.append((offset, raw[at : at + size]))
            at += size
        cmds.write_flash(self._esp, parts)
        return {}, b""

    def reset(self, after: str) -> Answer:
        """Leave the bootloader; the port is free when this is answered, for whoever talks to the board next."""
        cmds.reset_chip(self._esp, after)
        self._esp._port.close()
        # Where no control lines lead to the board, all that its far end sees is that we hung up: it needs a moment.
        time.sleep(_HANG_UP_SECONDS)
        return {}, b""


def _undumped(*_: Any, **__: Any) -> str:
    return ""


def serve(wire: _Wire) -> None:
    session = Session(wire)
    while (received := wire.receive()) is not None:
        request, raw = received
        request.pop("size", None)
        action: Callable[..., Answer] = getattr(session, request.pop("do"))
        try:
            answer, data = action(**request, raw=raw) if raw else action(**request)
        except FatalError as error:
            wire.send({"error": str(error), "kind": "protocol"})
        except (serial.SerialException, OSError) as error:
            wire.send({"error": str(error), "kind": "port"})
        except Exception as error:
            # A line full of errors can bring esptool's own decoding to fall; that is a fault of the line.
            wire.send({"error": f"{type(error).__name__}: {error}", "kind": "protocol"})
        else:
            wire.send(answer, data)


def main() -> None:
    # A Ctrl-C at the terminal is for the program that started this one, which then ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wire = _Wire(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    esptool_log.set_logger(_Quiet(wire))
    # esptool 5 renders each packet as a hex dump for a trace that is off, which costs a fifth of a flash at 921600
    # baud.
    esptool_loader.HexFormatter = _undumped
    # So many seconds esptool waits for a port that vanished amid a write; whoever pulled the cable should hear it soon.
    cmds.DEFAULT_CONNECT_ATTEMPTS = _RETURN_SECONDS
    serve(wire)
    # The system closes the port; taking a hundred modules apart first would only keep the caller waiting.
    os._exit(0)


if __name__ == "__main__":
    main()
