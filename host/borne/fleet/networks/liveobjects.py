"""Orange Live Objects by its REST interface: a device and its LoRa interface.

liveobjects.orange-business.com/doc, "Device management"; its OpenAPI: DeviceCreateRequest, LoraDeviceCreateReqWeb.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from borne.errors import SettingError
from borne.fleet.model import Node
from borne.fleet.networks import describe
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.errors import Denied, Exists, Missing, Refused
from borne.fleet.networks.pace import Pace
from borne.fleet.networks.plan import Step
from borne.fleet.networks.rest import Rest

URL: Final = "https://liveobjects.orange-business.com"
_DEVICES: Final = "/api/v1/deviceMgt/devices"
_URN: Final = "urn:lo:nsid:lora:"
_PAGE: Final = 1000
_FIELDS: Final = "id,name,description,properties,group,interfaces"
_VALUE_MAX: Final = 256


@dataclass(frozen=True)
class Offer:
    """What the contract has: the LoRa profile, the connectivity plan, the decoder's name; and the group (a path)."""

    profile: str
    plan: str = ""
    encoding: str = ""
    group: str = "/"


class LiveObjects:
    """An account, by an API key that has the role DEVICE_W."""

    link = "lorawan"

    def __init__(self, token: str, offer: Offer, pace: Pace, *, url: str = URL) -> None:
        if not offer.profile:
            raise SettingError("profile: is missing: the LoRa profile of the device in Live Objects")
        self._offer = offer
        self._rest = Rest("Live Objects", url, {"X-API-KEY": token}, token, pace, reason=_reason)
        self._devices: dict[str, Any] = {}

    def __enter__(self) -> LiveObjects:
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.close()

    def shared(self, nodes: Sequence[Node]) -> list[Step]:
        for node in nodes:
            if node.asset.link == self.link and describe.region(node) != "EU868":
                raise SettingError(f"{node.asset.asset}: Live Objects is a network of EU868")
        return []

    def present(self) -> Mapping[str, str]:
        found: list[Any] = []
        while True:
            params: dict[str, str | int] = {
                "limit": _PAGE,
                "offset": len(found),
                "fields": _FIELDS,
                "sort": "id",
            }
            listed, headers = self._rest.send("GET", _DEVICES, params={**params, "connectors": "lora"})
            found += listed
            # It may give fewer at once than it is asked for, and says so.
            if len(listed) < min(_PAGE, int(headers.get("x-result-limit", _PAGE))):
                break
        self._devices = {one["id"].removeprefix(_URN).lower(): one for one in found}
        return {eui: one.get("name") or one["id"] for eui, one in self._devices.items()}

    def identify(self, node: Node) -> str:
        return describe.dev_eui(node)

    def steps(self, node: Node, keys: Keys) -> list[Step]:
        eui = describe.dev_eui(node).upper()
        interface = self._interface(node, describe.app_key(node, keys))
        there = self._devices.get(eui.lower())
        if there is None:
            body = {"id": _URN + eui, **self._wanted(node, {}), "interfaces": [interface]}
            return [Step("device", lambda: self._create(node, body))]
        steps = self._describe(node, there)
        path = f"{_DEVICES}/{_URN}{eui}/interfaces"
        try:
            found = self._rest.get(f"{path}/lora:{eui}").get("definition", {})
        except Missing:
            return [*steps, Step("LoRa interface", lambda: self._send("POST", path, interface))]
        wanted = interface["definition"]
        # A key that is not shown was written together with its interface.
        shown = {name: found.get(name, value if name == "appKey" else None) for name, value in wanted.items()}
        different = [name for name in wanted if str(shown[name]).upper() != str(wanted[name]).upper()]
        if different:
            change = {"connector": "lora", "definition": wanted}
            what = ", ".join("key" if name == "appKey" else name for name in different)
            steps.append(Step(what, lambda: self._send("PATCH", f"{path}/lora:{eui}", change)))
        return steps

    def _interface(self, node: Node, key: str) -> dict[str, Any]:
        definition = {
            "devEUI": describe.dev_eui(node).upper(),
            "profile": self._offer.profile,
            "activationType": "OTAA",
            "appEUI": describe.join_eui(node).upper(),
            "appKey": key,
        }
        if self._offer.plan:
            definition["connectivityPlan"] = self._offer.plan
        if self._offer.encoding:
            definition["encoding"] = self._offer.encoding
        return {"connector": "lora", "enabled": True, "definition": definition}

    def _wanted(self, node: Node, there: Mapping[str, Any]) -> dict[str, Any]:
        properties = {name: value[:_VALUE_MAX] for name, value in describe.tags(node).items()}
        return {
            "name": node.name,
            "description": describe.description(node),
            "group": {"path": self._offer.group},
            "properties": {**(there.get("properties") or {}), **properties},
        }

    def _describe(self, node: Node, there: Mapping[str, Any]) -> list[Step]:
        wanted = self._wanted(node, there)
        group = {"path": (there.get("group") or {}).get("path", "/")}
        given = {**there, "group": group}
        different = {
            name: value for name, value in wanted.items() if (given.get(name) or "") != (value or "")
        }
        if not different:
            return []
        path = f"{_DEVICES}/{there['id']}"
        return [Step(", ".join(different), lambda: self._send("PATCH", path, different))]

    def _create(self, node: Node, body: Mapping[str, Any]) -> None:
        try:
            self._send("POST", _DEVICES, body)
        except Exists as error:
            # By an attempt whose answer was lost, or another account's.
            try:
                there = self._rest.get(f"{_DEVICES}/{body['id']}")
            except (Missing, Denied):
                raise Refused("its DevEUI is registered with another account") from error
            for step in self._describe(node, there):
                step.act()

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        self._rest.send(method, path, body)


def _reason(given: Any) -> str:
    return str(given["message"])
