"""New firmware onto a node that runs: only what differs, and all of it at once or not at all.

One round trip asks which files differ, each by its SHA-256. They are sent into the folder `deploy` beside the firmware,
compared, and listed in `deploy/ready`, which appears by a rename: that is the moment of the switch. Before it the
node has its old firmware; after it the new one, for main.py finishes the list before it loads anything else
(borne_node/switch.py). A deploy that was cut goes on where it was.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from borne.errors import BorneError, DeviceError, ReadBackError, ReplError
from borne.flashing import tree
from borne.flashing.repl import WINDOW_BITS, Repl, deflated
from borne_node import __version__ as FIRMWARE_VERSION
from borne_node import switch

Progress = Callable[[float], None]

_MAIN: Final = "main.py"
_PACKAGE: Final = "borne_node"
_NOT_AS_SENT: Final = "the list is not as it was sent"
_SWITCH: Final = f"{_PACKAGE}/switch.mpy"
# 72 bits of a SHA-256 are 12 characters of base64.
_HASH_BYTES: Final = 9
# What says that a file is right already goes up, for all of them, and not down with its name. A file that differs is
# taken for right once in 281,474,976,710,656.
_KEY_BYTES: Final = 6
# A piece of a file, and what is sent at once: the node's heap has a hundred KiB at the prompt, and holds both.
_PIECE: Final = 4096
_BATCH: Final = 4096
_BLOCK: Final = 4096
# What littlefs needs beside the files: the folder's two blocks, copies of directories that are compacted.
_SPARE_BLOCKS: Final = 6
_TRIES: Final = 3
# LittleFS now and then compacts for seconds, and a hundred files are hashed in two.
_SECONDS: Final = 20

_BEGIN: Final = f"try:os.mkdir({switch.FOLDER!r})\nexcept OSError:pass\nz=1\n"
# In capitals what Repl.write_file has small letters for.
_HELPERS: Final = f"""\
import os,sys
from io import BytesIO
from hashlib import sha256
from binascii import b2a_base64,crc32
try:from deflate import DeflateIO as D
except ImportError:D=0
r=[]
Q=memoryview(bytearray(1024))
def t(*a):r.append(' '.join(a))
def B(s):return str(b2a_base64(s),'ascii').strip()
def S(p):
 s=sha256()
 with open(p,'rb') as f:
  while 1:
   k=f.readinto(Q)
   if not k:break
   s.update(Q[:k])
 return s.digest()
def H(p):
 h=B(S(p)[:{_HASH_BYTES}])
 t(h,p)
 return h
def o(p):
 global g
 g=open(p,'wb')
def W(s):g.write(D(BytesIO(s),1,{WINDOW_BITS}).read() if D else s)
def c(p,x):
 global z
 g.close()
 h=H(p)
 z=z and h==x
def e():
 k,n=0,''
 for x in r:
  x=n+x
  k=crc32(x.encode(),k)
  print(x,end='')
  n='\\n'
 r.clear()
 print()
 print(k)
