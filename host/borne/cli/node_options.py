"""What `borne image` and `borne flash` take to make a board a certain node: settings and secrets."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from borne.errors import SettingError

if TYPE_CHECKING:
    from borne.flashing.node import Identity

Kind = Annotated[str | None, typer.Option("--kind", help="Make it this node: parking, light or fill.")]
Name = Annotated[str | None, typer.Option("--name", help="Name of the node; part of its MQTT topics.")]
SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help='TOML of settings: kind = "fill", depth_mm = 1500, ...')
]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="One setting, NAME=VALUE; again for more; mqtt=mqtts://USER@HOST for the broker."
    ),
]
SecretsFile = Annotated[
    Path | None, typer.Option("--secrets-file", help='TOML (0600): wifi_password = "...", ...')
]

# As `borne provision` reads them where no file is given.
_VARIABLES: Final = ("wifi_password", "mqtt_password", "app_key")


def identity(
    kind: str | None,
    name: str | None,
    file: Path | None,
    pairs: Sequence[str] | None,
    secrets_file: Path | None,
) -> Identity | None:
    """The node that these options describe, checked; None where none of them is given. Raises SettingError."""
    given: dict[str, Any] = {} if file is None else _read(file)
    for pair in pairs or ():
        given |= _setting(pair)
    given |= {key: value for key, value in (("kind", kind), ("name", name)) if value is not None}
    if not given:
        if secrets_file is not None:
            raise SettingError(
                "secrets file: is of use with settings only: give --settings, or --kind and --name"
            )
        return None
    from borne.flashing.node import Identity
    from borne.fleet import credentials
    from borne.fleet.provision import check, check_settings

    # Before a secret is read: most mistakes are in the settings.
    check_settings(given)
    secrets = credentials.read_table(secrets_file) if secrets_file else _from_environment(given)
    complete, prepared = check(given, secrets)
    return Identity(complete, prepared)


def at_hand(secrets_file: Path | None) -> dict[str, bytes]:
    """The secrets that a site shares, out of a file or the environment. Raises SettingError."""
    from borne.fleet import credentials

    return credentials.read_table(secrets_file) if secrets_file else _from_environment({})


def _from_environment(settings: dict[str, Any]) -> dict[str, bytes]:
    """Only those that a node with such a link has: the others belong to another command."""
    wanted = ("app_key",) if settings.get("link") == "lorawan" else ("wifi_password", "mqtt_password")
    return {
        name: os.fsencode(os.environ[f"BORNE_{name.upper()}"])
        for name in _VARIABLES
        if name in wanted and f"BORNE_{name.upper()}" in os.environ
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"settings file: {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"settings file: {path}: no TOML: {error}") from None


def _setting(pair: str) -> dict[str, Any]:
    name, separator, text = pair.partition("=")
    if not separator or not name:
        raise SettingError(f"--set {pair}: is not of the form NAME=VALUE")
    if name == "mqtt":
        from borne.cli.provision_options import at_broker

        return at_broker(text)
    try:
        # Numbers, true and false, lists as TOML writes them; everything else is text.
        return {name: tomllib.loads(f"value = {text}")["value"]}
    except tomllib.TOMLDecodeError:
        return {name: text}
