"""The address of an MQTT broker, as people give it: mqtt[s]://[USER@]HOST[:PORT]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from borne.errors import SettingError

PASSWORD_VARIABLE: Final = "BORNE_MQTT_PASSWORD"
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}  # IANA: mqtt, secure-mqtt


@dataclass(frozen=True)
class Broker:
    """Where a broker is and as whom to log in. The password never stands in the URL and never in a repr."""

    host: str
    port: int
    tls: bool = False
    user: str = ""

    def __str__(self) -> str:
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{self.port}"


def parse(url: str) -> Broker:
    """A Broker out of mqtt[s]://[user@]host[:port]. Raises SettingError; what it says holds no password."""
    try:
        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        port = parts.port
    except ValueError:
        raise SettingError("mqtt: is no URL of the form mqtt://[USER@]HOST[:PORT]") from None
    if parts.password is not None:
        raise SettingError(
            "mqtt: others on this computer can read a password in the address: set "
            f"{PASSWORD_VARIABLE}, or give a file with it where there is an option for one"
        )
    more = parts.path.strip("/") or parts.query or parts.fragment
    if parts.scheme not in _PORTS or not parts.hostname or more:
        raise SettingError("mqtt: is no URL of the form mqtt://[USER@]HOST[:PORT], or mqtts:// for TLS")
    return Broker(
        parts.hostname,
        port if port is not None else _PORTS[parts.scheme],
        parts.scheme == "mqtts",
        unquote(parts.username or ""),
    )
