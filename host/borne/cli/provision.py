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
from borne.fleet import credentials
from borne.fleet.provision import check_settings
from borne.fleet.provision import provision as write

_PORTS = {"mqtt": 1883, "mqtts": 8883}  # IANA: mqtt, secure-mqtt


def provision(
    port: Annotated[
        str, typer.Option("--port", "-p", help="Device, socket://host:port or rfc2217://host:port.")
    ],
    kind: Annotated[str, typer.Option(help="parking, light or fill.")],
    name: Annotated[str, typer.Option(help="Name of the node; part of its MQTT topics.")],
    wifi_ssid: Annotated[str, typer.Option(help="Name of the Wi-Fi network.")],
    mqtt: Annotated[str, typer.Option(help="Broker: mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS.")],
    place: Annotated[str | None, typer.Option(help="Where it stands, for people.")] = None,
    profile: Annotated[str | None, typer.Option(help="parking: zone, bay or live.")] = None,
    link: Annotated[str | None, typer.Option(help="How it reports: wifi.")] = None,
    ntp_host: Annotated[str | None, typer.Option(help="Time server.")] = None,
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
    secrets_file: Annotated[Path | None, typer.Option(help='TOML (0600): wifi_password = "...", ...')] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as a JSON object.")] = False,
) -> None:
    """Write settings and secrets to a flashed node, read them back, and start it.

    Passwords come from a file, from BORNE_WIFI_PASSWORD and BORNE_MQTT_PASSWORD, or are asked for.
    """
    settings = _given(
        kind=kind,
        name=name,
        place=place,
        profile=profile,
        link=link,
        wifi_ssid=wifi_ssid,
        ntp_host=ntp_host,
        sensor=sensor,
        bays=bays,
        withheld_bays=None if withheld_bays is None else _numbers("withheld_bays", withheld_bays),
        floor_mm=floor_mm,
        earth_nt=earth_nt,
        refractory_s=refractory_s,
        presence=presence,
        lamp=lamp,
        lamp_w=lamp_w,
        night_off=night_off,
        depth_mm=depth_mm,
        offset_mm=offset_mm,
        container=container,
        tilt=tilt,
        **broker(mqtt),
    )
    # Before anybody is asked for a password.
    check_settings(settings)
    secrets = credentials.read_table(secrets_file) if secrets_file else {}
    secrets |= _certificates(mqtt_ca, mqtt_cert, mqtt_key)
    if wifi_open:
        secrets.pop("wifi_password", None)
    else:
        _password(secrets, "wifi_password", wifi_password_file, "give --wifi-open where it has none")
    if settings["mqtt_user"]:
        _password(secrets, "mqtt_password", mqtt_password_file, "give mqtt:// without a user")
    done = write(port, settings, secrets, None if as_json else _step)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done)))
    else:
        typer.echo(f"{done.port}: {done.kind} node {done.name} is provisioned; settings {done.digest[:8]}")


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
