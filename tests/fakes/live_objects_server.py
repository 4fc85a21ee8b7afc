"""Live Objects on the loopback: devices and their LoRa interfaces, as its OpenAPI describes them."""

from __future__ import annotations

import re
from typing import Any

from faults import Faults
from http_server import Answer, HttpServer

KEY = "0123456789abcdef0123456789planted"
DEVICE = re.compile(r"urn:lo:nsid:([\w\-_]{1,128}):([\w\-_:]{1,128})")
PROFILES = {"Generic_classA_RX2SF9"}
BASE = "/api/v1/deviceMgt/devices"


def error(status: int, code: str, message: str, **headers: str) -> Answer:
    return Answer(status, {"code": code, "message": message}, **headers)


class LiveObjectsServer(HttpServer):
    """`devices` by identifier; `interfaces` by (device, interface), with the key that the server never shows."""

    def __init__(self, faults: Faults | None = None) -> None:
        super().__init__(faults)
        self.devices: dict[str, Any] = {}
        self.interfaces: dict[tuple[str, str], Any] = {}
        self.largest_page = 1000
        self.shows_keys = False

    def state(self) -> Any:
        return dict(sorted(self.devices.items())), dict(sorted(self.interfaces.items()))

    def fault(self, name: str, body: Any) -> Answer:
        if name == "busy":
            return error(429, "TOO_MANY_REQUESTS", "slow down", retry_after=str(self.faults.retry_after))
        if name == "refused":
            return error(400, "GENERIC_INVALID_PARAMETER_ERROR", f"invalid: {body}")
        return error(401, "UNAUTHORIZED", "bad key") if name == "denied" else error(503, "DOWN", "down")

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> Any:
        if headers.get("X-API-KEY") != KEY:
            raise error(401, "UNAUTHORIZED", "Full authentication is required")
        parts = path.removeprefix(BASE).strip("/").split("/")
        if not path.startswith(BASE):
            raise error(404, "NOT_FOUND", "no such resource")
        if parts == [""]:
            return self._create(body) if method == "POST" else self._list(query)
        device = parts[0]
        if device not in self.devices:
            raise error(404, "DM_DEVICE_NOT_FOUND", f"Device {device} not found")
        if len(parts) == 1:
            return self._change(device, body) if method == "PATCH" else self.devices[device]
        return self._interface(method, device, parts[2] if len(parts) > 2 else None, body)

    def _list(self, query: dict[str, str]) -> Any:
        limit, offset = int(query.get("limit", 20)), int(query.get("offset", 0))
        if limit > 1000:
            raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", "limit must be at most 1000")
        limit = min(limit, self.largest_page)
        found = [one for _, one in sorted(self.devices.items())][offset : offset + limit]
        return Answer(200, found, X_Result_Limit=str(limit), X_Result_Count=str(len(found)))

    def _create(self, body: Any) -> Any:
        device = body["id"]
        if not DEVICE.fullmatch(device):
            raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", f"id {device} does not match")
        if device in self.devices:
            raise error(409, "DM_DEVICE_ALREADY_EXISTS", f"Device {device} already exists")
        interfaces = body.pop("interfaces", [])
        for interface in interfaces:
            self._valid(device, interface)
        self._check(body)
        self.devices[device] = body
        for interface in interfaces:
            self._add(device, interface)
        return Answer(201, body)

    @staticmethod
    def _check(body: Any) -> None:
        if set(body) - {"id", "name", "description", "group", "properties", "tags"}:
            raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", f"unknown fields in {sorted(body)}")
        for value in body.get("properties", {}).values():
            if len(value) > 256:
                raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", "property value too long")

    def _change(self, device: str, body: Any) -> Any:
        self._check(body)
        self.devices[device] = {**self.devices[device], **body}
        return self.devices[device]

    def _interface(self, method: str, device: str, name: str | None, body: Any) -> Any:
        if name is None:
            self._valid(device, body)
            return Answer(201, self._add(device, body))
        if (device, name) not in self.interfaces:
            raise error(404, "DM_INTERFACE_NOT_FOUND", f"Interface {name} not found")
        if method == "PATCH":
            self._valid(device, body)
            self._add(device, {"enabled": True, **body})
        return self._shown(self.interfaces[device, name])

    def _valid(self, device: str, interface: Any) -> None:
        given = interface.get("definition", {})
        if interface.get("connector") != "lora" or given.get("activationType") != "OTAA":
            raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", "connector or activationType")
        for name, digits in (("devEUI", 16), ("appEUI", 16), ("appKey", 32)):
            if not re.fullmatch(f"[0-9A-F]{{{digits}}}", given.get(name, "")):
                raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", f"{name} must have {digits} digits")
        if given.get("profile") not in PROFILES:
            raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", f"unknown profile {given.get('profile')}")
        if not device.endswith(given["devEUI"]):
            raise error(400, "GENERIC_INVALID_PARAMETER_ERROR", "devEUI is not that of the device")

    def _add(self, device: str, interface: Any) -> Any:
        self.interfaces[device, f"lora:{interface['definition']['devEUI']}"] = interface
        return self._shown(interface)

    def _shown(self, interface: Any) -> Any:
        hidden = () if self.shows_keys else ("appKey",)
        definition = {name: value for name, value in interface["definition"].items() if name not in hidden}
        return {**interface, "definition": definition}
