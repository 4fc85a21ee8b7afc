"""Nodes as JSON, one object each, in a list or one a line: how they come out of one command and into another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from borne.errors import SettingError
from borne.fleet.lorawan import eui
from borne.fleet.model import Asset, Node
from borne_node.secrets import SECRETS

_OF_ASSET: Final = tuple(field.name for field in dataclasses.fields(Asset))
_OF_NODE: Final = tuple(field.name for field in dataclasses.fields(Node) if field.name != "asset")


def as_json(node: Node) -> dict[str, Any]:
    """A node and its asset as one flat object."""
    asset = {name: getattr(node.asset, name) for name in _OF_ASSET}
    asset["settings"] = dict(node.asset.settings)
    return asset | {name: getattr(node, name) for name in _OF_NODE}


def parse(text: str, where: str) -> list[Node]:
    """Nodes out of a JSON list, or out of one object a line. Raises SettingError: `where`, which node, what."""
    return [_node(given, f"{where}, node {number}") for number, given in enumerate(_objects(text, where), 1)]


def _objects(text: str, where: str) -> Iterator[Any]:
    if text.lstrip().startswith("["):
        try:
            yield from json.loads(text)
        except ValueError:
            raise SettingError(f"{where}: is no JSON") from None
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                raise SettingError(f"{where}, line {number}: is no JSON") from None


def _node(given: Any, where: str) -> Node:
    if not isinstance(given, dict):
        raise SettingError(f"{where}: is no JSON object")
    # As `borne fleet list --json` names it, among much else that is of no use here.
    given = {"name": given.get("node"), **given}
    for name in given:
        if name in SECRETS:
            raise SettingError(f"{where}: {name} is a secret and has no place here")
    _check({name: value for name, value in given.items() if name in (*_OF_ASSET, *_OF_NODE)}, where)
    asset = {name: given[name] for name in _OF_ASSET if name in given}
    asset["settings"] = MappingProxyType(dict(given.get("settings") or {}))
    node = {name: given[name] for name in _OF_NODE if given.get(name) is not None}
    for name in ("dev_eui", "join_eui"):
        if name in node:
            node[name] = eui(f"{where}: {name}", node[name])
    return Node(Asset(**asset), **node)


def _check(given: Mapping[str, Any], where: str) -> None:
    for name in ("asset", "kind", "name"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise SettingError(f"{where}: {name} is missing")
    for name, value in given.items():
        numeric = name in ("latitude", "longitude")
        wanted = dict if name == "settings" else (int, float) if numeric else str
        if value is not None and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise SettingError(f"{where}: {name} is no {'number' if numeric else 'text'}")
