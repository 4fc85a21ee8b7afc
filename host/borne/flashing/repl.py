"""The board's REPL, over mpremote's transport or ampy's: get in, run code, move files safely.

They give two primitives, "run this" and "what did it print"; here they get limits, one kind of error,
and file writes that a pulled cable cannot leave half done. Nothing that is sent is ever quoted in an error:
it may be secret.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import serial

from borne.errors import ReadBackError, ReplError
from borne.flashing import links, tree
from borne.flashing.entering import BAUD, Entrance, Tell, last_line
from borne.flashing.links import LinkError, Via

_READ_SECONDS: Final = 2
# The slowest thing that is asked of a node: LittleFS now and then compacts for 2 to 3 s.
_RUN_SECONDS: Final = 10
# 768 bytes are 1 KiB of base64: well inside the heap of a node whose application is loaded.
_CHUNK: Final = 768

_READ: Final = """\
import binascii
try:
 f=open(%r,'rb')
except OSError as e:
 if e.errno!=2:raise
 print('-')
else:
 while 1:
  b=f.read(256)
  if not b:break
  print(str(binascii.b2a_base64(b),'ascii'),end='')
 f.close()
"""
_OPEN: Final = """\
import binascii,hashlib,os
f=open(%r,'wb')
def w(s):f.write(binascii.a2b_base64(s))
"""
_HASH: Final = """\
f.close()
h=hashlib.sha256()
f=open(%r,'rb')
while 1:
 b=f.read(256)
 if not b:break
 h.update(b)
f.close()
print(str(binascii.hexlify(h.digest()),'ascii'))
"""
_WHOLE_TRIES: Final = 3
_GARBLED: Final = "garbled on the way"
_WHOLE: Final = """\
from binascii import crc32
_s=%r
if crc32(d,crc32(_s.encode()))!=%d:raise OSError('garbled on the way')
exec(_s)
"""
# Code shrinks to less than six tenths, and a line of 115200 baud carries eleven bytes a millisecond.
_PACKED: Final = """\
from binascii import crc32
from deflate import DeflateIO
from io import BytesIO
_n=%d
if crc32(d,_n)!=%d:raise OSError('garbled on the way')
_s=DeflateIO(BytesIO(d[:_n]),1,%d).read()
d=d[_n:]
exec(_s)
"""
_NO_DEFLATE: Final = "'deflate'"
# Below it the packed form's own lines are more than it saves.
_WORTH_PACKING: Final = 400
# DeflateIO takes as much of the node's heap; a larger window saves one byte in a hundred.
WINDOW_BITS: Final = 10
# What the raw REPL takes for itself (shared/runtime/pyexec.c: Ctrl-A to Ctrl-E), what its lexer does in a literal, and
# XON and XOFF, which a bridge may keep. All other bytes arrive as they are (py/lexer.c: "8-bit clean").
_SPECIAL: Final = {byte: f"\\x{byte:02x}" for byte in (0, 1, 2, 3, 4, 5, 17, 19)} | {
    10: "\\n",
    13: "\\r",
    39: "\\'",
    92: "\\\\",
}


def deflated(data: bytes) -> bytes:
    """As the board's DeflateIO reads it: raw, with a window of `WINDOW_BITS`."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -WINDOW_BITS)
    return packer.compress(data) + packer.flush()


def _whole(code: str, data: bytes, *, packed: bool) -> bytes:
    """Code that checks that it and `data` came as they were sent, then runs."""
    raw = code.encode()
    if packed and len(raw) > _WORTH_PACKING:
        small = deflated(raw)
        data = small + data
        body = _PACKED % (len(small), binascii.crc32(data, len(small)), WINDOW_BITS)
    else:
        body = _WHOLE % (code, binascii.crc32(data, binascii.crc32(raw)))
    return b"d=" + literal(data) + b"\n" + body.encode()


def literal(data: bytes) -> bytes:
    """A bytes literal for the board, by a sixth shorter than base64 as it travels."""
    return b"b'" + b"".join(_ESCAPED[byte] for byte in data) + b"'"


_ESCAPED: Final = tuple(_SPECIAL.get(byte, "").encode() or bytes([byte]) for byte in range(256))


