"""Provisions boards in processes that die by SIGKILL at a step that the test chooses. A program of its own.

It loads everything once, then forks for each order: a line of JSON {"port", "asset", "at"} on stdin. The child counts
what it does at its seams (a file of the fleet opened, linked, renamed or removed; a statement or commit of the
registry; every eighth write to the serial line) and kills itself before the step numbered `at`. The answer is a line:
{"killed": whether, "steps": how many there were in a run that came to its end, "outcome": what that run said}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import serial
from sqlalchemy import Engine, event

from borne.errors import BorneError
from borne.fleet import vault
from borne.fleet.commission import Bench, commission, for_asset
from borne.fleet.registry import open_registry

# There are hundreds of writes to the line, each like the next; the few steps on the disk are where keys get lost.
EVERY = 8
FILES = ("open", "os.link", "os.rename", "os.remove")


class Counter:
    def __init__(self, folder: str, at: int) -> None:
        self.steps = 0
        self._writes = 0
        self._at = at
        self._folder = folder

    def step(self, *_: Any) -> None:
        self.steps += 1
        if self.steps == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        sys.addaudithook(self._audit)
        event.listen(Engine, "before_cursor_execute", self.step)
        event.listen(Engine, "commit", self.step)
        write = serial.Serial.write

        def counted(line: serial.Serial, data: bytes) -> Any:
            self._writes += 1
            if self._writes % EVERY == 0:
                self.step()
            return write(line, data)

        serial.Serial.write = counted

    def _audit(self, what: str, arguments: tuple[Any, ...]) -> None:
        if what in FILES and str(arguments[0]).startswith(self._folder):
            self.step()


def provision(folder: Path, order: dict[str, Any]) -> dict[str, Any]:
    counter = Counter(str(folder), order["at"])
    counter.watch()
    bench = Bench(
        open_registry(str(folder / "registry.sqlite")), vault.open_vault(folder / "vault"), self_test=False
    )
    try:
        outcome = commission(bench, order["port"], for_asset(order["asset"])).outcome
    except BorneError as error:
        outcome = f"error: {error}"
    return {"killed": False, "steps": counter.steps, "outcome": outcome}


def main() -> None:
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            answer = provision(folder, json.loads(line))
            os.write(writer, json.dumps(answer).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        print(json.dumps({"killed": True}) if killed else said.decode(), flush=True)


if __name__ == "__main__":
    main()
