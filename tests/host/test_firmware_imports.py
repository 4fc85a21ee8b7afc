"""Every file of the firmware imports on CPython, and keeps the rules that no linter of ours knows."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

FIRMWARE = Path(__file__).parents[2] / "firmware"
FILES = sorted(FIRMWARE.rglob("*.py"))
HARDWARE = {"machine", "network", "esp32"}


def name(path: Path) -> str:
    return path.relative_to(FIRMWARE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_imports_on_cpython(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name(path), path)
    assert spec and spec.loader
    before = set(sys.modules)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert not {"machine", "esp32"} & (set(sys.modules) - before)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_keeps_to_its_room(path: Path) -> None:
    modules = imported(path)
    assert not modules & {"random", "urandom"}, "noise and keys come from the DRBG"
    if path.name not in ("hardware.py", "main.py"):
        assert not modules & HARDWARE, "only main.py and hardware.py touch the board"


def test_main_is_a_screenful() -> None:
    assert len((FIRMWARE / "main.py").read_text().splitlines()) < 50
