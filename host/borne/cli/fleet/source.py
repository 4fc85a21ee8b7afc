"""The nodes that a fleet command is about, and their keys: registry and vault, or files in their place."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from borne.cli.fleet.options import asking
from borne.errors import SettingError, UserError
from borne.fleet import credentials, vault, wanted
from borne.fleet import nodes as exchange
from borne.fleet.labels import short
from borne.fleet.model import Node
from borne.fleet.networks.describe import NotYet
from borne.fleet.registry import open_registry


def read(path: Path | None, registry: str | None) -> list[Node]:
    """Every node of the registry; or of a file of JSON, of standard input where it is `-`. Raises UserError."""
    if path is None:
        with open_registry(registry, create=False).reading() as db:
            return [standing.node for standing in wanted.standings(db)]
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
    named = set()
    for name in assets:
        matching = short.find(name, found)
        if not matching:
            raise SettingError(
                f"{name}: is no asset of the list{_near(name, [n.asset.asset for n in found])}"
            )
        named |= {id(node) for node in matching}
    return [node for node in found if not assets or id(node) in named]


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def keys(
    path: Path | None, folder: Path | None, identity: Path | None, who: str | None
) -> Callable[[Node], bytes]:
    """The key of a node out of the vault, which is unlocked; or out of a file. Raises UserError."""
    if path is not None:
        return _listed(path)
    opened = vault.open_vault(folder, who)
    opened.unlock(identity, asking())

    def key_of(node: Node) -> bytes:
        if node.key is None:
            raise NotYet(f"{node.asset.asset}: has no key yet: borne provision {node.asset.asset}")
        return opened.read(node.key)

    return key_of


def _listed(path: Path) -> Callable[[Node], bytes]:
    """A file (0600) of lines `ASSET KEY`, the first word an asset, a name or a DevEUI.

    No error holds more of a line than its number.
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(credentials.read_file("keys", path).splitlines(), 1):
        words = line.split(None, 1)
        if not words or words[0].startswith(b"#"):
            continue
        name = words[0].decode("utf-8", "replace").casefold()
        if len(words) != 2 or name in found:
            problem = "has no key" if len(words) != 2 else "names its node a second time"
            raise SettingError(f"keys: {path}, line {number}: {problem}")
        found[name] = words[1].strip()

    def key_of(node: Node) -> bytes:
        for name in (node.asset.asset, node.name, node.dev_eui):
            if name and name.casefold() in found:
                return found[name.casefold()]
        raise SettingError(f"{node.asset.asset}: has no key in {path}")

    return key_of
