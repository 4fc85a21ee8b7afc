"""Where MicroPython images come from: a file, the folders of `image.search_path`, or the project's download site.

What is fetched is verified before it enters the cache, and the SHA-256 of every image is written down when it is first
used: a file of the same name with other bytes is refused from then on, wherever it comes from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path, user_data_path

from borne.boards import Board
from borne.errors import ImageError
from borne.flashing import image
from borne.flashing.image import MicroPython
from borne.shipping import shipped

Progress = Callable[[float], None]

# Another server with the same files, as an office without a way out may have; and no fetching at all.
SITE_VARIABLE: Final = "BORNE_IMAGE_SITE"
OFFLINE_VARIABLE: Final = "BORNE_OFFLINE"
# The largest flash that a board file may have is 32 MB; images have 2.
_MOST: Final = 32 << 20
_CHUNK: Final = 1 << 16
# Of silence; the whole of a slow download may take as long as it likes.
TIMEOUT_SECONDS: Final = 20.0
_LOCK_LINE: Final = re.compile(r"^([0-9a-f]{64})  (\S+)$")


def obtain(
    board: Board,
    explicit: str | Path | None = None,
    *,
    progress: Progress | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> MicroPython:
    """The verified image for a board: the given file, one that is on this computer, or one that is fetched now.

    `progress` gets 0.0 to 1.0 while it is fetched. Raises ImageError that says what to do: the file is missing and
    cannot be fetched, is damaged, is for another chip, or is another than the one that was first used.
    """
    if explicit is not None:
        return image.load(image.find_image(board, explicit), board)
    path = image.found(board)
    if path is None:
        path = _fetch(board, progress or (lambda fraction: None), timeout)
    loaded = image.load(path, board)
    _compare_with_lock(path.name, path.read_bytes(), path)
    return loaded


def lock_file() -> Path:
    """Hashes of the images that were used on this computer, one a line, as sha256sum writes and checks them."""
    return user_data_path("borne") / "images.sha256"


def _fetch(board: Board, progress: Progress, timeout: float) -> Path:
    if os.environ.get(OFFLINE_VARIABLE):
        raise ImageError(
            f"{_missing(board)}; {OFFLINE_VARIABLE} is set, so it is not fetched; {_by_hand(board)}"
        )
    url = _url(board)
    target = user_cache_path("borne") / "images" / board.image_file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{target.parent}: {error.strerror}: no place for images") from None
    with _partial(target) as (path, descriptor):
        with _explained(board, url), os.fdopen(descriptor, "wb") as file:
            for piece in _download(url, progress, timeout):
                file.write(piece)
        data = path.read_bytes()
        try:
            image.split(board.image_file, data, board)
        except ImageError as error:
            raise ImageError(f"{url}: what came is no good: {error}") from None
        _compare_with_lock(board.image_file, data, url)
        path.replace(target)
    return target


def _url(board: Board) -> str:
    site = os.environ.get(SITE_VARIABLE)
    url = f"{site.rstrip('/')}/{board.image_file}" if site else board.image_url
    if not url.startswith(("https://", "http://")):
        raise ImageError(f"{SITE_VARIABLE}: {site!r} is no https:// address")
    return url


@contextlib.contextmanager
def _partial(target: Path) -> Iterator[tuple[Path, int]]:
    """A file beside the target that is gone afterwards, unless it was given the target's name."""
    descriptor, name = tempfile.mkstemp(prefix=target.name, suffix=".part", dir=target.parent)
    path = Path(name)
    try:
        yield path, descriptor
    finally:
        path.unlink(missing_ok=True)


def _download(url: str, progress: Progress, timeout: float) -> Iterator[bytes]:
    # Loaded where something is fetched: it is large, and most flashes fetch nothing.
    import http.client
    import urllib.request

    request = urllib.request.Request(url, headers={"User-Agent": "borne"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
        expected = int(answer.headers.get("Content-Length") or 0)
        done = 0
        while piece := answer.read(_CHUNK):
            done += len(piece)
            if max(done, expected) > _MOST:
                raise ImageError(f"{url}: is larger than any flash; it is no MicroPython image")
            yield piece
            progress(done / expected if expected else 0.0)
        if done < expected:
            raise http.client.IncompleteRead(b"", expected - done)


@contextlib.contextmanager
def _explained(board: Board, url: str) -> Iterator[None]:
    """Whatever goes wrong on the way as one line."""
    import http.client
    import urllib.error

    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            raise ImageError(f"{url}: the site has no such image; {_by_hand(board)}") from None
        raise ImageError(f"{url}: the site answers {error.code} {error.reason}; {_by_hand(board)}") from None
    except http.client.IncompleteRead:
        raise ImageError(f"{url}: broke off before its end; run the command again") from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise ImageError(
            f"{_missing(board)} and cannot be fetched: {_reason(error)}; {_by_hand(board)}"
        ) from None


def _reason(error: Exception) -> str:
    import socket
    import urllib.error

    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "the site does not answer"
    if isinstance(cause, socket.gaierror):
        return "no such host, or no network"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _missing(board: Board) -> str:
    return f"{board.image_file} is missing"


def _by_hand(board: Board) -> str:
    return f"get it from {board.image_page} and give it with --image, or put it into {image.search_path()[0]}"


def _compare_with_lock(name: str, data: bytes, source: object) -> None:
    digest = hashlib.sha256(data).hexdigest()
    for file in (shipped("boards") / "images.sha256", lock_file()):
        known = _locked(file).get(name)
        if known == digest:
            return
        if known is not None:
            raise ImageError(
                f"{source}: is not the {name} that {file} knows (SHA-256 {digest[:16]}..., there {known[:16]}...): "
                "it was changed; remove it to fetch it again, or that line if you trust the new one"
            )
    _append(lock_file(), f"{digest}  {name}\n")


def _locked(file: Path) -> dict[str, str]:
    """Name to hash; the first line of a name counts."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"{file}: {getattr(error, 'strerror', None) or 'is no list of hashes'}") from None
    found: dict[str, str] = {}
    for line in lines:
        match = _LOCK_LINE.match(line)
        if match:
            found.setdefault(match[2], match[1])
    return found


def _append(file: Path, line: str) -> None:
    # One write of one line: two commands at once both find their lines whole.
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise ImageError(f"{file}: {error.strerror}: the hash of an image cannot be kept") from None
    try:
        os.write(descriptor, line.encode("ascii"))
    finally:
        os.close(descriptor)
