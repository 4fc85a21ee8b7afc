"""The files of a node's filesystem: which of them are the firmware, what is in them, and which are the node's own.

Whoever talks to a running node needs no more than this, so nothing is imported here that builds images.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from borne.flashing import bytecode
from borne.shipping import shipped
from borne_node import __version__ as FIRMWARE_VERSION
from borne_node import settings, switch

BOARD_FILE: Final = "board.json"
VERSION_FILE: Final = "version.json"
_PACKAGE: Final = "borne_node"
# Words for people, and the reading of earlier windows: no node loads them.
_HOST_ONLY: Final = frozenset({Path("report/meaning.py"), Path("report/reader.py")})
# What a flash replaces; everything else in the filesystem is the node's own and outlives it.
_FIRMWARE: Final = ("main.py", BOARD_FILE, VERSION_FILE)


def _source() -> Path:
    return Path(str(files(_PACKAGE)))


@lru_cache(maxsize=1)
def firmware_files() -> Mapping[str, bytes]:
    """Path on the node to content: every module of borne_node compiled to .mpy, main.py as source.

    main.py stays source because MicroPython starts no main.mpy (ports/esp32/main.c, mp_task).
    Raises ImageError when a module does not compile.
    """
    package = _source()
    sources = sorted(path for path in package.rglob("*.py") if path.relative_to(package) not in _HOST_ONLY)
    content = bytecode.compile_all(sources, package.parent)
    content["main.py"] = shipped("firmware/main.py").read_bytes()
    return content


def version_json(content: Mapping[str, bytes]) -> bytes:
    """The version file for all the other files of the firmware, board.json among them."""
    # `files` tells builds of one version apart: SHA-256 over names and content, first 8 bytes.
    digest = hashlib.sha256()
    for name in sorted(content):
        digest.update(f"{name}\0{len(content[name])}\0".encode())
        digest.update(content[name])
    version = {
        "borne_node": FIRMWARE_VERSION,
        "files": digest.hexdigest()[:16],
        "settings": settings.VERSION,
    }
    return json.dumps(version, sort_keys=True, separators=(",", ":")).encode()


def is_firmware(path: str) -> bool:
    """Whether a file of the node's filesystem belongs to the firmware, so that a flash replaces it."""
    return path in _FIRMWARE or path.startswith(_PACKAGE + "/")


def is_nodes_own(path: str) -> bool:
    """Whether a file outlives a flash. MicroPython's boot.py does not: it runs first and could keep the node from
    starting; nor does what a cut cable left half-written, nor a deploy that waits for its switch: main.py would finish
    it, with files of then over those of now.
    """
    if is_firmware(path) or path.startswith(switch.FOLDER + "/"):
        return False
    return path != "boot.py" and not path.endswith(".new")
