"""The options of `borne provision` that are settings and secrets of one node, one row each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from borne import broker
from borne.cli.key_file import refuse_old
from borne.errors import SettingError
from borne.fleet import credentials, lorawan

# Name, type, help. Those that are settings have the setting's name.
_SETTINGS: Final = (
    ("kind", str, "parking, light or fill."),
    ("name", str, "Name of the node; part of its MQTT topics."),
    ("wifi_ssid", str, "wifi: name of the network."),
    ("mqtt", str, "wifi: broker mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS."),
    ("place", str, "Where it stands, for people."),
    ("profile", str, "parking: zone, bay, day or live."),
    ("link", str, "How it reports: wifi (default) or lorawan."),
    ("ntp_host", str, "wifi: time server."),
    ("dev_eui", str, "lorawan: 16 hexadecimal digits; a new random one if not given."),
    ("join_eui", str, "lorawan: of the join server, zeros for none."),
    ("region", str, "lorawan: EU868 (default), US915, ..."),
    ("fair_use_s", int, "lorawan: airtime a day in seconds, 0 for the law's limit only."),
    ("antenna_dbi", int, "lorawan: gain of the antenna, 2 if not given."),
    ("sensor", str, "What it measures with; a wrong name lists what fits the kind."),
    ("bays", int, "parking: bays that it watches, 1 to 8."),
    ("withheld_bays", str, "parking: reserved or private bays, never reported: 2,5."),
    ("floor_mm", int, "parking by a ranger: from it to the ground of the empty bay, in mm."),
    ("earth_nt", int, "parking: strength of the earth's magnetic field there, in nT."),
    ("dimmer", str, "light: how the lamp follows presence: none, pwm, dc10 (0-10 V)."),
    ("dim_percent", int, "light: brightness with nobody there, in percent."),
    ("dim_hold_s", int, "light: seconds that the lamp stays bright."),
    ("refractory_s", int, "light: seconds until presence counts again."),
    ("presence", str, "light: pir or ld2410."),
    ("lamp", str, "light: meter of the lamp: none, ina226, pzem004t."),
    ("lamp_w", int, "light: what the lamp draws at full light, in W."),
    ("night_off", bool, "light: the lamp is off for part of the night on purpose."),
    ("depth_mm", int, "fill: depth of the container in mm."),
    ("offset_mm", int, "fill: sensor above the rim, in mm."),
    ("container", str, "fill: column, bin, wheels or igloo."),
    ("tilt", str, "fill: what feels it lean: none or lis3dh."),
)
_SECRETS: Final = (
    ("wifi_open", bool, "The network has no password."),
    ("wifi_password_file", Path, "File (0600) that holds it."),
    ("mqtt_password_file", Path, "File (0600) that holds it."),
    ("mqtt_ca", Path, "CA certificate of the broker, PEM or DER."),
    ("mqtt_cert", Path, "Client certificate, PEM or DER."),
    ("mqtt_key", Path, "Its private key (0600), PEM or DER."),
    ("app_key_file", Path, "File (0600) with 32 hexadecimal digits."),
    ("new_app_key", Path, "Make a new AppKey and keep it in this new file (0600)."),
    ("secrets_file", Path, 'TOML (0600): wifi_password = "...", ...'),
)
_PANEL: Final = "One node without a list"
_NOT_SETTINGS: Final = ("mqtt", "dev_eui", "join_eui", "withheld_bays")


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose `**given` are these options, as typer reads them off its signature."""
    own = [
        one for one in signature(function, eval_str=True).parameters.values() if one.kind != one.VAR_KEYWORD
    ]
    more = [_option(*row) for row in (*_SETTINGS, *_SECRETS)]
    function.__signature__ = signature(function).replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    function.__annotations__ = {one.name: one.annotation for one in (*own, *more)} | {"return": None}
    return function


def _option(name: str, kind: Any, text: str) -> Parameter:
    flag = f"--{name.replace('_', '-')}"
    option = typer.Option(flag, help=text, rich_help_panel=_PANEL)
    annotation = Annotated[kind | None, option]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def settings(given: dict[str, Any]) -> dict[str, Any]:
    """The settings that the options stand for. Raises SettingError."""
    link = given["link"] or "wifi"
    for name in ("kind", "name"):
        if given[name] is None:
            raise SettingError(f"{name}: is missing: give an ASSET of the list, or --kind and --name")
    if link == "wifi" and (given["wifi_ssid"] is None or given["mqtt"] is None):
        missing = "wifi-ssid" if given["wifi_ssid"] is None else "mqtt"
        raise SettingError(f"{missing}: is missing: a node reports by Wi-Fi unless --link lorawan is given")
    found = {name: given[name] for name, _, _ in _SETTINGS if name not in _NOT_SETTINGS}
    found["link"] = link
    if given["withheld_bays"] is not None:
        found["withheld_bays"] = _numbers("withheld_bays", given["withheld_bays"])
    if given["mqtt"] is not None:
        found |= at_broker(given["mqtt"])
    found |= _identity(link, given["dev_eui"], given["join_eui"])
    return {name: value for name, value in found.items() if value is not None}


