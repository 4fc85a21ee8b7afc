"""Whether an asset can have a node at all: its settings as the node checks them, its board, its radio."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from borne import boards, radio, wiring
from borne.errors import BoardError, BorneError, SettingError
from borne.fleet.model import Asset
from borne.fleet.provision import check_settings

# Stand-ins for what an asset's site and identity will say.
_LINK: Final[Mapping[str, Mapping[str, Any]]] = {
    "wifi": {"wifi_ssid": "x", "mqtt_host": "x"},
    "lorawan": {"dev_eui": "0" * 16},
}


def settings(asset: Asset) -> dict[str, Any]:
    """What the asset alone says of its node's settings."""
    found = {"name": asset.node_name, "kind": asset.kind, "link": asset.link, **asset.settings}
    if asset.profile is not None:
        found["profile"] = asset.profile
    if asset.street:
        found["place"] = asset.street
    if asset.region is not None and asset.link == "lorawan":
        found["region"] = asset.region
    return found


def complete(asset: Asset) -> dict[str, Any]:
    """The same with the node's defaults, and stand-ins for what its identity says. Raises SettingError."""
    return check_settings({**settings(asset), **_LINK.get(asset.link, {})})


def check(asset: Asset) -> None:
    """Raises SettingError or BoardError, whose first word is the field."""
    given = settings(asset)
    # A street of one kind has a few combinations; name and place were checked with the list's cells.
    given |= {"name": "x", "place": ""}
    problem = _problem(tuple(sorted((name, _frozen(value)) for name, value in given.items())), asset.link)
    if problem is None and asset.board is not None:
        problem = _board_problem(
            asset.board, asset.kind, wiring.chosen(complete(asset)), asset.link, asset.region
        )
    if problem is not None:
        raise SettingError(problem)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@lru_cache(maxsize=4096)
def _problem(given: tuple[tuple[str, Any], ...], link: str) -> str | None:
    try:
        check_settings(
            {**{n: list(v) if isinstance(v, tuple) else v for n, v in given}, **_LINK.get(link, {})}
        )
    except SettingError as error:
        return str(error)
    return None


@lru_cache(maxsize=256)
def _board_problem(
    name: str, kind: str, sensors: tuple[str, ...], link: str, region: str | None
) -> str | None:
    try:
        board = boards.load(name)
    except BoardError as error:
        return f"board: {str(error).removeprefix('board ')}"
    lacks = wiring.lacking(board.pins.wired(), kind, sensors)
    if lacks:
        return f"board: {board.name} {lacks}: choose another"
    if link != "lorawan":
        return None
    if board.radio is None:
        return f"board: {board.name} has no LoRa radio: choose another, or the link wifi"
    return _radio_problem(board, region)


def _radio_problem(board: boards.Board, region: str | None) -> str | None:
    assert board.radio is not None
    if region is None or board.radio.mhz is None:
        return None
    try:
        first, last = radio.span_mhz(region)
    except BorneError as error:
        return f"region: {error}"
    low, high = board.radio.mhz
    if low <= first <= last <= high:
        return None
    return (
        f"region: {region} lies at {first:g} to {last:g} MHz; the radio of {board.name} is built for "
        f"{low} to {high} MHz"
    )
