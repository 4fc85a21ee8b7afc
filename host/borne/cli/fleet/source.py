"""The nodes that a fleet command is about."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

from borne.errors import SettingError, UserError
from borne.fleet import nodes as exchange
from borne.fleet.labels import short
from borne.fleet.model import Node


def read(path: Path) -> list[Node]:
    """Nodes of a file of JSON, or of standard input where it is `-`. Raises UserError, SettingError."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None
    return exchange.parse(text, str(path))


def chosen(nodes: Sequence[Node], assets: Sequence[str], site: str | None) -> list[Node]:
    """Those of a site, or those that `assets` name (asset, node, DevEUI or code of a label), in the list's order.

    Raises SettingError: nobody has that name, or nobody stands at that site.
    """
    found = [node for node in nodes if site is None or node.asset.site == site]
    if site is not None and not found:
        sites = sorted({node.asset.site for node in nodes if node.asset.site})
        raise SettingError(f"site: there is no node at {site!r}{_near(site, sites)}")
    wanted = set()
    for name in assets:
        matching = short.find(name, found)
        if not matching:
            raise SettingError(
                f"{name}: is no asset of the list{_near(name, [n.asset.asset for n in found])}"
            )
        wanted |= {id(node) for node in matching}
    return [node for node in found if not assets or id(node) in wanted]


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
