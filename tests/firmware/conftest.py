"""Each firmware test file runs twice: in a fresh MicroPython process, and under CPython.

A file that says `# micropython only` or `# cpython only` among its first lines runs on that interpreter alone;
one that says `# heap SIZE` gets that instead of the heap below.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATH = [
    ROOT / "firmware",
    ROOT / "tests" / "firmware",
    ROOT / "tests" / "fakes",
    ROOT / "host" / "borne" / "virtual",
]
# w: in machine words, so twice the bytes of a 32-bit board. Tests, fakes and simulated chips share this heap with
# the firmware; what the firmware alone needs is measured by test_heap.py.
HEAP = "200wK"
LIMIT_S = 300


def micropython() -> str:
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        raise RuntimeError("no micropython: `make test` installs one from the lock, or put one on the PATH")
    return found


def heap(path: Path) -> str:
    found = re.search(r"^# heap (\w+)$", "\n".join(path.read_text().splitlines()[:5]), re.MULTILINE)
    return found[1] if found else HEAP


def runs_on(path: Path, interpreter: str) -> bool:
    head = path.read_text().splitlines()[:5]
    others = {"micropython", "cpython"} - {interpreter}
    return not any(f"# {other} only" in head for other in others)


class MicroPythonFile(pytest.File):
    outcomes: dict[str, str | None] | None = None
    died = ""

    def collect(self) -> Iterator[pytest.Item]:
        for node in ast.parse(self.path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield MicroPythonTest.from_parent(self, name=f"{node.name}[micropython]")

    def run(self) -> dict[str, str | None]:
        if self.outcomes is None:
            command = [micropython(), "-X", f"heapsize={heap(self.path)}"]
            command += [str(ROOT / "tests/firmware/runner.py"), str(self.path)]
            done = subprocess.run(
                [*command, *map(str, PATH)], capture_output=True, text=True, errors="replace", timeout=LIMIT_S
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("@test ")]
            results = [json.loads(line[6:]) for line in lines]
            self.outcomes = {result["test"]: result["failure"] for result in results}
            self.died = f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return self.outcomes


class MicroPythonTest(pytest.Item):
    def runtest(self) -> None:
        assert isinstance(self.parent, MicroPythonFile)
        name = self.name.partition("[")[0]
        failure = self.parent.run().get(name, f"did not run: {self.parent.died}")
        if failure is not None:
            raise AssertionError(failure)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class NoTests(pytest.Module):
    def collect(self) -> list[pytest.Item]:
        return []


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.parent == Path(__file__).parent and not runs_on(module_path, "cpython"):
        return NoTests.from_parent(parent, path=module_path)
    return None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    ours = file_path.parent == Path(__file__).parent and file_path.match("test_*.py")
    if ours and runs_on(file_path, "micropython"):
        return MicroPythonFile.from_parent(parent, path=file_path)
    return None
