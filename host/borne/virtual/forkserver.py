"""A small single-threaded process that forks a child per request: a start costs a millisecond, not an interpreter.

Run as a program: `forkserver.py DESCRIPTOR KIND ARGUMENT`. Requests are JSON messages with descriptors attached
(SCM_RIGHTS); answers are JSON numbers. It is the parent of all its children, so only it may signal them: a process
number cannot be reused while its parent has not waited for it. When the socket closes, it ends them and itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import signal
import socket
import sys
import termios
from collections.abc import Callable, Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FLASH = 4  # descriptor of a board's flash, see `_become` and life.py
_HIGH = 64  # above any descriptor that a child is given
Child = Callable[[list[Any]], int]


def serve(channel: socket.socket, child: Child) -> None:
    alive: set[int] = set()
    try:
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, 65536, 8)
            if not message:
                return
            request = json.loads(message)
            if request["do"] == "spawn":
                pid = os.fork()
                if pid == 0:
                    channel.close()
                    _become(child, descriptors, request["arguments"])
                alive.add(pid)
                for descriptor in descriptors:
                    os.close(descriptor)
                channel.send(json.dumps(pid).encode())
            else:
                channel.send(json.dumps(_end(alive, request["pid"], request["do"] == "kill")).encode())
    except (ConnectionError, KeyboardInterrupt):
        pass
    finally:
        for pid in list(alive):
            _end(alive, pid, True)


def _end(alive: set[int], pid: int, kill: bool) -> int:
    """The exit status, negative for a signal; 0 for a child that is long gone."""
    if pid not in alive:
        return 0
    alive.discard(pid)
    if kill:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(child: Child, descriptors: list[int], arguments: list[Any]) -> None:
    """Turn into the child: descriptors 0, 1, 2 are the first given (its terminal), the others follow from 3 on."""
    status = 70  # EX_SOFTWARE
    try:
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        raised = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _HIGH) for descriptor in descriptors]
        for number, descriptor in enumerate([raised[0], raised[0], raised[0], *raised[1:]]):
            os.dup2(descriptor, number)
        os.closerange(2 + len(descriptors), _HIGH + 2 * len(descriptors) + 8)
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        status = child(arguments)
    finally:
        os._exit(status & 0xFF)


def _micropython(folder: str) -> Child:
    sys.path.insert(0, folder)
    import micropython_run  # type: ignore[import-not-found]

    def run(arguments: list[Any]) -> int:
        os.environ["MICROPYPATH"] = arguments.pop(0)
        # shim/esp32.py reads its flash from memory; the mapping outlives this function, as it must.
        flash = mmap.mmap(_FLASH, 0)
        os.environ["BORNE_FLASH"] = str(ctypes.addressof(ctypes.c_char.from_buffer(flash)))
        return int(micropython_run.run_main(arguments) or 0)

    return run


def _executable(path: str) -> Child:
    def run(arguments: list[Any]) -> int:
        os.environ["MICROPYPATH"] = arguments.pop(0)
        os.execv(path, arguments)

    return run


def _rom(_: str) -> Child:
    from borne.virtual import rom

    return rom.run


_KINDS: dict[str, Callable[[str], Child]] = {
    "micropython": _micropython,
    "executable": _executable,
    "rom": _rom,
}


def main(arguments: Sequence[str]) -> None:
    channel = socket.socket(fileno=int(arguments[0]))
    os.environ["TZ"] = "UTC"
    serve(channel, _KINDS[arguments[1]](arguments[2]))


_LIBC = ctypes.CDLL(None)

if __name__ == "__main__":
    # Python puts this file's folder first, where names such as `select` would hide the library's own.
    main(sys.argv[1:])
