"""The networks that a town has, by name, out of `networks.toml`; tokens and passwords stand elsewhere (0600, or the
environment).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from platformdirs import user_config_path

from borne.boards import unknown
from borne.errors import SettingError, UserError
from borne.fleet import credentials
from borne.fleet.model import Node
from borne.fleet.networks import importers, tts
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.dynsec import DynamicSecurity
from borne.fleet.networks.dynsec_control import Broker, MqttControl
from borne.fleet.networks.liveobjects import URL, LiveObjects, Offer
from borne.fleet.networks.mosquitto import Mosquitto
from borne.fleet.networks.pace import Pace
from borne.fleet.networks.plan import Backend, Row

# What each type of network is told; ... must be given. A name that ends in _file, `ca`, `passwords` and `acl` are
# paths, relative to networks.toml.
_ONLINE: Final[Mapping[str, Any]] = {"token_file": "", "rate": 0.0, "ca": ""}
TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "tts": {"url": ..., "application": ..., "frequency_plans": {}, **_ONLINE},
    "chirpstack": {"server": ..., "tenant": ..., "application": ..., "tls": True, **_ONLINE},
    "liveobjects": {"profile": ..., "plan": "", "encoding": "", "group": "/", "url": URL, **_ONLINE},
    "thingpark": {"model": ..., "plan": ""},
    "mosquitto": {"passwords": ..., "acl": ...},
    "mosquitto-dynsec": {"server": ..., "user": "admin", "tls": True, **_ONLINE},
}
_PATHS: Final = ("token_file", "ca", "passwords", "acl")
# What may be written for its own importer, and its formats; the first is the default.
EXPORTS: Final = {"tts": ("csv", "json"), "thingpark": ("csv",)}
_KINDS: Final = {str: "text", float: "number", bool: "true or false", dict: "table"}
_SECRET: Final = re.compile(r"token|password|key|secret", re.IGNORECASE)


@dataclass(frozen=True)
class Network:
    """One table of networks.toml, checked: `options` complete, paths absolute."""

    name: str
    type: str
    options: Mapping[str, Any]

    @property
    def online(self) -> bool:
        return self.type != "thingpark"


def default_path() -> Path:
    return user_config_path("borne") / "networks.toml"


def read(path: Path) -> dict[str, Network]:
    """The networks of a file by their names. Raises UserError, SettingError: file, network, option, what is wrong."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: docs/networks.md shows what stands in it") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is no text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        # Its place only: the parser may quote a line that somebody wrote a token into.
        place = re.search(r"\(at .*\)", str(error))
        raise UserError(f"{path}: is no TOML {place[0] if place else ''}".rstrip()) from None
    return {name: _network(name, given, path) for name, given in found.items()}


def named(path: Path, name: str) -> Network:
    networks = read(path)
    if name not in networks:
        known = f"known are {', '.join(networks)}" if networks else "it is empty"
        raise SettingError(f"network: there is no {name!r} in {path}; {known}")
    return networks[name]


def _network(name: str, given: Any, path: Path) -> Network:
    where = f"{path}: [{name}]"
    if not isinstance(given, dict):
        raise SettingError(f"{where} is no table: write [{name}] and its options below it")
    kind = str(given.get("type"))
    if kind not in TYPES:
        raise SettingError(f"{where} type is {kind!r}; known are {', '.join(TYPES)}")
    table = TYPES[kind]
    for option in given:
        if option != "type" and option not in table:
            if _SECRET.search(option):
                raise SettingError(
                    f"{where} {option}: a secret has no place here: put it into a file (0600), named by token_file"
                )
            raise SettingError(f"{where} {unknown(option, [*table])}")
    options = {option: _option(where, option, given, default, path) for option, default in table.items()}
    _check(where, kind, options)
    return Network(name, kind, options)


def _option(where: str, option: str, given: Mapping[str, Any], default: Any, path: Path) -> Any:
    if option not in given:
        if default is ...:
            raise SettingError(f"{where} {option}: is missing")
        return default
    value = given[option]
    wanted = type(default) if default is not ... else str
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted or value == "":
        raise SettingError(f"{where} {option}: is no {_KINDS[wanted]}")
    return str((path.parent / str(value)).absolute()) if option in _PATHS else value


