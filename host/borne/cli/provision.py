"""borne provision: tell a node what it is and how it reaches its broker."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from borne.errors import SettingError
from borne.fleet import credentials, lorawan
from borne.fleet.provision import check_settings
from borne.fleet.provision import provision as write

_PORTS = {"mqtt": 1883, "mqtts": 8883}  # IANA: mqtt, secure-mqtt


def provision(
    port: Annotated[
        str, typer.Option("--port", "-p", help="Device, socket://host:port or rfc2217://host:port.")
    ],
    kind: Annotated[str, typer.Option(help="parking, light or fill.")],
    name: Annotated[str, typer.Option(help="Name of the node; part of its MQTT topics.")],
    wifi_ssid: Annotated[str | None, typer.Option(help="wifi: name of the network.")] = None,
    mqtt: Annotated[
        str | None, typer.Option(help="wifi: broker mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS.")
    ] = None,
    place: Annotated[str | None, typer.Option(help="Where it stands, for people.")] = None,
    profile: Annotated[str | None, typer.Option(help="parking: zone, bay, day or live.")] = None,
    link: Annotated[str, typer.Option(help="How it reports: wifi or lorawan.")] = "wifi",
    ntp_host: Annotated[str | None, typer.Option(help="wifi: time server.")] = None,
    dev_eui: Annotated[
        str | None, typer.Option(help="lorawan: 16 hexadecimal digits; a new random one if not given.")
    ] = None,
    join_eui: Annotated[str | None, typer.Option(help="lorawan: of the join server, zeros for none.")] = None,
    region: Annotated[str | None, typer.Option(help="lorawan: EU868 (default), US915, ...")] = None,
    fair_use_s: Annotated[
        int | None, typer.Option(help="lorawan: airtime a day in seconds, 0 for the law's limit only.")
    ] = None,
    antenna_dbi: Annotated[
        int | None, typer.Option(help="lorawan: gain of the antenna, 2 if not given.")
    ] = None,
    sensor: Annotated[
        str | None, typer.Option(help="What it measures with; a wrong name lists what fits the kind.")
    ] = None,
    bays: Annotated[int | None, typer.Option(help="parking: bays that it watches, 1 to 8.")] = None,
    withheld_bays: Annotated[
        str | None, typer.Option(help="parking: reserved or private bays, never reported: 2,5.")
    ] = None,
    floor_mm: Annotated[
        int | None, typer.Option(help="parking by a ranger: from it to the ground of the empty bay, in mm.")
    ] = None,
    earth_nt: Annotated[
        int | None, typer.Option(help="parking: strength of the earth's magnetic field there, in nT.")
    ] = None,
    dimmer: Annotated[
        str | None, typer.Option(help="light: how the lamp follows presence: none, pwm, dc10 (0-10 V).")
    ] = None,
    dim_percent: Annotated[
        int | None, typer.Option(help="light: brightness with nobody there, in percent.")
    ] = None,
    dim_hold_s: Annotated[int | None, typer.Option(help="light: seconds that the lamp stays bright.")] = None,
    refractory_s: Annotated[
        int | None, typer.Option(help="light: seconds until presence counts again.")
    ] = None,
    presence: Annotated[str | None, typer.Option(help="light: pir or ld2410.")] = None,
    lamp: Annotated[
        str | None, typer.Option(help="light: meter of the lamp: none, ina226, pzem004t.")
    ] = None,
    lamp_w: Annotated[
        int | None, typer.Option(help="light: what the lamp draws at full light, in W.")
    ] = None,
    night_off: Annotated[
        bool | None, typer.Option(help="light: the lamp is off for part of the night on purpose.")
    ] = None,
    depth_mm: Annotated[int | None, typer.Option(help="fill: depth of the container in mm.")] = None,
    offset_mm: Annotated[int | None, typer.Option(help="fill: sensor above the rim, in mm.")] = None,
    container: Annotated[str | None, typer.Option(help="fill: column, bin, wheels or igloo.")] = None,
    tilt: Annotated[str | None, typer.Option(help="fill: what feels it lean: none or lis3dh.")] = None,
    wifi_open: Annotated[bool, typer.Option("--wifi-open", help="The network has no password.")] = False,
    wifi_password_file: Annotated[Path | None, typer.Option(help="File (0600) that holds it.")] = None,
    mqtt_password_file: Annotated[Path | None, typer.Option(help="File (0600) that holds it.")] = None,
    mqtt_ca: Annotated[Path | None, typer.Option(help="CA certificate of the broker, PEM or DER.")] = None,
    mqtt_cert: Annotated[Path | None, typer.Option(help="Client certificate, PEM or DER.")] = None,
    mqtt_key: Annotated[Path | None, typer.Option(help="Its private key (0600), PEM or DER.")] = None,
    app_key_file: Annotated[Path | None, typer.Option(help="File (0600) with 32 hexadecimal digits.")] = None,
    new_app_key: Annotated[
        Path | None, typer.Option(help="Make a new AppKey and keep it in this new file (0600).")
    ] = None,
    secrets_file: Annotated[Path | None, typer.Option(help='TOML (0600): wifi_password = "...", ...')] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
) -> None:
    """Write settings and secrets to a flashed node, read them back, and start it.

    Passwords and keys come from a file, from BORNE_WIFI_PASSWORD, BORNE_MQTT_PASSWORD and BORNE_APP_KEY, or are
    asked for.
    """
    if link == "wifi" and (wifi_ssid is None or mqtt is None):
        missing = "wifi-ssid" if wifi_ssid is None else "mqtt"
        raise SettingError(f"{missing}: is missing: a node reports by Wi-Fi unless --link lorawan is given")
    settings = _given(
        kind=kind,
        name=name,
        place=place,
        profile=profile,
        link=link,
        wifi_ssid=wifi_ssid,
        ntp_host=ntp_host,
        region=region,
        fair_use_s=fair_use_s,
        antenna_dbi=antenna_dbi,
        sensor=sensor,
        bays=bays,
        withheld_bays=None if withheld_bays is None else _numbers("withheld_bays", withheld_bays),
        floor_mm=floor_mm,
        earth_nt=earth_nt,
        dimmer=dimmer,
        dim_percent=dim_percent,
        dim_hold_s=dim_hold_s,
        refractory_s=refractory_s,
        presence=presence,
        lamp=lamp,
        lamp_w=lamp_w,
        night_off=night_off,
        depth_mm=depth_mm,
        offset_mm=offset_mm,
        container=container,
        tilt=tilt,
        **(broker(mqtt) if mqtt is not None else {}),
        **_identity(link, dev_eui, join_eui),
    )
    # Before anybody is asked for a password.
    check_settings(settings)
    secrets = credentials.read_table(secrets_file) if secrets_file else {}
    secrets |= _certificates(mqtt_ca, mqtt_cert, mqtt_key)
    if link == "lorawan":
        _app_key(secrets, app_key_file, new_app_key)
    else:
        _passwords(
            secrets, wifi_open, wifi_password_file, bool(settings.get("mqtt_user")), mqtt_password_file
        )
    done = write(port, settings, secrets, None if as_json else _step)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done)))
        return
    by_radio = f"; DevEUI {settings['dev_eui'].upper()}" if link == "lorawan" else ""
    typer.echo(
        f"{done.port}: {done.kind} node {done.name} is provisioned; settings {done.digest[:8]}{by_radio}"
    )


def _identity(link: str, dev_eui: str | None, join_eui: str | None) -> dict[str, Any]:
    """The EUIs as settings; a LoRaWAN node without a DevEUI gets a new one."""
    if dev_eui is None and link == "lorawan":
        dev_eui = lorawan.new_dev_eui()
    given = _given(dev_eui=dev_eui, join_eui=join_eui)
    return {name: lorawan.eui(name, value) for name, value in given.items()}


def _app_key(secrets: dict[str, bytes], file: Path | None, new: Path | None) -> None:
    if new is None:
        _password(secrets, "app_key", file, "give --new-app-key FILE for a new one")
    elif file is not None or "app_key" in secrets:
        raise SettingError("new_app_key: there is a key already: give one or the other")
    else:
        secrets["app_key"] = lorawan.new_app_key()
        # Before the node has it: a key that only the node knows is of no use to anybody.
        lorawan.keep(new, secrets["app_key"])


def _passwords(
    secrets: dict[str, bytes], wifi_open: bool, wifi: Path | None, user: bool, mqtt: Path | None
) -> None:
    if wifi_open:
        secrets.pop("wifi_password", None)
    else:
        _password(secrets, "wifi_password", wifi, "give --wifi-open where it has none")
    if user:
        _password(secrets, "mqtt_password", mqtt, "give mqtt:// without a user")


def _given(**settings: Any) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _numbers(name: str, given: str) -> list[int]:
    try:
        return sorted({int(part) for part in given.split(",") if part.strip()})
    except ValueError:
        raise SettingError(f"{name}: {given!r} is no list of numbers such as 2,5") from None


def broker(url: str) -> dict[str, Any]:
    """The settings that a broker's URL stands for. Raises SettingError; a password in it is not repeated."""
    try:
        parts = urlsplit(url)
        number = parts.port
    except ValueError:
        raise SettingError("mqtt: is no URL of the form mqtt://[USER@]HOST[:PORT]") from None
    more = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in _PORTS or not parts.hostname or more:
        raise SettingError("mqtt: is no URL of the form mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS")
    if parts.password is not None:
        raise SettingError(
            "mqtt: a password does not belong on a command line, where every user can read it: use "
            "BORNE_MQTT_PASSWORD or --mqtt-password-file"
        )
    return {
        "mqtt_host": parts.hostname,
        "mqtt_port": number if number is not None else _PORTS[parts.scheme],
        "mqtt_tls": parts.scheme == "mqtts",
        "mqtt_user": unquote(parts.username or ""),
    }


def _certificates(ca: Path | None, cert: Path | None, key: Path | None) -> dict[str, bytes]:
    given = {"mqtt_ca": ca, "mqtt_cert": cert, "mqtt_key": key}
    return {
        name: credentials.read_file(name, path, private=name == "mqtt_key")
        for name, path in given.items()
        if path is not None
    }


def _password(secrets: dict[str, bytes], name: str, file: Path | None, otherwise: str) -> None:
    """File, secrets file, environment, prompt: the first that is there counts."""
    variable = f"BORNE_{name.upper()}"
    if file is not None:
        secrets[name] = credentials.read_password(name, file)
    elif name in secrets:
        return
    elif variable in os.environ:
        secrets[name] = os.fsencode(os.environ[variable])
    elif sys.stdin.isatty():
        secrets[name] = typer.prompt(name.replace("_", " "), hide_input=True, err=True).encode()
    else:
        option = f"--{name.replace('_', '-')}-file"
        raise SettingError(f"{name}: is missing: give {option}, set {variable}, or {otherwise}")
    if not secrets[name]:
        raise SettingError(f"{name}: is empty: {otherwise}")


def _step(step: str) -> None:
    print(f"  {step} ...", file=sys.stderr)
