"""A complete node as one image: MicroPython, LittleFS with compiled firmware, board and settings, NVS with secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from borne import radio, wiring
from borne.boards import Board, unknown
from borne.errors import SettingError
from borne.flashing import images, nvs, tree, volume
from borne.flashing.image import MicroPython, Region
from borne.flashing.nvs import Record
from borne_node import settings
from borne_node.errors import SettingsError
from borne_node.secrets import SECRETS

FILESYSTEM: Final = "vfs"

NVS: Final = "nvs"

# The firmware carries no annotations (MicroPython parses and drops them at a price); here are its types.
_validate: Callable[[dict[str, Any]], dict[str, Any]] = settings.validate
_canonical: Callable[[dict[str, Any]], bytes] = settings.canonical


@dataclass(frozen=True)
class Kept:
    """What a node has that no flash may take: files of its own by path, and records in NVS."""

    files: Mapping[str, bytes] = field(default_factory=dict)
    records: tuple[Record, ...] = ()


@dataclass(frozen=True)
class Identity:
    """What makes a board this node: settings, and the secrets that they need, by their names.

    Both as `borne.fleet.provision.check` returns them: complete, checked, secrets in the node's form. Secrets stay out
    of the repr.
    """

    settings: Mapping[str, Any]
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def node_files(board: Board) -> dict[str, bytes]:
    """All files of a fresh node of this board."""
    content = dict(tree.firmware_files())
    content[tree.BOARD_FILE] = board.node_json()
    content[tree.VERSION_FILE] = tree.version_json(content)
    return content


def filesystem(content: Mapping[str, bytes], size: int) -> bytes:
    """A LittleFS partition of `size` bytes that holds these files. Same files, same bytes.

    Raises ImageError when they do not fit.
    """
    return volume.build(content, size).data


def regions(
    board: Board,
    explicit: str | Path | None = None,
    *,
    identity: Identity | None = None,
    keep: Kept | None = None,
) -> tuple[Region, ...]:
    """Everything that makes a bare board a node, by rising offset. Same inputs, same bytes.

    `identity` makes it a provisioned one: settings in the filesystem, secrets in NVS and nowhere else. `keep` is what
    an earlier flash of the same board holds. Without an identity NVS is not among the regions and stays as it is.
    Raises ImageError (missing, damaged, for another chip, too large), BoardError and SettingError (the board cannot be
    that node).
    """
    return of_image(board, images.obtain(board, explicit), identity=identity, keep=keep)


def of_image(
    board: Board, micropython: MicroPython, *, identity: Identity | None = None, keep: Kept | None = None
) -> tuple[Region, ...]:
    """`regions` of a MicroPython image that is loaded already."""
    kept = keep or Kept()
    content = {**kept.files, **node_files(board)}
    made = list(micropython.regions)
    if identity is not None:
        complete = _settings(board, identity)
        content[settings.FILE] = settings_file(identity)
        where = micropython.nvs()
        records = nvs.with_secrets(list(kept.records), identity.secrets, complete["slot"])
        made.append(Region(NVS, where.offset, nvs.build(records, where.size)))
    partition = micropython.partition(FILESYSTEM)
    built = volume.build(content, partition.size)
    made.append(Region(FILESYSTEM, partition.offset, built.data, built.blocks))
    return tuple(sorted(made, key=lambda region: region.offset))


def settings_file(identity: Identity) -> bytes:
    """settings.json of this node. Raises SettingError."""
    try:
        return _canonical(_validate(dict(identity.settings)))
    except SettingsError as error:
        raise SettingError(str(error)) from None


def _settings(board: Board, identity: Identity) -> dict[str, Any]:
    try:
        complete = _validate(dict(identity.settings))
    except SettingsError as error:
        raise SettingError(str(error)) from None
    wiring.check(board, complete)
    if complete["link"] == "lorawan":
        check_radio(board, complete["region"])
    for name in identity.secrets:
        if name not in SECRETS:
            raise SettingError(unknown(name, SECRETS))
    return complete


def check_radio(board: Board, region: str) -> None:
    """Raises SettingError where the board has no LoRa radio, or one for other frequencies."""
    if board.radio is None:
        raise SettingError(f"link: board {board.name} has no LoRa radio")
    first, last = radio.span_mhz(region)
    low, high = board.radio.mhz or (0, last)
    if not low <= first <= last <= high:
        raise SettingError(
            f"region: {region} lies at {first:g} to {last:g} MHz; the radio of board {board.name} is built for "
            f"{low} to {high} MHz"
        )


def merge(parts: Sequence[Region]) -> bytes:
    """One file to be written at offset 0, as `esptool merge-bin` makes them; 0xFF where no region lies.

    It ends with the last block that matters: what follows is free space of the filesystem.
    """
    end = max(_end(part) for part in parts)
    merged = bytearray(b"\xff" * end)
    for part in parts:
        merged[part.offset : part.end] = part.data
    return bytes(merged[:end])


def _end(part: Region) -> int:
    if part.blocks is None:
        return part.end
    return part.offset + (max(part.blocks) + 1) * volume.BLOCK
