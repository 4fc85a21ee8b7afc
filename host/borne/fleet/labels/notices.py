"""The privacy notice of each profile in use, to be put up beside the nodes: made by borne.privacy.record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from borne.errors import SettingError
from borne.fleet.model import Asset, Node
from borne.privacy.record.blocks import pdf
from borne.privacy.record.documents import Fleet, documents
from borne_node import settings
from borne_node.errors import SettingsError

_validate: Any = settings.validate
# What a notice does not depend on, but the settings of a node must have.
_ANY = {"name": "node", "link": "lorawan", "dev_eui": "0" * 16}


def notices(nodes: Sequence[Node], language: str, facts: Mapping[str, str]) -> dict[str, bytes]:
    """A PDF (A5) for each profile that the nodes have, by the profile's name. Raises SettingError, UserError."""
    used = {str(one): one for one in map(_settings, (node.asset for node in nodes))}
    fleet = Fleet(tuple(used.values()), facts)
    return {
        one.name.removeprefix("notice-"): pdf(one.blocks, one.title, one.paper)
        for one in documents(fleet, language)
        if one.name.startswith("notice-")
    }


def _settings(asset: Asset) -> Mapping[str, Any]:
    given = {**asset.settings, **_ANY, "kind": asset.kind}
    if asset.profile:
        given["profile"] = asset.profile
    try:
        return dict(_validate(given))
    except SettingsError as error:
        raise SettingError(f"{asset.asset}: {error}") from None
