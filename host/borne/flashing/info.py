"""What a node is and how it fares, and the errors that it wrote down. Holds no secret and no measured value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from borne.errors import ReplError
from borne.flashing.repl import Repl

LOG: Final = "log"

# The order of MicroPython's machine.reset_cause() on the ESP32 (ports/esp32/modmachine.c).
_CAUSES: Final = ("other", "power on", "hard reset", "watchdog", "deep sleep", "soft reset", "brown-out")
_SECONDS: Final = 20

_BOARD: Final = """\
import gc,json,os,sys,machine
gc.collect()
v=os.statvfs('/')
print(json.dumps({'micropython':'%d.%d.%d'%sys.implementation[1][:3],'machine':os.uname()[4],
'mac':''.join('%02x'%b for b in machine.unique_id()),
'free_heap':gc.mem_free(),'heap':gc.mem_free()+gc.mem_alloc(),
'free_flash':v[0]*v[3] if v[3]<=v[2] else 0,'flash':v[0]*v[2]}))
"""
_NODE: Final = "from borne_node import facts,hardware\nfacts.tell(hardware.Board())"


@dataclass(frozen=True)
class Line:
    """`at`: when, by the node's clock, None where it had none; `text`: what it wrote down."""

    at: datetime | None
    text: str


def info(board: Repl) -> dict[str, Any]:
    """Everything as plain values, for people and machines. Raises ReplError."""
    found: dict[str, Any] = {"port": board.port}
    version = board.firmware()
    found["firmware"] = version["borne_node"] if version else None
    found["files"] = version.get("files") if version else None
    found |= _said(board, _BOARD)
    if version:
        found |= _said(board, _NODE)
        cause = found.pop("reset_cause")
        found["reset_cause"] = _CAUSES[cause] if cause is not None and cause < len(_CAUSES) else None
    return found


def log(board: Repl) -> list[Line]:
    """The node's own log: failed wakes, resets amid one; the last eight lines that it keeps on its flash."""
    raw = board.read_file(LOG) or b""
    lines = []
    for said in raw.decode(errors="replace").splitlines():
        when, _, text = said.partition(" ")
        if when.isdecimal() and text:
            at = int(when)
            # A clock that was never set counts from MicroPython's epoch, the year 2000.
            lines.append(Line(datetime.fromtimestamp(at, UTC) if at > 1_700_000_000 else None, text))
    return lines


def _said(board: Repl, code: str) -> dict[str, Any]:
    printed = board.run(code, _SECONDS)
    for line in printed.splitlines():
        if line.startswith("{"):
            try:
                found = json.loads(line)
            except ValueError:
                break
            if isinstance(found, dict):
                return found
    raise ReplError(f"{board.port}: what the node said came garbled: check the cable and try again")
