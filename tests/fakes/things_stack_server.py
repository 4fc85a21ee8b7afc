"""The Things Stack on the loopback: the four registries of end devices, with the rules of the published definitions.

Rules from github.com/TheThingsNetwork/lorawan-stack: api/ttn/lorawan/v3/{end_device,identifiers}.proto (lengths,
patterns), pkg/ttnpb/field_mask_validation.go (fields of each registry), pkg/identityserver/end_device_registry.go,
pkg/{joinserver,networkserver,applicationserver}/grpc_deviceregistry.go (duplicates, required fields, rights).
"""

from __future__ import annotations

import re
import ssl
from typing import Any

from faults import Faults
from http_server import Answer, HttpServer

APPLICATION, TOKEN = "ville-capteurs", "NNSXS.PLANTEDTOKEN.SECRETSECRET"
READ, WRITE, READ_KEYS, WRITE_KEYS = "READ", "WRITE", "READ_KEYS", "WRITE_KEYS"
IDENTIFIER = re.compile(r"[a-z0-9](?:[-]?[a-z0-9]){2,}")
ADDRESS = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*[A-Za-z0-9][A-Za-z0-9\-]*(?::[0-9]{1,5})?"
)
PLANS = {"EU_863_870_TTN", "EU_863_870", "US_902_928_FSB_2", "AS_923", "EU_433", "AU_915_928_FSB_2"}
MAC = {"MAC_V1_0", "MAC_V1_0_1", "MAC_V1_0_2", "MAC_V1_0_3", "MAC_V1_0_4", "MAC_V1_1"}
PHY = {"RP002_V1_0_0", "RP002_V1_0_1", "RP002_V1_0_2", "RP002_V1_0_3", "RP002_V1_0_4", "PHY_V1_0_3_REV_A"}
ADDRESSES = ("network_server_address", "application_server_address", "join_server_address")
# Which fields each registry may be told (RPCFieldMaskPaths), as far as these tests need.
FIELDS = {
    "is": {"name", "description", "attributes", "locations", "version_ids", "serial_number", *ADDRESSES},
    "js": {"root_keys.app_key.key", "root_keys.nwk_key.key", "net_id", *ADDRESSES[:2]},
    "ns": {"frequency_plan_id", "lorawan_version", "lorawan_phy_version", "supports_join", "mac_settings"},
    "as": {"formatters", "version_ids", "skip_payload_crypto"},
}
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 503: 14}


def error(status: int, name: str, text: str, **headers: str) -> Answer:
    message = f"error:pkg/somewhere:{name} ({text})"
    return Answer(status, {"code": CODES[status], "message": message, "details": []}, **headers)