def at_broker(url: str) -> dict[str, Any]:
    """The settings that a broker's URL stands for. Raises SettingError; a password in it is not repeated."""
    at = broker.parse(url)
    return {"mqtt_host": at.host, "mqtt_port": at.port, "mqtt_tls": at.tls, "mqtt_user": at.user}


def _identity(link: str, dev_eui: str | None, join_eui: str | None) -> dict[str, Any]:
    """The EUIs as settings; a LoRaWAN node without a DevEUI gets a new one."""
    if dev_eui is None and link == "lorawan":
        dev_eui = lorawan.new_dev_eui()
    given = {"dev_eui": dev_eui, "join_eui": join_eui}
    return {name: lorawan.eui(name, value) for name, value in given.items() if value is not None}


def _numbers(name: str, given: str) -> list[int]:
    try:
        return sorted({int(part) for part in given.split(",") if part.strip()})
    except ValueError:
        raise SettingError(f"{name}: {given!r} is no list of numbers such as 2,5") from None


def secrets(given: dict[str, Any], link: str, user: bool) -> dict[str, bytes]:
    """The secrets that a node with this link needs; `user`: it logs in to the broker.

    What no option and no variable gives is asked for on a terminal. Raises SettingError.
    """
    found = from_files(given)
    if link == "lorawan":
        _app_key(found, given["app_key_file"], given["new_app_key"])
        return found
    for name in ("new_app_key", "app_key_file"):
        if given[name] is not None:
            raise SettingError(f"{name}: a node by Wi-Fi has no AppKey; was --link lorawan meant?")
    if given["wifi_open"]:
        found.pop("wifi_password", None)
    else:
        _password(found, "wifi_password", given["wifi_password_file"], "give --wifi-open where it has none")
    if user:
        _password(found, "mqtt_password", given["mqtt_password_file"], "give mqtt:// without a user")
    return found


def at_hand(given: dict[str, Any]) -> dict[str, bytes]:
    """The shared secrets that files and the environment hold; nobody is asked. Raises SettingError."""
    found = from_files(given)
    for name in ("wifi_password", "mqtt_password"):
        if given[f"{name}_file"] is not None:
            found[name] = credentials.read_password(name, given[f"{name}_file"])
        elif f"BORNE_{name.upper()}" in os.environ:
            found.setdefault(name, os.fsencode(os.environ[f"BORNE_{name.upper()}"]))
    return found


def from_files(given: dict[str, Any]) -> dict[str, bytes]:
    """Secrets file, certificates and key. Raises SettingError."""
    found = credentials.read_table(given["secrets_file"]) if given["secrets_file"] else {}
    for name in ("mqtt_ca", "mqtt_cert", "mqtt_key"):
        if given[name] is not None:
            found[name] = credentials.read_file(name, given[name], private=name == "mqtt_key")
    return found


def _app_key(found: dict[str, bytes], file: Path | None, new: Path | None) -> None:
    if new is None:
        _password(found, "app_key", file, "give --new-app-key FILE for a new one")
    elif file is not None or "app_key" in found:
        raise SettingError("new_app_key: there is a key already: give one or the other")
    else:
        refuse_old(new)
        found["app_key"] = lorawan.new_app_key()


def _password(found: dict[str, bytes], name: str, file: Path | None, otherwise: str) -> None:
    """File, secrets file, environment, prompt: the first that is there counts."""
    variable = f"BORNE_{name.upper()}"
    if file is not None:
        found[name] = credentials.read_password(name, file)
    elif name in found:
        return
    elif variable in os.environ:
        found[name] = os.fsencode(os.environ[variable])
    elif sys.stdin.isatty():
        found[name] = typer.prompt(name.replace("_", " "), hide_input=True, err=True).encode()
    else:
        option = f"--{name.replace('_', '-')}-file"
        raise SettingError(f"{name}: is missing: give {option}, set {variable}, or {otherwise}")
    if not found[name]:
        raise SettingError(f"{name}: is empty: {otherwise}")
