"""Mosquitto with a password file and an ACL file, or with its dynamic-security plugin: the real one where it is found,
else a model of what mosquitto.conf(5) and the plugin's documentation say. `tries` asks what a client may do.
"""

from __future__ import annotations

import json
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.matcher import MQTTMatcher
from paho.mqtt.subscribeoptions import SubscribeOptions
from real_brokers import MOSQUITTO, free_port

from borne.fleet.networks.mosquitto import agrees, hashed
from borne.virtual.broker import EmbeddedBroker

PLUGIN = next(
    (path for path in Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")),
    Path("/usr/lib/mosquitto_dynamic_security.so"),
)
KINDS = ["mosquitto", "model"] if MOSQUITTO else ["model"]
DYNSEC_KINDS = ["mosquitto", "model"] if MOSQUITTO and PLUGIN.exists() else ["model"]
ADMIN, ADMIN_PASSWORD = "admin", "planted admin password"
LIMIT_S = 20.0


class RealBroker:
    """`lines` of mosquitto.conf beside the listener. Files are read at the start and by `reload`."""

    def __init__(self, folder: Path, lines: Sequence[str]) -> None:
        assert MOSQUITTO
        self.port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(
            "\n".join(["user root", "allow_anonymous false", f"listener {self.port} 127.0.0.1", *lines])
        )
        self._process = subprocess.Popen(
            [MOSQUITTO, "-v", "-c", str(config)], stderr=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._until(" running")

    def _read(self) -> None:
        assert self._process.stderr
        for line in self._process.stderr:
            self._lines.put(line)

    def _until(self, end: str) -> None:
        seen = ""
        while end not in seen:
            seen += self._lines.get(timeout=LIMIT_S)

    def reload(self) -> None:
        self._process.send_signal(signal.SIGHUP)
        self._until("Reloading config")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(LIMIT_S)

    def lets_in(self, user: str, password: str) -> bool:
        client, code = self._connect(user, password)
        client.disconnect()
        client.loop_stop()
        return code == 0

    def _connect(self, user: str, password: str) -> tuple[Client, int]:
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        client.username_pw_set(user, password)
        codes: queue.Queue[int] = queue.Queue()
        client.on_connect = lambda *given: codes.put(given[3].value)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        return client, codes.get(timeout=LIMIT_S)

    def publishes(self, user: str, password: str, topic: str) -> bool:
        """MQTT 5 tells in PUBACK: 0x87, not authorized."""
        client, code = self._connect(user, password)
        codes: queue.Queue[int] = queue.Queue()
        client.on_publish = lambda *given: codes.put(given[3].value)
        client.publish(topic, b"x", qos=1)
        allowed = code == 0 and codes.get(timeout=LIMIT_S) < 128
        client.disconnect()
        client.loop_stop()
        return allowed

    def hears(self, user: str, password: str, topic: str, town: tuple[str, str]) -> bool:
        """Whether what the town publishes to `topic` reaches a client that subscribes to it and to its own `down`."""
        own = f"borne/v1/{user}/down/99"
        listener, _ = self._connect(user, password)
        subscribed: queue.Queue[int] = queue.Queue()
        heard: queue.Queue[str] = queue.Queue()
        listener.on_subscribe = lambda *given: subscribed.put(0)
        listener.on_message = lambda client, data, message: heard.put(message.topic)
        listener.subscribe([(topic, SubscribeOptions(1)), (own, SubscribeOptions(1))])
        subscribed.get(timeout=LIMIT_S)
        speaker, _ = self._connect(*town)
        speaker.publish(topic, b"x", qos=1)
        # Messages keep their order: when this one is there, the other is not coming any more.
        speaker.publish(own, b"end", qos=1)
        found = heard.get(timeout=LIMIT_S)
        for client in (listener, speaker):
            client.disconnect()
            client.loop_stop()
        return found == topic


class ModelBroker:
    """What the two files allow, by mosquitto.conf(5): password_file, acl_file."""

    def __init__(self, passwords: Path, acl: Path) -> None:
        self._passwords, self._acl = passwords, acl
        self.reload()

    def reload(self) -> None:
        lines = self._passwords.read_text().splitlines() if self._passwords.exists() else []
        self.users = dict(line.split(":", 1) for line in lines if line and not line.startswith("#"))
        self.rules: list[tuple[str | None, str, str]] = []
        user: str | None = ""
        for line in self._acl.read_text().splitlines():
            words = line.split(None, 2)
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "user":
                user = words[1]
            elif words[0] == "topic":
                self.rules.append((user, words[1], words[2]))
            else:
                assert words[0] == "pattern", line
                self.rules.append((None, words[1], words[2]))

    def stop(self) -> None:
        pass

    def lets_in(self, user: str, password: str) -> bool:
        return user in self.users and agrees(self.users[user], password)

    def _may(self, user: str, way: str, topic: str) -> bool:
        for owner, allowed, pattern in self.rules:
            if owner in (None, user) and allowed in (way, "readwrite"):
                matcher = MQTTMatcher()
                matcher[pattern.replace("%u", user) if owner is None else pattern] = True
                if any(matcher.iter_match(topic)):
                    return True
        return False

    def publishes(self, user: str, password: str, topic: str) -> bool:
        return self.lets_in(user, password) and self._may(user, "write", topic)

    def hears(self, user: str, password: str, topic: str, town: tuple[str, str]) -> bool:
        return (
            self.publishes(*town, topic) and self.lets_in(user, password) and self._may(user, "read", topic)
        )


@contextmanager
def files_broker(kind: str, folder: Path, passwords: Path, acl: Path) -> Iterator[RealBroker | ModelBroker]:
    broker: RealBroker | ModelBroker
    if kind == "mosquitto":
        broker = RealBroker(folder, [f"password_file {passwords}", f"acl_file {acl}"])
    else:
        broker = ModelBroker(passwords, acl)
    try:
        yield broker
    finally:
        broker.stop()


class TownBroker:
    """What a town runs: Mosquitto with the two files, in which only its own account `us` stands at first."""

    host = "127.0.0.1"
    password = "town hall"

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._files = folder / "passwords", folder / "acl"
        self._files[0].write_text(f"us:{hashed(self.password)}\n")
        self._files[1].write_text("user us\ntopic read borne/v1/+/up/#\ntopic write borne/v1/+/down/#\n")
        self._real: RealBroker | None = None
        if MOSQUITTO:
            self._real = RealBroker(folder, [f"password_file {self._files[0]}", f"acl_file {self._files[1]}"])
            stack.callback(self._real.stop)
            self.port = self._real.port
        else:
            self._embedded = stack.enter_context(EmbeddedBroker())
            self._embedded.allow("us", self.password, everything=True)
            self.port = self._embedded.port

    def reload(self, passwords: Mapping[str, bytes]) -> None:
        """Read the files again. `passwords` of nodes are for the stand-in only, which cannot read what is hashed: it
        lets in those that the files let in and let report.
        """
        if self._real:
            self._real.reload()
            return
        model = ModelBroker(*self._files)
        for name, password in passwords.items():
            if model.publishes(name, password.decode(), f"borne/v1/{name}/up/1"):
                self._embedded.allow(name, password.decode())


@contextmanager
def town_broker(folder: Path) -> Iterator[TownBroker]:
    with ExitStack() as stack:
        yield TownBroker(folder, stack)


class ModelPlugin:
    """The plugin's commands on clients and roles, as version 2.0 answers them; also the way to it (dynsec.Control)."""

    def __init__(self) -> None:
        self.clients: dict[str, dict[str, Any]] = {ADMIN: {"password": ADMIN_PASSWORD, "roles": ["admin"]}}
        self.roles: dict[str, list[dict[str, Any]]] = {"admin": []}
        self.fail_at: int | None = None

    def send(self, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [self._one(json.loads(json.dumps(command))) for command in commands]

    def lets_in(self, name: str, password: str) -> bool:
        return name in self.clients and self.clients[name]["password"] == password

    def close(self) -> None:
        pass

    def _one(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given.pop("command")
        try:
            data = getattr(self, name)(**given)
        except KeyError as error:
            return {"command": name, "error": error.args[0]}
        return {"command": name, **({"data": data} if data is not None else {})}

    def _page(self, what: str, found: list[str], count: int, offset: int) -> dict[str, Any]:
        return {"totalCount": len(found), what: found[offset : offset + count]}

    def listClients(self, count: int = -1, offset: int = 0) -> Any:
        return self._page("clients", sorted(self.clients), min(count, 3), offset)

    def listRoles(self, count: int = -1, offset: int = 0) -> Any:
        return self._page("roles", sorted(self.roles), min(count, 3), offset)

    def createRole(self, rolename: str, acls: Any) -> None:
        if rolename in self.roles:
            raise KeyError("Role already exists")
        self.roles[rolename] = acls

    def modifyRole(self, rolename: str, acls: Any) -> None:
        self._role(rolename)
        self.roles[rolename] = acls

    def deleteRole(self, rolename: str) -> None:
        self._role(rolename)
        del self.roles[rolename]

    def getRole(self, rolename: str) -> Any:
        return {"role": {"rolename": rolename, "acls": self._role(rolename)}}

    def _role(self, rolename: str) -> Any:
        if rolename not in self.roles:
            raise KeyError("Role not found")
        return self.roles[rolename]

    def _client(self, username: str) -> Any:
        if username not in self.clients:
            raise KeyError("Client not found")
        return self.clients[username]

    def createClient(self, username: str, password: str, roles: Any) -> None:
        if username in self.clients:
            raise KeyError("Client already exists")
        for role in roles:
            self._role(role["rolename"])
        self.clients[username] = {"password": password, "roles": [role["rolename"] for role in roles]}

    def getClient(self, username: str) -> Any:
        roles = [{"rolename": name} for name in self._client(username)["roles"]]
        return {"client": {"username": username, "roles": roles}}

    def setClientPassword(self, username: str, password: str) -> None:
        self._client(username)["password"] = password

    def addClientRole(self, username: str, rolename: str) -> None:
        self._role(rolename)
        if rolename in self._client(username)["roles"]:
            raise KeyError("Internal error")
        self.clients[username]["roles"].append(rolename)


@contextmanager
def plugin_broker(folder: Path) -> Iterator[RealBroker]:
    """The real broker with the plugin, and an administrator as mosquitto_ctrl makes one."""
    control = shutil.which("mosquitto_ctrl")
    assert control
    config = folder / "dynamic-security.json"
    subprocess.run(
        [control, "dynsec", "init", str(config), ADMIN, ADMIN_PASSWORD], check=True, capture_output=True
    )
    broker = RealBroker(folder, [f"plugin {PLUGIN}", f"plugin_opt_config_file {config}"])
    try:
        yield broker
    finally:
        broker.stop()
