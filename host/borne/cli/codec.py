"""borne codec: decoders and documentation for others, generated from the report table."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from borne.decoding import codecs, dictionary, repositories
from borne.errors import UserError

# mypy reads members of literals only.
_For = StrEnum("_For", {name: name for name in (*codecs.SERVERS, "device-repository", "docs")})  # type: ignore[misc]


def codec(
    server: Annotated[_For, typer.Option("--for", help="Whom it is for.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File; for device-repository a folder. Default: stdout."),
    ] = None,
) -> None:
    """Write the JavaScript codec of a network server, the device repositories' folders, or the data dictionary."""
    if server == "device-repository":
        if output is None:
            raise UserError("device-repository writes several files: name a folder with -o")
        for path, text in repositories.device_repository().items():
            _write(output / path, text)
        return
    text = dictionary.markdown() if server == "docs" else codecs.javascript(str(server))
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
