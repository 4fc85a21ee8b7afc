"""Databases for tests of the registry: SQLite always, a real PostgreSQL of our own where it is installed."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Debian keeps the server's programs out of the PATH.
_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
INITDB = shutil.which("initdb") or next(
    (str(folder / "initdb") for folder in _FOLDERS if (folder / "initdb").exists()), None
)
KINDS = ["sqlite", "postgresql"] if INITDB else ["sqlite"]


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Gives a function that makes an empty database each time it is called, and returns its URL."""
    names = (f"r{number}" for number in itertools.count())
    if kind == "sqlite":
        yield lambda: f"sqlite:///{folder / next(names)}.sqlite"
        return
    with _server(folder) as (sockets, user):

        def make() -> str:
            name = next(names)
            _as_user(["createdb", "-h", str(sockets), "-U", "fleet", name], user)
            return f"postgresql+psycopg://fleet@/{name}?host={sockets}"

        yield make


@contextmanager
def _server(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """PostgreSQL refuses to run as root, so root lends it to nobody."""
    user = "nobody" if os.geteuid() == 0 else None
    # A socket's path has at most 107 bytes (unix(7)), and pytest's folders are deep.
    place = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        if user:
            os.chown(place, pwd.getpwnam(user).pw_uid, -1)
        data = place / "data"
        _as_user(["initdb", "-D", str(data), "-U", "fleet", "-A", "trust", "-E", "UTF8", "--no-sync"], user)
        options = f"-k {place} -c listen_addresses= -c fsync=off"
        _as_user(["pg_ctl", "-D", str(data), "-w", "-l", str(place / "log"), "-o", options, "start"], user)
        try:
            yield place, user
        finally:
            _as_user(["pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(place)


def _as_user(command: list[str], user: str | None) -> None:
    assert INITDB
    program = str(Path(INITDB).resolve().with_name(command[0]))
    done = subprocess.run(
        [program, *command[1:]],
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed")
