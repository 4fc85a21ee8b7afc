"""The command line's frame: what every command has in common."""

from __future__ import annotations

import subprocess
import sys

import pytest

from borne.cli import COMMANDS

# Hides a library from a fresh interpreter, as if its extra had not been installed.
WITHOUT = "import sys; sys.modules[{0!r}] = None; sys.argv[1:] = {1!r}; from borne.cli import main; main()"


def borne(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "borne", *arguments], capture_output=True, text=True, timeout=60
    )


def test_version() -> None:
    assert borne("--version").stdout.startswith("borne 0.")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    done = borne(name, "--help")
    assert done.returncode == 0
    assert f"borne {name}" in done.stdout and "not installed" not in done.stdout


def test_an_unknown_command_is_the_users_mistake() -> None:
    done = borne("flsh")
    assert done.returncode == 2
    assert "flsh" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_extra_is_named() -> None:
    command = [
        sys.executable,
        "-c",
        WITHOUT.format("msgspec", ["decode", "-", "--to", "csv"]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "borne[columns]" in done.stderr


def test_a_reader_that_goes_away_is_no_failure() -> None:
    done = subprocess.run(
        f"{sys.executable} -m borne boards --json | head -n 1", shell=True, capture_output=True, text=True
    )
    assert done.stderr == ""
