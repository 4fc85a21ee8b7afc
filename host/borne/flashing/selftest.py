"""Whether a node is sound: its firmware, its settings, and each part of the board, asked over the REPL.

The parts are asked by borne_node.selftest, which is the node's own code on the node's own pins. Nothing is written;
no value that a sensor measures and no secret comes over the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from borne.boards import Board
from borne.errors import BorneError, ReplError
from borne.flashing import tree
from borne.flashing.repl import Repl
from borne_node import __version__ as FIRMWARE_VERSION

# Eight bays are measured one after the other, and a ranger may take a second for each.
_SECONDS: Final = 20

# SHA-256 over the names and contents of the firmware, as node.py puts it into the version file.
_DIGEST: Final = f"""\
import hashlib,os
def w(d):
 for e in os.ilistdir(d or '/'):
  p=d+e[0]
  if e[1]&0x4000:
   yield from w(p+'/')
  else:
   yield p
h=hashlib.sha256()
for p in sorted(list(w('borne_node/'))+['main.py',{tree.BOARD_FILE!r}]):
 try:
  h.update('%s\\0%d\\0'%(p,os.stat(p)[6]))
  f=open(p,'rb')
 except OSError:
  continue
 while 1:
  b=f.read(512)
  if not b:break
  h.update(b)
 f.close()
print(''.join('%02x'%b for b in h.digest()[:8]))
"""
_RUN: Final = """\
from borne_node import hardware,selftest
selftest.run(hardware.Board(),%r)
"""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `ok` is None where there is nothing to ask: no such part, or no way to know."""

    name: str
    ok: bool | None
    detail: str


def check(
    board: str | Repl,
    *,
    pins: Board | None = None,
    settings: str | None = None,
    kind: str | None = None,
) -> list[Check]:
    """Look at the node on a port, or behind a Repl that is open; a node on a port is restarted afterwards.

    `pins`: the board that it is expected to be. `settings`: the digest that its settings are expected to have (hex,
    its first eight digits will do). `kind`: whose sensors to ask on a node that is not provisioned yet. Raises
    PortError, NoAnswer, ReplError; a part that fails raises nothing and is a Check that is not ok.
    """
    if isinstance(board, Repl):
        return list(_checks(board, pins, settings, kind))
    with Repl(board) as opened, _running_again(opened):
        return list(_checks(opened, pins, settings, kind))


def passed(checks: list[Check]) -> bool:
    """Whether none of them failed."""
    return all(one.ok is not False for one in checks)


@contextmanager
def _running_again(board: Repl) -> Iterator[None]:
    try:
        yield
    finally:
        with suppress(BorneError):
            board.reset()


def _checks(board: Repl, pins: Board | None, digest: str | None, kind: str | None) -> Iterator[Check]:
    version = board.firmware()
    if version is None:
        yield Check(
            "firmware", False, "MicroPython without our firmware: flash the board first (borne flash)"
        )
        return
    yield _firmware(board, version)
    if pins is not None:
        yield _pins(board, pins)
    for one in _parts(board, kind):
        yield _expected(one, digest) if one.name == "settings" else one


def _firmware(board: Repl, version: dict[str, Any]) -> Check:
    said = f"{version['borne_node']}, MicroPython {board.implementation()}"
    if board.run(_DIGEST).strip() != version.get("files"):
        return Check("firmware", False, f"{said}: its files are not those of its version: borne deploy")
    if version["borne_node"] != FIRMWARE_VERSION:
        return Check("firmware", True, f"{said}; this borne has {FIRMWARE_VERSION}: borne deploy")
    return Check("firmware", True, f"{said}, files {version['files'][:8]}")


def _pins(board: Repl, pins: Board) -> Check:
    raw = board.read_file(tree.BOARD_FILE)
    if raw == pins.node_json():
        return Check("board", True, pins.name)
    try:
        name = json.loads(raw or b"{}").get("board", "none")
    except (ValueError, AttributeError):
        name = "damaged"
    what = "with other pins" if name == pins.name else f"expected {pins.name}"
    return Check("board", False, f"{tree.BOARD_FILE} is of {name}, {what}")


def _parts(board: Repl, kind: str | None) -> Iterator[Check]:
    try:
        printed = board.run(_RUN % kind, _SECONDS)
    except ReplError as error:
        # The exception's last line says which part of the firmware is missing or too old.
        yield Check("parts", False, str(error).removeprefix(f"{board.port}: "))
        return
    for line in printed.splitlines():
        try:
            name, ok, detail = json.loads(line)
        except ValueError:
            continue  # a driver that prints
        yield Check(name, ok, detail)


def _expected(found: Check, digest: str | None) -> Check:
    if digest is None:
        detail = f"settings {found.detail[:8]}" if found.ok else found.detail
        return Check(found.name, found.ok, detail)
    if found.ok and found.detail.startswith(digest.lower()):
        return Check(found.name, True, f"settings {found.detail[:8]}, as expected")
    said = f"settings {found.detail[:8]}" if found.ok else found.detail
    return Check(found.name, False, f"{said}; expected {digest[:8]}: provision it again")
