"""docs/flashing.md: every command in it is one, with these options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from borne import boards, cli

PAGE = (Path(__file__).parents[2] / "docs" / "flashing.md").read_text()
COMMANDS = sorted(
    set(re.findall(r"`(borne [^`]+)`", PAGE)) | set(re.findall(r"^(borne .+)$", PAGE, re.MULTILINE))
)


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line):
    name, *words = line.split()[1:]
    group = typer.main.get_command(cli.app)
    command = group.get_command(None, name)
    if words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words if word.startswith("-")} <= known
    named = {word for word in words if re.fullmatch(r"[a-z0-9]+-[a-z0-9-]+", word)}
    assert named <= set(boards.names())


def test_options_that_the_page_names():
    group = typer.main.get_command(cli.app)
    known = set()
    for name in ("flash", "image", "backup", "restore"):
        for parameter in group.get_command(None, name).params:
            known |= {*parameter.opts, *parameter.secondary_opts}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE)) <= known
