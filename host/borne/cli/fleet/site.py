"""borne fleet site: what all assets of a site share."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from borne import boards, broker
from borne.cli.fleet.options import JsonOption, RegistryOption, VaultOption
from borne.errors import RegistryError, SettingError
from borne.fleet import credentials, identity, lorawan, setting
from borne.fleet.registry import Registry, open_registry, sites
from borne.fleet.vault import open_vault
from borne_node.settings import REGIONS


def site(
    name: Annotated[str | None, typer.Argument(help="The site; without it, all of them are listed.")] = None,
    board: Annotated[str | None, typer.Option(help="Board of assets that name none.")] = None,
    region: Annotated[str | None, typer.Option(help="lorawan: EU868, US915, ...")] = None,
    network: Annotated[str | None, typer.Option(help="lorawan: network of assets that name none.")] = None,
    join_eui: Annotated[str | None, typer.Option(help="lorawan: of the join server.")] = None,
    dev_eui_range: Annotated[
        str | None, typer.Option(help="lorawan: FIRST..LAST or FIRST/BITS to allot, not the chips' own.")
    ] = None,
    fair_use_s: Annotated[int | None, typer.Option(help="lorawan: airtime a day in seconds.")] = None,
    antenna_dbi: Annotated[int | None, typer.Option(help="lorawan: gain of the antennas.")] = None,
    wifi_ssid: Annotated[str | None, typer.Option(help="wifi: name of the network.")] = None,
    wifi_open: Annotated[
        bool | None, typer.Option("--wifi-open/--wifi-closed", help="wifi: without a password.")
    ] = None,
    mqtt: Annotated[
        str | None, typer.Option(help="wifi: mqtt[s]://[USER@]HOST[:PORT]; without USER an account a node.")
    ] = None,
    mqtt_open: Annotated[
        bool | None, typer.Option("--mqtt-open/--mqtt-accounts", help="wifi: the broker asks for no account.")
    ] = None,
    ntp_host: Annotated[str | None, typer.Option(help="wifi: time server.")] = None,
    wifi_password_file: Annotated[
        Path | None, typer.Option(help="File (0600) with it, kept in the vault.")
    ] = None,
    mqtt_ca: Annotated[
        Path | None, typer.Option(help="CA certificate of the broker, kept in the vault.")
    ] = None,
    registry: RegistryOption = None,
    vault: VaultOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show or set what the assets of a site share. An empty text ("") clears a value."""
    options: dict[str, Any] = {
        "board": board,
        "region": region,
        "network": network,
        "join_eui": join_eui,
        "dev_eui_range": dev_eui_range,
        "fair_use_s": fair_use_s,
        "antenna_dbi": antenna_dbi,
        "wifi_ssid": wifi_ssid,
        "wifi_open": wifi_open,
        "mqtt": mqtt,
        "mqtt_open": mqtt_open,
        "ntp_host": ntp_host,
    }
    given = {key: value for key, value in options.items() if value is not None}
    files = {"wifi_password": wifi_password_file, "mqtt_ca": mqtt_ca}
    secrets = {key: path for key, path in files.items() if path is not None}
    if name is None and (given or secrets):
        raise RegistryError("site: say which one")
    _check(given)
    store = open_registry(registry, create=bool(given))
    if name is not None:
        for key, path in secrets.items():
            _keep(name, key, path, vault)
        if given or secrets:
            _put(store, name, given, secrets)
    with store.reading() as db:
        _print(list(sites.find(db)) if name is None else [sites.get(db, name)], as_json)


def _put(store: Registry, name: str, given: dict[str, Any], secrets: Collection[str]) -> None:
    cleared = {key: None if value == "" else value for key, value in given.items()}
    behind = setting.change_site(store, name, cleared, secrets)
    if behind:
        one = len(behind) == 1
        print(
            f"borne: {len(behind)} node{'' if one else 's'} of {name} {'has' if one else 'have'} to be told of it: "
            f"borne provision {behind[0]}{'' if one else ', ...'} (borne fleet list shows them)",
            file=sys.stderr,
        )


def _check(given: dict[str, Any]) -> None:
    """Raises BoardError, SettingError."""
    if given.get("board"):
        boards.load(given["board"])
    if given.get("region"):
        given["region"] = given["region"].upper()
        if given["region"] not in REGIONS:
            raise SettingError(f"region: {boards.unknown(given['region'], REGIONS)}")
    if given.get("join_eui"):
        given["join_eui"] = lorawan.eui("join_eui", given["join_eui"])
    if given.get("dev_eui_range"):
        given["dev_eui_range"] = "..".join(identity.eui_range(given["dev_eui_range"]))
    if given.get("mqtt"):
        broker.parse(given["mqtt"])


def _keep(name: str, what: str, path: Path, vault: Path | None) -> None:
    if what == "wifi_password":
        secret = credentials.read_password(what, path)
    else:
        secret = credentials.read_file(what, path, private=False)
    open_vault(vault).issue(sites.Site(name).owner, what, secret)
    print(f"borne: {what} of {name} is in the vault; {path} may be deleted", file=sys.stderr)


def _print(found: list[sites.Site], as_json: bool) -> None:
    for one in found:
        every = dataclasses.asdict(one).items()
        content = {key: value for key, value in every if value is not None and value is not False}
        if as_json:
            typer.echo(json.dumps(content, ensure_ascii=False))
        else:
            typer.echo(
                ", ".join(f"{key} {value}" if key != "name" else str(value) for key, value in content.items())
            )
