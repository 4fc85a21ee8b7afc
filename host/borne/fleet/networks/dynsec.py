"""Mosquitto's dynamic-security plugin: roles and clients by commands over MQTT, without touching a file.

mosquitto.org/documentation/dynamic-security: commands as JSON to $CONTROL/dynamic-security/v1, answers below
.../response. Version 2.0 knows no %u in its rules, so each node has a role of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from borne.fleet.model import Node
from borne.fleet.networks import describe
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.errors import Exists, Missing, Refused, scrub
from borne.fleet.networks.mosquitto import user
from borne.fleet.networks.plan import Step

_PAGE: Final = 500
_PREFIX: Final = "borne-"
_ERRORS: Final = ((" not found", Missing), (" already exists", Exists))


class Control(Protocol):
    """The way to the plugin: `send` commands and get their answers, in order; `lets_in` tries a name and password."""

    def send(self, commands: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]: ...

    def lets_in(self, name: str, password: str) -> bool: ...

    def close(self) -> None: ...


class DynamicSecurity:
    """Clients and roles of nodes; the roles are named `borne-NAME`."""

    link = "wifi"

    def __init__(self, control: Control) -> None:
        self._control = control
        self._clients: set[str] = set()
        self._roles: set[str] = set()

    def __enter__(self) -> DynamicSecurity:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()

    def shared(self, nodes: Sequence[Node]) -> list[Step]:
        return []

    def present(self) -> Mapping[str, str]:
        """Clients that have a role of ours; the town's own are not our business."""
        self._roles = {name for name in self._all("roles") if name.startswith(_PREFIX)}
        self._clients = set(self._all("clients"))
        return {name: name for name in sorted(self._clients) if _PREFIX + name in self._roles}

    def _all(self, what: str) -> list[str]:
        found: list[str] = []
        while True:
            command = {"command": f"list{what.capitalize()}", "count": _PAGE, "offset": len(found)}
            data = self._ask(command)["data"]
            found += data[what]
            if not data[what] or len(found) >= data["totalCount"]:
                return found

    def identify(self, node: Node) -> str:
        return user(node)

    def steps(self, node: Node, keys: Keys) -> list[Step]:
        name, password = user(node), describe.password(node, keys)
        steps = []
        if not self._role_is_right(name):
            steps.append(Step("access rules", lambda: self._write_role(name)))
        if name not in self._clients:
            steps.append(Step("client", lambda: self._write_client(name, password)))
            return steps
        client = self._ask({"command": "getClient", "username": name})["data"]["client"]
        if not any(role["rolename"] == _PREFIX + name for role in client.get("roles", ())):
            steps.append(Step("role", lambda: self._add_role(name)))
        if not self._control.lets_in(name, password):
            steps.append(Step("password, which was another", lambda: self._write_password(name, password)))
        return steps

    def _role_is_right(self, name: str) -> bool:
        if _PREFIX + name not in self._roles:
            return False
        role = self._ask({"command": "getRole", "rolename": _PREFIX + name})["data"]["role"]
        there = [(rule["acltype"], rule["topic"], rule["allow"]) for rule in role.get("acls", ())]
        return sorted(there) == sorted((rule["acltype"], rule["topic"], True) for rule in rules(name))

    def _write_role(self, name: str) -> None:
        command = {"rolename": _PREFIX + name, "acls": rules(name)}
        try:
            self._ask({"command": "createRole", **command})
        except Exists:
            self._ask({"command": "modifyRole", **command})

    def _write_client(self, name: str, password: str) -> None:
        roles = [{"rolename": _PREFIX + name}]
        try:
            self._ask({"command": "createClient", "username": name, "password": password, "roles": roles})
        except Exists:
            self._write_password(name, password)
            self._add_role(name)

    def _write_password(self, name: str, password: str) -> None:
        self._ask({"command": "setClientPassword", "username": name, "password": password})

    def _add_role(self, name: str) -> None:
        try:
            self._ask({"command": "addClientRole", "username": name, "rolename": _PREFIX + name})
        except Refused as error:
            # Version 2.0 says "Internal error" where the client has the role.
            client = self._ask({"command": "getClient", "username": name})["data"]["client"]
            if not any(role["rolename"] == _PREFIX + name for role in client.get("roles", ())):
                raise error from None

    def _ask(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        (answer,) = self._control.send([command])
        if "error" in answer:
            words = scrub(str(answer["error"]), str(command.get("password", "")))
            for ending, kind in _ERRORS:
                if words.endswith(ending):
                    raise kind(f"Mosquitto: {words}")
            raise Refused(f"Mosquitto: {words}")
        return answer


def rules(name: str) -> list[dict[str, Any]]:
    """A node publishes below its `up`, subscribes to and hears what is below its `down`, and nothing else."""
    up, down = f"borne/v1/{name}/up/#", f"borne/v1/{name}/down/#"
    ways = (("publishClientSend", up), ("subscribePattern", down), ("publishClientReceive", down))
    return [{"acltype": way, "topic": topic, "priority": 0, "allow": True} for way, topic in ways]