"""
_FREE: Final = """\
v=os.statvfs('/')
t('#free',str(v[0]*v[3] if v[3]<=v[2] else 0))"""
# `d` has the keys of the files that this firmware has. Those that are there as they should be are bits, others a line.
_LIST: Final = f"""\
K={{d[i:i+{_KEY_BYTES}]:i//{_KEY_BYTES} for i in range(0,len(d),{_KEY_BYTES})}}
G=bytearray(len(K)//8+1)
def F(p):
 h=S(p)
 i=K.get(sha256(h+p.encode()).digest()[:{_KEY_BYTES}])
 if i is None:t(B(h[:{_HASH_BYTES}]),p)
 else:G[i>>3]|=1<<(i&7)
def l(d):
 try:x=list(os.ilistdir(d))
 except OSError:return
 for i in x:
  (l if i[1]&0x4000 else F)(d+'/'+i[0])
for p in ({_MAIN!r},{tree.VERSION_FILE!r}):
 try:F(p)
 except OSError:pass
l({_PACKAGE!r})
l({switch.FOLDER!r})
t('#right',B(G))
{_FREE}
t('#mpy',str(getattr(sys.implementation,'_mpy',0)&255))
if D:t('#deflate')
try:
 with open({tree.BOARD_FILE!r},'rb') as f:t('#board',B(f.read()))
except OSError:pass
"""
# A main.py of another version; one that is no text is none that finishes anything.
_FINISHES: Final = f"""\
try:
 with open({_MAIN!r}) as f:print({switch.READY!r} in f.read())
except (OSError,UnicodeError):print(False)
"""
# The list appears by a rename, as it was sent; that is the switch, and what follows carries it out. `z`: every file
# that came with it is what was sent.
_SWITCHING: Final = f"""\
if z:
 p={switch.READY!r}
 with open(p+'.new','wb') as f:f.write(y)
 with open(p+'.new','rb') as f:
  if f.read()!=y:raise OSError({_NOT_AS_SENT!r})
 os.rename(p+'.new',p)
 from {_PACKAGE} import switch
 switch.complete()
 for p in %r:H(p)
 t('#switched')
"""
_SWITCHED: Final = "#switched"


@dataclass(frozen=True)
class Deployed:
    """`changed` and `removed`: paths on the node; `bytes`: of the new files that were sent, uncompressed."""

    port: str
    version: str
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    bytes: int


@dataclass
class _Found:
    """What the node has: path to hash, and what else the list says, by its names."""

    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def firmware(self) -> dict[str, str]:
        return {path: said for path, said in self.files.items() if not path.startswith(f"{switch.FOLDER}/")}

    @property
    def staged(self) -> dict[str, str]:
        """Hash to number of what an earlier deploy left."""
        start = f"{switch.FOLDER}/"
        names = {
            path.removeprefix(start): said for path, said in self.files.items() if path.startswith(start)
        }
        return {said: name for name, said in names.items() if name.isdecimal()}


def deploy(board: str | Repl, *, progress: Progress | None = None, restart: bool = True) -> Deployed:
    """Give the node on a port, or behind a Repl that is open, this borne's firmware, and restart it.

    `progress` gets 0.0 to 1.0. Settings, board.json and all that the node keeps stay. Whatever is raised, the node
    has either all of its old firmware or all of the new one: PortError, NoAnswer, ReplError (its filesystem is too
    full, its MicroPython too old, the link broke), ReadBackError, ImageError (the firmware does not compile).
    """
    if isinstance(board, Repl):
        return _deploy(board, progress or _nobody, restart)
    with Repl(board) as opened:
        return _deploy(opened, progress or _nobody, restart)


def _nobody(fraction: float) -> None:
    pass


def _deploy(board: Repl, progress: Progress, restart: bool) -> Deployed:
    with _working_again(board):
        found = _look(board)
        wanted = _wanted(board, found)
        if f"{switch.READY}" in found.files:
            # An earlier deploy was cut while it switched.
            _complete(board)
            found = _look(board)
        has = found.firmware
        changed = [path for path in sorted(wanted) if has.get(path) != _hash(wanted[path])]
        removed = tuple(sorted(path for path in has if path not in wanted))
        if changed or removed:
            _check_mpy(board, wanted, found)
            _prepare(board, found, wanted, changed)
            _compare(board, wanted, _send(board, wanted, changed, removed, found, progress))
        progress(1.0)
        if restart:
            board.reset()
        sent = sum(len(wanted[path]) for path in changed)
        return Deployed(board.port, FIRMWARE_VERSION, tuple(changed), removed, sent)


@contextmanager
def _working_again(board: Repl) -> Iterator[None]:
    """A node that got nothing goes on with what it had, instead of standing at its prompt."""
    try:
        yield
    except BorneError:
        with suppress(BorneError):
            board.reset()
        raise


def _look(board: Repl) -> _Found:
    found = _Found()
    ours = list(tree.firmware_files().items())
    for line in _told(board, _HELPERS + _LIST, b"".join(_key(path, content) for path, content in ours)):
        name, _, rest = line.partition(" ")
        if name.startswith("#"):
            found.facts[name[1:]] = rest
        else:
            found.files[rest] = name
    right = base64.b64decode(found.facts["right"])
    for n, (path, content) in enumerate(ours):
        if right[n >> 3] >> (n & 7) & 1:
            found.files[path] = _hash(content)
    return found


def _told(board: Repl, code: str, data: bytes = b"") -> list[str]:
    """The lines that `t` and `H` gather while the code runs, arrived as they were said. Raises ReplError."""
    said = board.run_whole(code + "\ne()", _SECONDS, data).rstrip("\n")
    text, _, check = said.rpartition("\n")
    if check.strip() != str(binascii.crc32(text.encode())):
        raise ReplError(f"{board.port}: what the node said came garbled: check the cable and try again")
    return text.splitlines()


def _wanted(board: Repl, found: _Found) -> dict[str, bytes]:
    """The firmware for this node: its board.json is part of what its version file vouches for."""
    if "board" not in found.facts:
        raise ReplError(
            f"{board.port}: MicroPython without our firmware: flash the board first (borne flash)"
        )
    firmware = dict(tree.firmware_files())
    raw = base64.b64decode(found.facts["board"])
    return firmware | {tree.VERSION_FILE: tree.version_json(firmware | {tree.BOARD_FILE: raw})}


def _check_mpy(board: Repl, wanted: Mapping[str, bytes], found: _Found) -> None:
    # py/persistentcode.h: byte 1 of a .mpy is its version, and a MicroPython loads no other.
    ours, theirs = wanted[_SWITCH][1], int(found.facts["mpy"])
    if ours != theirs:
        raise ReplError(
            f"{board.port}: its MicroPython loads bytecode of version {theirs}, the firmware is version {ours}: "
            "flash the board again (borne flash)"
        )


def _prepare(board: Repl, found: _Found, wanted: Mapping[str, bytes], changed: Sequence[str]) -> None:
    """Room for the new files, a main.py that finishes a switch, nothing in the folder that is of no use."""
    hashes = {_hash(wanted[path]) for path in changed}
    useless = [
        path
        for path, said in found.files.items()
        if path.startswith(f"{switch.FOLDER}/") and said not in hashes
    ]
    for path in useless:
        board.run_whole(f"os.remove({path!r})")
    _check_room(board, int(found.facts["free"]), useless, [wanted[path] for path in changed], found)
    if _SWITCH not in found.files or (_MAIN in changed and board.run(_FINISHES).strip() != "True"):
        for path in (_SWITCH, _MAIN):
            board.write_file(path, wanted[path])
        board.run_whole(_HELPERS)


def _check_room(
    board: Repl, free: int, useless: Sequence[str], contents: Sequence[bytes], found: _Found
) -> None:
    if useless:
        free = int(_told(board, _FREE)[0].partition(" ")[2])
    there = found.staged
    blocks = sum(-(-len(content) // _BLOCK) for content in contents if _hash(content) not in there)
    needed = (blocks + _SPARE_BLOCKS) * _BLOCK
    if needed > free:
        raise ReplError(
            f"{board.port}: the node's filesystem has {free >> 10} KB left, the deploy needs {needed >> 10}; nothing "
            "was changed: remove files that are not the firmware's (borne exec), or flash the board again"
        )


def _send(
    board: Repl,
    wanted: Mapping[str, bytes],
    changed: Sequence[str],
    removed: Sequence[str],
    found: _Found,
    progress: Progress,
) -> dict[str, str]:
    """Put the new files into the folder and switch to them; gives path to hash of what the node has then.

    What lies in the folder already is not sent again. The switch travels with the last of them.
    """
    there = found.staged
    left = dict(there)
    numbers = {path: left.pop(said) for path in changed if (said := _hash(wanted[path])) in left}
    free = (name for name in map(str, range(len(changed) + len(there))) if name not in there.values())
    missing = [path for path in changed if path not in numbers]
    numbers |= dict(zip(missing, free, strict=False))
    for _ in range(_TRIES):
        files = {f"{switch.FOLDER}/{numbers[path]}": wanted[path] for path in missing}
        *runs, final = _runs(files, _switching(numbers, removed), packed="deflate" in found.facts)
        hashes: dict[str, str] = {}
        for done, (code, data) in enumerate(runs, 1):
            hashes |= _hashes(_told(board, code, data))
            progress(done / (len(runs) + 1))
        if all(said == _hash(files[path]) for path, said in hashes.items()):
            told = _finish(board, *final)
            hashes |= _hashes(told)
            if _SWITCHED in told:
                return {path: hashes[path] for path in numbers}
        missing = [
            path for path in missing if hashes.get(f"{switch.FOLDER}/{numbers[path]}") != _hash(wanted[path])
        ]
    raise ReadBackError(
        f"{board.port}: {missing[0]} on the node is not what was sent, {_TRIES} times; the old firmware stands: "
        "check the cable, or try --via ampy"
    )


def _finish(board: Repl, code: str, data: bytes) -> list[str]:
    try:
        return _told(board, code, data)
    except ReplError as error:
        if _NOT_AS_SENT not in str(error):
            raise
        raise ReadBackError(f"{board.port}: {_NOT_AS_SENT}; the old firmware stands: deploy again") from None


def _runs(
    files: Mapping[str, bytes], last: tuple[str, bytes], *, packed: bool
) -> Iterator[tuple[str, bytes]]:
    """Code and data that write these files and do what comes last, a few KiB at once: each round trip costs as much
    as half of one.
    """
    code, data = _BEGIN, b""
    for path, content in files.items():
        code += f"o({path!r})\n"
        for at in range(0, len(content), _PIECE):
            piece = content[at : at + _PIECE]
            piece = deflated(piece) if packed else piece
            if data and len(data) + len(piece) > _BATCH:
                yield code, data
                code, data = _BEGIN, b""
            code += f"W(d[{len(data)}:{len(data) + len(piece)}])\n"
            data += piece
        code += f"c({path!r},{_hash(content)!r})\n"
    more, what = last
    if data and len(data) + len(what) > _BATCH:
        yield code, data
        code, data = _BEGIN, b""
    yield f"{code}y=d[{len(data)}:]\n{more}", data + what


def _switching(numbers: Mapping[str, str], removed: Sequence[str]) -> tuple[str, bytes]:
    """Code and data that switch to what was sent."""
    # A module may have been a package before: what goes, goes first.
    lines = [f"-{path}\n" for path in removed] + [f"+{number} {path}\n" for path, number in numbers.items()]
    return _SWITCHING % list(numbers), "".join(lines).encode()


def _complete(board: Repl) -> None:
    board.run_whole(f"from {_PACKAGE} import switch\nswitch.complete()", _SECONDS)


def _compare(board: Repl, wanted: Mapping[str, bytes], there: Mapping[str, str]) -> None:
    for path, found in there.items():
        if found != _hash(wanted[path]):
            raise DeviceError(f"{board.port}: {path} on the node is not what was sent; deploy again")


def _hashes(lines: Sequence[str]) -> dict[str, str]:
    """Path to hash, out of what the node's `H` said."""
    parts = (line.partition(" ") for line in lines)
    return {path: found for found, _, path in parts}


def _key(path: str, content: bytes) -> bytes:
    return hashlib.sha256(hashlib.sha256(content).digest() + path.encode()).digest()[:_KEY_BYTES]


def _hash(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()[:_HASH_BYTES]).decode()