def _check(where: str, kind: str, options: Mapping[str, Any]) -> None:
    if "url" in options:
        try:
            url = urlsplit(options["url"])
        except ValueError:
            url = urlsplit("")
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SettingError(f"{where} url: is no URL such as https://eu1.cloud.thethings.network")
        if url.username or url.password:
            raise SettingError(f"{where} url: a name or password has no place in it")
        _no_plain_text(where, url.hostname, url.scheme == "https")
    if "server" in options:
        host, _, port = options["server"].rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise SettingError(f"{where} server: {options['server']!r} is not HOST:PORT")
        _no_plain_text(where, host, options["tls"])
    for region in options.get("frequency_plans", {}):
        if region not in tts.FREQUENCY_PLANS:
            raise SettingError(f"{where} frequency_plans: {unknown(region, [*tts.FREQUENCY_PLANS])}")
    if not 0 <= options.get("rate", 0) <= 1000:
        raise SettingError(f"{where} rate: is not between 0 and 1000 calls a second")


def _no_plain_text(where: str, host: str, encrypted: bool) -> None:
    """Keys go over this line: unencrypted only within this machine (a tunnel, a server beside us)."""
    try:
        local = ip_address(host.strip("[]")).is_loopback
    except ValueError:
        local = host == "localhost"
    if not encrypted and not local:
        raise SettingError(
            f"{where} would send keys to {host} in clear text: use TLS, or a tunnel to localhost"
        )


def token(network: Network) -> str:
    """The secret of a network: its token_file, else the environment. Raises SettingError, never with the secret."""
    variable = "BORNE_TOKEN_" + re.sub(r"[^A-Z0-9]", "_", network.name.upper())
    if network.options["token_file"]:
        value = credentials.read_password("token_file", Path(network.options["token_file"])).decode(
            "utf-8", "replace"
        )
    else:
        value = os.environ.get(variable, "")
    value = value.strip()
    if not value or not value.isascii() or not value.isprintable():
        raise SettingError(
            f"{network.name}: its token is missing or malformed: give token_file, or set {variable}"
        )
    return value


def connect(network: Network, pace: Pace) -> Any:
    """The back end of a network, a context manager. Raises UserError."""
    options = network.options
    ca = credentials.read_file("ca", Path(options["ca"]), private=False) if options.get("ca") else None
    if network.type == "tts":
        plans = {**tts.FREQUENCY_PLANS, **options["frequency_plans"]}
        return tts.TheThingsStack(
            options["url"], token(network), options["application"], pace, plans=plans, ca=ca
        )
    if network.type == "chirpstack":
        return _chirpstack(network, pace, ca)
    if network.type == "liveobjects":
        offer = Offer(*(options[name] for name in ("profile", "plan", "encoding", "group")))
        return LiveObjects(token(network), offer, pace, url=options["url"])
    if network.type == "mosquitto":
        return Mosquitto(Path(options["passwords"]), Path(options["acl"]))
    if network.type == "mosquitto-dynsec":
        host, _, port = options["server"].rpartition(":")
        broker = Broker(host, int(port), options["user"], token(network), options["tls"], ca)
        return DynamicSecurity(MqttControl(broker, pace))
    raise UserError(f"{network.name}: ThingPark is told by a file: give --file")


def _chirpstack(network: Network, pace: Pace, ca: bytes | None) -> Backend:
    # Its C core otherwise writes to stderr when a server goes away, which is told in a row.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        module = import_module("borne.fleet.networks.chirpstack")
    except ModuleNotFoundError as error:
        raise UserError(f"ChirpStack needs {error.name}: pip install 'borne[chirpstack]'") from None
    options = network.options
    access = module.Access(options["server"], token(network), options["tls"], ca)
    backend: Backend = module.ChirpStack(access, options["tenant"], options["application"], pace)
    return backend


def export(network: Network, nodes: Sequence[Node], keys: Keys, form: str) -> tuple[bytes, list[Row]]:
    """What the network's own importer reads, with keys in it, and a row a node. Raises UserError."""
    if form not in EXPORTS.get(network.type, ()):
        forms = " or ".join(EXPORTS.get(network.type, ()))
        raise UserError(
            f"{network.name}: takes a file as {forms}, not {form!r}"
            if forms
            else f"{network.name}: {network.type} takes no file"
        )
    if network.type == "thingpark":
        return importers.thingpark_csv(nodes, keys, network.options["model"], network.options["plan"])
    plans = {**tts.FREQUENCY_PLANS, **network.options["frequency_plans"]}
    make = importers.things_stack_csv if form == "csv" else importers.things_stack_json
    return make(nodes, keys, plans)