class Repl:
    """A board's REPL in raw mode, as a context manager.

    `insist`: where it does not answer an interrupt, reset the board by its control lines and catch its boot
    window. `wait`: seconds to wait where that does not help either, for somebody to press RESET or for the end
    of its sleep; `tell` is told what to do. `via`: by which tool's protocol. Entering raises PortError, NoAnswer
    (silence) or ReplError (it talks, but gives no prompt).
    """

    def __init__(
        self,
        port: str,
        *,
        insist: bool = True,
        wait: float = 0.0,
        tell: Tell | None = None,
        via: Via = "mpremote",
    ) -> None:
        self.port = port
        self._insist = insist
        self._wait = wait
        self._tell = tell
        self._via = via
        self._inside = False
        self._unpacks = True

    def __enter__(self) -> Self:
        self._transport = links.open_link(self._via, self.port, BAUD, _READ_SECONDS)
        try:
            with self._link():
                self._enter()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inside and kind is None:
            with self._link():
                self._transport.exit_raw_repl()
        self._close()

    def run(self, code: str | bytes, timeout: float = _RUN_SECONDS) -> str:
        """Run code, return what it printed. `timeout` in seconds counts from the last byte the board sent.

        Raises ReplError: the code raised (its last line is quoted), or the board fell silent.
        """
        with self._link():
            output, trouble = self._transport.exec_raw(code, timeout=timeout)
        if trouble:
            raise ReplError(f"{self.port}: the board says: {last_line(trouble)}")
        return bytes(output).decode(errors="replace").replace("\r\n", "\n")

    def stream(self, code: str, sink: Callable[[bytes], None], timeout: float = _RUN_SECONDS) -> str:
        """Run code; `sink` gets what it prints as it comes. Returns the traceback of what it raised, or nothing."""
        with self._link():
            _, trouble = self._transport.exec_raw(code, timeout=timeout, data_consumer=_without_end(sink))
        return bytes(trouble).decode(errors="replace").replace("\r\n", "\n")

    def run_whole(self, code: str, timeout: float = _RUN_SECONDS, data: bytes = b"") -> str:
        """The same for code that changes something: it runs as it was sent, or not at all; `data` is its variable `d`.

        The raw REPL has no checksum, and a flipped bit may make another path of a path.
        """
        for _ in range(_WHOLE_TRIES):
            try:
                return self.run(_whole(code, data, packed=self._unpacks), timeout)
            except ReplError as error:
                if self._unpacks and _NO_DEFLATE in str(error):
                    self._unpacks = False
                    return self.run_whole(code, timeout, data)
                if _GARBLED not in str(error):
                    raise
        raise ReplError(f"{self.port}: what is sent arrives garbled: check the cable and try again")

    def read_file(self, path: str) -> bytes | None:
        """Content of a file, None where there is none."""
        printed = self.run(_READ % path).strip()
        if printed == "-":
            return None
        try:
            return b"".join(binascii.a2b_base64(line) for line in printed.split())
        except binascii.Error:
            raise ReplError(f"{self.port}: {path} came back garbled; try again") from None

    def write_file(self, path: str, data: bytes) -> None:
        """Write a file as a whole or not at all: to a temporary name, compared by SHA-256, then renamed.

        Raises ReadBackError when the board holds something else than was sent; the old file then still
        stands.
        """
        partial = path + ".new"
        self.run_whole(_OPEN % partial)
        for at in range(0, len(data), _CHUNK):
            self.run(f"w({base64.b64encode(data[at : at + _CHUNK])!r})")
        if self.run(_HASH % partial).strip() != hashlib.sha256(data).hexdigest():
            raise ReadBackError(f"{self.port}: {path} on the board is not what was sent; the old one stands")
        self.run_whole(f"os.rename({partial!r},{path!r})")

    def firmware(self) -> dict[str, Any] | None:
        """The version file: `borne_node` (version), `settings` (form), `files`; None without our firmware."""
        raw = self.read_file(tree.VERSION_FILE)
        try:
            found = json.loads(raw or b"null")
        except ValueError:
            return None
        return found if isinstance(found, dict) and "borne_node" in found else None

    def implementation(self) -> str:
        """Version of MicroPython, as in 1.25.0."""
        return self.run("import sys\nprint('%d.%d.%d'%sys.implementation[1][:3])").strip()

    def reset(self) -> None:
        """Restart the board as its RESET button would; the REPL is left with that."""
        with self._link():
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
        self._inside = False

    def soft_reset(self) -> None:
        """Start boot.py and main.py anew on the chip as it is; the REPL is left with that."""
        with self._link():
            self._transport.exit_raw_repl()
            self._transport.serial.write(b"\x04")
            self._transport.serial.flush()
        self._inside = False

    def _enter(self) -> None:
        Entrance(self._transport.serial, self.port).enter(
            insist=self._insist, wait=self._wait, tell=self._tell
        )
        self._inside = True
        self._transport.serial.timeout = _READ_SECONDS

    def _close(self) -> None:
        try:
            self._transport.close()
        except OSError:
            self._transport.serial.close()  # the control lines are gone with the cable

    @contextmanager
    def _link(self) -> Iterator[None]:
        """Every failure of line or protocol as a ReplError."""
        try:
            with links.protocol():
                yield
        except (serial.SerialException, OSError) as error:
            raise ReplError(f"{self.port}: the link broke: check the cable and try again") from error
        except (LinkError, struct.error) as error:
            raise ReplError(f"{self.port}: the board stopped answering; press RESET and try again") from error


def _without_end(sink: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Both tools hand on the mark that ends the output, too."""

    def consume(data: bytes) -> None:
        rest = data.replace(b"\x04", b"")
        if rest:
            sink(rest)

    return consume