class ThingsStackServer(HttpServer):
    """`registries` hold devices by device_id, without empty fields; `link` is the application's."""

    def __init__(self, faults: Faults | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(faults, tls)
        self.registries: dict[str, dict[str, Any]] = {name: {} for name in FIELDS}
        self.elsewhere: dict[tuple[str, str], str] = {}
        self.link: Any = None
        self.rights = {READ, WRITE, READ_KEYS, WRITE_KEYS}
        self.largest_page = 1000

    def state(self) -> Any:
        return {name: dict(sorted(found.items())) for name, found in self.registries.items()}, self.link

    def fault(self, name: str, body: Any) -> Answer:
        if name == "busy":
            return error(
                429, "rate_limit", "rate limit exceeded", x_rate_limit_retry=str(self.faults.retry_after)
            )
        if name == "refused":
            return error(400, "validation", f"invalid value: {body}")
        return (
            error(401, "token_expired", "token expired")
            if name == "denied"
            else error(503, "down", "unavailable")
        )

    def need(self, *rights: str) -> None:
        if not self.rights.issuperset(rights):
            raise error(
                403, "insufficient_application_rights", f"insufficient rights for application `{APPLICATION}`"
            )

    def handle(self, method: str, path: str, query: dict[str, str], body: Any, headers: Any) -> Any:
        if headers.get("Authorization") != f"Bearer {TOKEN}":
            raise error(401, "unauthenticated", "unauthenticated")
        found = re.fullmatch(
            r"/api/v3/(?:(js|ns|as)/)?applications/([^/]+)(?:/(devices|link)(?:/([^/]+))?)?", path
        )
        if not found:
            raise error(404, "route_not_found", f"route `{path}` not found")
        registry, application, what, device = found.groups()
        if application != APPLICATION:
            raise error(404, "application_not_found", f"application `{application}` not found")
        if what == "link" and registry == "as":
            return self._link(method, body)
        if what is None and registry is None and method == "GET":
            return {"ids": {"application_id": application}}
        if method == "GET":
            self.need(READ)
            return self._get(registry or "is", device, query) if device else self._list(query)
        if (method == "POST") != (device is None):
            raise error(404, "route_not_found", f"route `{path}` not found")
        self.need(WRITE)
        return self._write(registry, device, body)

    def _link(self, method: str, body: Any) -> Any:
        if method == "GET":
            if self.link is None:
                raise error(404, "link_not_found", "link not found")
            return self.link
        formatters = body["link"]["default_formatters"]
        if any(len(formatters.get(f"{way}_formatter_parameter", "")) > 40960 for way in ("up", "down")):
            raise error(
                400, "formatter_script_too_large", "formatter script size exceeds maximum allowed size"
            )
        self.link = {name: body["link"][name] for name in body["field_mask"]["paths"]}
        return self.link

    def _list(self, query: dict[str, str]) -> Any:
        limit = min(int(query.get("limit", 1000)), self.largest_page)
        first = (int(query.get("page", 1)) - 1) * limit
        devices = sorted(self.registries["is"].values(), key=lambda one: str(one["ids"]["device_id"]))
        shown = [self._masked(one, query) for one in devices[first : first + limit]]
        return Answer(200, {"end_devices": shown} if shown else {}, x_total_count=str(len(devices)))

    def _get(self, registry: str, device: str, query: dict[str, str]) -> Any:
        paths = query.get("field_mask", "").split(",")
        if any(path.startswith("root_keys") for path in paths):
            self.need(READ_KEYS)
        if device not in self.registries[registry]:
            raise error(404, "device_not_found", "device not found")
        return self._masked(self.registries[registry][device], query)

    @staticmethod
    def _masked(one: Any, query: dict[str, str]) -> Any:
        asked = {path.partition(".")[0] for path in query.get("field_mask", "").split(",")} | {"ids"}
        return {name: value for name, value in one.items() if name in asked}

    def _write(self, registry: str | None, device: str | None, body: Any) -> Any:
        creating = device is None
        if set(body) != ({"end_device"} if creating else {"end_device", "field_mask"}):
            raise error(400, "request_body", f"unknown field in {sorted(body)}")
        one = body["end_device"]
        ids = self._ids(one)
        if device not in (None, ids["device_id"]):
            raise error(400, "ids", "device ID does not match the path")
        if creating:
            if registry:
                raise error(404, "route_not_found", "use PUT")
            return self._create(one, ids)
        return self._set(registry or "is", one, ids, body["field_mask"].get("paths", []))

    def _ids(self, one: Any) -> Any:
        ids = one.get("ids", {})
        if not IDENTIFIER.fullmatch(ids.get("device_id", "")) or len(ids["device_id"]) > 36:
            raise error(
                400, "validation", "invalid EndDeviceIdentifiers.DeviceId: value does not match regex"
            )
        if ids.get("application_ids", {}).get("application_id") != APPLICATION:
            raise error(400, "validation", "invalid EndDeviceIdentifiers.ApplicationIds: value is required")
        for name in ("dev_eui", "join_eui"):
            if not re.fullmatch(r"[0-9A-Fa-f]{16}", ids.get(name, "")):
                raise error(400, "validation", f"invalid EndDeviceIdentifiers.{name}: invalid length")
        return {**ids, "dev_eui": ids["dev_eui"].upper(), "join_eui": ids["join_eui"].upper()}

    def _create(self, one: Any, ids: Any) -> Any:
        self._allowed("is", set(one) - {"ids"})
        self._valid(one)
        if ids["device_id"] in self.registries["is"]:
            raise error(409, "id_taken", f"end device ID `{ids['device_id']}` already taken")
        self._unique("is", ids)
        self.registries["is"][ids["device_id"]] = _full({**one, "ids": ids})
        return self.registries["is"][ids["device_id"]]

    def _unique(self, registry: str, ids: Any) -> None:
        pair = ids["join_eui"], ids["dev_eui"]
        taken = {
            (other["ids"]["join_eui"], other["ids"]["dev_eui"]): f"{name}` in application `{APPLICATION}"
            for name, other in self.registries[registry].items()
            if name != ids["device_id"]
        }
        if owner := (taken | self.elsewhere).get(pair):
            text = f"an end device with JoinEUI `{pair[0]}` and DevEUI `{pair[1]}` is already registered as `{owner}`"
            raise error(409, "end_device_euis_taken", text)

    def _set(self, registry: str, one: Any, ids: Any, paths: list[str]) -> Any:
        self._allowed(registry, set(paths))
        there = self.registries[registry].get(ids["device_id"])
        if registry == "is" and there is None:
            raise error(404, "end_device_not_found", "end device not found")
        if there and there["ids"] != ids:
            raise error(400, "euis", "EUIs of a device cannot be changed")
        self._unique(registry, ids)
        getattr(self, f"_check_{registry}")(one, paths, there)
        new = {**(there or {}), "ids": ids}
        for path in paths:
            name = path.partition(".")[0]
            new[name] = one.get(name)
        self.registries[registry][ids["device_id"]] = _full(new)
        return self._masked(new, {"field_mask": ",".join(paths)})

    @staticmethod
    def _allowed(registry: str, paths: set[str]) -> None:
        if forbidden := paths - FIELDS[registry]:
            raise error(400, "field_mask", f"forbidden path(s) in field mask: {sorted(forbidden)}")

    def _check_is(self, one: Any, paths: list[str], there: Any) -> None:
        self._valid({name: one.get(name) for name in paths})

    @staticmethod
    def _valid(one: Any) -> None:
        if len(one.get("name") or "") > 50 or len(one.get("description") or "") > 2000:
            raise error(400, "validation", "invalid EndDevice.Name: value length must be at most 50 runes")
        attributes = one.get("attributes") or {}
        if len(attributes) > 10:
            raise error(
                400, "validation", "invalid EndDevice.Attributes: value must contain no more than 10 pair(s)"
            )
        for name, value in attributes.items():
            if not IDENTIFIER.fullmatch(name) or len(name) > 36 or len(value) > 200:
                raise error(400, "validation", f"invalid EndDevice.Attributes[{name}]")
        for name in ADDRESSES:
            if one.get(name) and not ADDRESS.fullmatch(one[name]):
                raise error(400, "validation", f"invalid EndDevice.{name}")

    def _check_js(self, one: Any, paths: list[str], there: Any) -> None:
        if any(path.startswith("root_keys") for path in paths):
            self.need(WRITE_KEYS)
            key = one.get("root_keys", {}).get("app_key", {}).get("key", "")
            if not re.fullmatch(r"[0-9A-Fa-f]{32}", key) or not key.strip("0"):
                raise error(400, "field_value", "invalid value of field `root_keys.app_key.key`")

    def _check_ns(self, one: Any, paths: list[str], there: Any) -> None:
        both = {**(there or {}), **{path: one.get(path) for path in paths}}
        for name, known in (
            ("frequency_plan_id", PLANS),
            ("lorawan_version", MAC),
            ("lorawan_phy_version", PHY),
        ):
            if both.get(name) not in known:
                raise error(400, "field_value", f"invalid value of field `{name}`")
        if not both.get("supports_join"):
            raise error(400, "field_value", "invalid value of field `session`")

    def _check_as(self, one: Any, paths: list[str], there: Any) -> None:
        pass


def _full(one: Any) -> Any:
    """What the server keeps and shows: without what is empty, zero or false."""
    if isinstance(one, dict):
        return {
            name: kept
            for name, value in one.items()
            if (kept := _full(value)) not in (None, "", 0, False, {})
        }
    return one
