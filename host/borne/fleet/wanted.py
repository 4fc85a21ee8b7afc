"""What an asset's node shall be told: the asset's own word, then its site's, then the node's defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sql

from borne import broker
from borne.errors import SettingError
from borne.fleet import checks
from borne.fleet.model import Asset
from borne.fleet.provision import check_settings
from borne.fleet.registry import nodes, sites
from borne.fleet.registry.assets import ANY, Filter
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.sites import Site

_FROM_SITE: Final = ("board", "region", "network")


@dataclass(frozen=True)
class Wanted:
    """`settings` are complete but for the slot; `key` is the secret that is the node's own, None where it has none;
    `needed` are secrets that come from outside, `optional` those that may.
    """

    asset: Asset
    settings: dict[str, Any]
    key: str | None
    needed: frozenset[str]
    optional: frozenset[str]


def merged(asset: Asset, site: Site) -> Asset:
    """The asset with what its site says where it says nothing itself; network and region are those of LoRaWAN."""
    names = _FROM_SITE if asset.link == "lorawan" else _FROM_SITE[:1]
    given = {name: getattr(site, name) for name in names if getattr(asset, name) is None}
    return replace(asset, **given) if any(value is not None for value in given.values()) else asset


def standings(db: sql.Connection, wanted: Filter = ANY) -> Iterator[Standing]:
    """As nodes.find gives them, each asset `merged` with its site: for whoever is told of nodes."""
    of = {one.name: one for one in sites.find(db)}
    for one in nodes.find(db, wanted):
        site = of.get(one.asset.site or "")
        yield replace(one, asset=merged(one.asset, site)) if site else one


def of(standing: Standing, site: Site) -> Wanted:
    """For a node whose identity is settled. Raises SettingError that names what is missing."""
    asset = merged(standing.asset, site)
    given = checks.settings(asset)
    if asset.link == "lorawan":
        return _by_radio(asset, given, standing, site)
    return _by_wifi(asset, given, site)


def _by_radio(asset: Asset, given: dict[str, Any], standing: Standing, site: Site) -> Wanted:
    given |= {"dev_eui": standing.dev_eui, "join_eui": standing.join_eui}
    for name in ("fair_use_s", "antenna_dbi"):
        if getattr(site, name) is not None:
            given.setdefault(name, getattr(site, name))
    return Wanted(asset, check_settings(given), "app_key", frozenset(), frozenset())


def _by_wifi(asset: Asset, given: dict[str, Any], site: Site) -> Wanted:
    for name, value in (("wifi_ssid", site.wifi_ssid), ("mqtt", site.mqtt)):
        if value is None:
            raise SettingError(
                f"{name}: is missing: borne fleet site {site.name or 'NAME'} --{name.replace('_', '-')} ..."
            )
    at = broker.parse(str(site.mqtt))
    own_account = not at.user and not site.mqtt_open
    given |= {"wifi_ssid": site.wifi_ssid, "mqtt_host": at.host, "mqtt_port": at.port, "mqtt_tls": at.tls}
    given["mqtt_user"] = asset.node_name if own_account else at.user
    if site.ntp_host is not None:
        given.setdefault("ntp_host", site.ntp_host)
    needed = set() if site.wifi_open else {"wifi_password"}
    if at.user:
        needed.add("mqtt_password")
    if at.tls:
        needed.add("mqtt_ca")
    optional = frozenset({"mqtt_cert", "mqtt_key"}) if at.tls else frozenset()
    key = "mqtt_password" if own_account else None
    return Wanted(asset, check_settings(given), key, frozenset(needed), optional)
