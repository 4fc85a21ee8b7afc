"""What travels with the package beside its code: board files, firmware."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from borne.errors import BoardError


def shipped(name: str) -> Path:
    """A folder or file that travels with the package: inside a wheel, or at the root of a checkout."""
    package = Path(str(files("borne")))
    for root in (package / "_data", package.parents[1]):
        if (root / name).exists():
            return root / name
    raise BoardError(f"this installation of borne is incomplete: {name} is missing; install it again")
