"""What a node of the list is given: EUIs, a key of its own, and secrets out of the vault or a technician's hands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sql

from borne.errors import RegistryError, SettingError
from borne.fleet import credentials, identity
from borne.fleet.registry import nodes
from borne.fleet.registry.nodes import Standing
from borne.fleet.registry.sites import Site
from borne.fleet.registry.store import Registry, Stamp
from borne.fleet.vault import Vault, fingerprint
from borne.fleet.wanted import Wanted

_NO_JOIN_EUI: Final = "0" * 16


def euis(db: sql.Connection, link: str, mac: str, site: Site) -> tuple[str | None, str | None]:
    """DevEUI and JoinEUI of a board. Raises RegistryError where the site's range is used up."""
    if link != "lorawan":
        return None, None
    join_eui = site.join_eui or _NO_JOIN_EUI
    if site.dev_eui_range is None:
        return identity.dev_eui_of(mac), join_eui
    first, last = identity.eui_range(site.dev_eui_range)
    used = nodes.last_of_range(db, first, last)
    following = int(used, 16) + 1 if used else int(first, 16)
    if following > int(last, 16):
        raise RegistryError(f"site {site.name}: its DevEUI range {first}..{last} is used up")
    return f"{following:016x}", join_eui


def new_key(registry: Registry, vault: Vault, standing: Standing, name: str, stamp: Stamp) -> bytes:
    """A key for a board that is reserved, in vault and registry before anybody has it."""
    secret = identity.new_app_key() if name == "app_key" else identity.new_password()
    owner = standing.dev_eui or standing.mac or ""
    record = vault.issue(owner, name, secret)
    with registry.writing() as db:
        nodes.key_issued(db, standing, record, fingerprint(secret), stamp)
    return secret


def outside(vault: Vault, given: Mapping[str, bytes], found: Wanted, site: Site) -> dict[str, bytes]:
    """Secrets that the technician gave, or that the vault has for the site and gives."""
    at_hand = {name: value for name, value in given.items() if name in found.needed | found.optional}
    for name in found.needed - at_hand.keys():
        record = vault.latest(site.owner, name)
        if record is not None and not vault.is_locked:
            at_hand[name] = vault.read(record)
    return at_hand


def prepared(found: Wanted, secrets: Mapping[str, bytes]) -> dict[str, bytes]:
    """In the node's form. The node's own AppKey is bytes already. Raises SettingError."""
    if ("mqtt_cert" in secrets) != ("mqtt_key" in secrets):
        raise SettingError("mqtt_cert: the client certificate and mqtt_key, its key, belong together")
    return {
        name: value if name == found.key else credentials.form(name, value) for name, value in secrets.items()
    }


def missing(name: str, file: str = "--mqtt-ca FILE") -> str:
    """What to say of a secret from outside that nobody gives. `file`: by which option a certificate comes."""
    option = file if name == "mqtt_ca" else f"set BORNE_{name.upper()}"
    return (
        f"{name}: is missing: {option}, or keep it in the vault with `borne fleet site` and unlock that "
        "(borne fleet vault unlock)"
    )
