"""The Things Stack v3 by its HTTP interface: a device stands in four registries, each with its own fields.

Facts: github.com/TheThingsNetwork/lorawan-stack, api/ttn/lorawan/v3/end_device*.proto (paths, lengths, patterns),
pkg/ttnpb/field_mask_validation.go (which field belongs to which registry), cmd/ttn-lw-cli (the order).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from borne.decoding.codecs import javascript
from borne.errors import NetworkError, SettingError
from borne.fleet.model import Node
from borne.fleet.networks import describe
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.errors import Denied, Exists, Missing, Refused
from borne.fleet.networks.pace import Pace
from borne.fleet.networks.plan import Step
from borne.fleet.networks.rest import Rest

# github.com/TheThingsNetwork/lorawan-frequency-plans. Of several for a region the one without further channels, or
# with the second sub-band, which is what public gateways of that region listen to.
FREQUENCY_PLANS: Final[Mapping[str, str]] = {
    "AS923-1": "AS_923",
    **{f"AS923-{number}": f"AS_923_{number}" for number in (2, 3, 4)},
    "AU915": "AU_915_928_FSB_2",
    "EU433": "EU_433",
    "EU868": "EU_863_870_TTN",
    "IN865": "IN_865_867",
    "KR920": "KR_920_923_TTN",
    "US915": "US_902_928_FSB_2",
}
MAC, PHY = "MAC_V1_0_4", "RP002_V1_0_3"
_PAGE: Final = 1000
_LISTED: Final = (
    *("name", "description", "attributes", "locations"),
    *("network_server_address", "application_server_address", "join_server_address"),
)
_NAME_MAX, _DESCRIPTION_MAX, _ATTRIBUTE_MAX = 50, 2000, 200  # end_device.proto, validate.rules
_OURS: Final = ("asset", "kind", "profile", "site", "street")
_FORMATTERS: Final = ("up_formatter", "up_formatter_parameter", "down_formatter", "down_formatter_parameter")


def device_id(node: Node) -> str:
    """As the console names a device: unique by the DevEUI, and of the letters that an identifier may have."""
    return f"eui-{describe.dev_eui(node)}"


def frequency_plan(node: Node, plans: Mapping[str, str]) -> str:
    region = describe.region(node)
    if region not in plans:
        raise SettingError(f"region: there is no frequency plan for {region}; known are {', '.join(plans)}")
    return plans[region]


class TheThingsStack:
    """An application that is there already: to make one needs more rights than an application's key has."""

    link = "lorawan"

    def __init__(
        self,
        url: str,
        token: str,
        application: str,
        pace: Pace,
        *,
        plans: Mapping[str, str] = FREQUENCY_PLANS,
        ca: bytes | None = None,
    ) -> None:
        self._host = urlsplit(url).hostname or ""
        self._application, self._plans = application, plans
        headers = {"Authorization": f"Bearer {token}"}
        self._rest = Rest("The Things Stack", url, headers, token, pace, reason=_reason, ca=ca)
        self._devices: dict[str, Any] = {}

    def __enter__(self) -> TheThingsStack:
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.close()

    # --- what all nodes need ---

    def shared(self, nodes: Sequence[Node]) -> list[Step]:
        """The codec, as the application's default for all its devices."""
        path = f"/api/v3/as/applications/{self._application}/link"
        try:
            self._rest.get(f"/api/v3/applications/{self._application}", field_mask="name")
        except Missing:
            raise NetworkError(
                f"The Things Stack: there is no application {self._application}: make it in the console first"
            ) from None
        try:
            there = self._rest.get(path, field_mask="default_formatters").get("default_formatters", {})
        except Missing:
            there = {}
        wanted = {name: "FORMATTER_JAVASCRIPT" for name in _FORMATTERS if name.endswith("formatter")}
        wanted |= {name: javascript("tts") for name in _FORMATTERS if name.endswith("parameter")}
        if there == wanted:
            return []
        body = {"link": {"default_formatters": wanted}, "field_mask": {"paths": ["default_formatters"]}}
        return [Step("codec of the application", lambda: self._put(path, body))]

    # --- devices ---

    def present(self) -> Mapping[str, str]:
        found: list[Any] = []
        page = 1
        while True:
            params: dict[str, str | int] = {
                "field_mask": ",".join(_LISTED),
                "limit": _PAGE,
                "page": page,
                "order": "device_id",
            }
            answer, headers = self._rest.send("GET", f"{self._is()}", params=params)
            listed = answer.get("end_devices", [])
            found += listed
            if not listed or len(found) >= int(headers.get("x-total-count", 0)):
                break
            page += 1
        # One without a DevEUI is none of ours, but is to be reported.
        self._devices = {one["ids"].get("dev_eui", one["ids"]["device_id"]).lower(): one for one in found}
        return {eui: one.get("name") or one["ids"]["device_id"] for eui, one in self._devices.items()}

    def identify(self, node: Node) -> str:
        return describe.dev_eui(node)

    def steps(self, node: Node, keys: Keys) -> list[Step]:
        key = describe.app_key(node, keys)
        there = self._devices.get(describe.dev_eui(node))
        ids = there["ids"] if there else self._ids(node)
        if there and there["ids"].get("join_eui", "").lower() != describe.join_eui(node):
            raise Refused(
                f"is there with the JoinEUI {there['ids'].get('join_eui')}, which cannot be changed: delete it on "
                "the server, then register it again"
            )
        steps = [Step("device", lambda: self._create(node))] if there is None else self._describe(node, there)
        steps += self._join_server(ids, key, there is not None)
        steps += self._network_server(ids, node, there is not None)
        steps += self._application_server(ids, there is not None)
        return steps

    def _ids(self, node: Node) -> dict[str, Any]:
        return {
            "device_id": device_id(node),
            "dev_eui": describe.dev_eui(node).upper(),
            "join_eui": describe.join_eui(node).upper(),
            "application_ids": {"application_id": self._application},
        }

    def _create(self, node: Node) -> None:
        device = {"ids": self._ids(node)} | self._wanted(node, {})
        try:
            self._rest.send("POST", self._is(), {"end_device": device})
        except Exists as error:
            # By an attempt whose answer was lost; or it is somebody else's, which the server's words tell.
            try:
                there = self._rest.get(self._is(device_id(node)), field_mask=",".join(_LISTED))
            except (Missing, Denied):
                raise error from None
            if there["ids"].get("dev_eui", "").lower() != describe.dev_eui(node):
                raise
            for step in self._describe(node, there):
                step.act()

    def _wanted(self, node: Node, there: Mapping[str, Any]) -> dict[str, Any]:
        """What the identity server shall hold; attributes and locations of others stay."""
        tags = {name: value[:_ATTRIBUTE_MAX] for name, value in describe.tags(node).items() if name in _OURS}
        wanted: dict[str, Any] = {
            "name": node.name[:_NAME_MAX],
            "description": describe.description(node)[:_DESCRIPTION_MAX],
            "attributes": {**there.get("attributes", {}), **tags},
            **dict.fromkeys(
                ("network_server_address", "application_server_address", "join_server_address"), self._host
            ),
        }
        asset = node.asset
        if asset.latitude is not None and asset.longitude is not None:
            place = {"latitude": asset.latitude, "longitude": asset.longitude, "source": "SOURCE_REGISTRY"}
            wanted["locations"] = {**there.get("locations", {}), "user": place}
        return wanted

    def _describe(self, node: Node, there: Mapping[str, Any]) -> list[Step]:
        wanted = self._wanted(node, there)
        # What is empty or zero is left out of an answer.
        different = [name for name, value in wanted.items() if _bare(there.get(name)) != _bare(value)]
        if not different:
            return []
        device = {"ids": there["ids"]} | {name: wanted[name] for name in different}
        what = ", ".join(name.replace("_", " ") for name in different)
        return [Step(what, lambda: self._set(self._is(there["ids"]["device_id"]), device, different))]

    def _join_server(self, ids: Mapping[str, Any], key: str, look: bool) -> list[Step]:
        field = "root_keys.app_key.key"
        what = "key"
        path = self._path("js", ids)
        if look:
            try:
                there = self._rest.get(path, field_mask=field).get("root_keys", {}).get("app_key", {})
                if there.get("key", "").upper() == key:
                    return []
                what = "key, which was another" if there else "key"
            except Missing:
                pass
            except Denied:
                # Written again, which changes nothing if it was right: not every token may read keys.
                what = "key, which this token may not read"
        device = {
            "ids": ids,
            "root_keys": {"app_key": {"key": key}},
            "network_server_address": self._host,
            "application_server_address": self._host,
        }
        paths = [field, "network_server_address", "application_server_address"]
        return [Step(what, lambda: self._set(path, device, paths))]

    def _network_server(self, ids: Mapping[str, Any], node: Node, look: bool) -> list[Step]:
        wanted = {
            "frequency_plan_id": frequency_plan(node, self._plans),
            "lorawan_version": MAC,
            "lorawan_phy_version": PHY,
            "supports_join": True,
        }
        different = self._differ(self._path("ns", ids), wanted, look)
        if not different:
            return []
        device = {"ids": ids, **wanted}
        what = "network server" if len(different) == len(wanted) else ", ".join(different).replace("_", " ")
        return [Step(what, lambda: self._set(self._path("ns", ids), device, list(wanted)))]

    def _application_server(self, ids: Mapping[str, Any], look: bool) -> list[Step]:
        path = self._path("as", ids)
        if look:
            try:
                self._rest.get(path, field_mask="formatters")
                return []
            except Missing:
                pass
        return [Step("application server", lambda: self._set(path, {"ids": ids}, []))]

    def _differ(self, path: str, wanted: Mapping[str, Any], look: bool) -> list[str]:
        there: Mapping[str, Any] = {}
        if look:
            try:
                there = self._rest.get(path, field_mask=",".join(wanted))
            except Missing:
                there = {}
        return [name for name, value in wanted.items() if there.get(name) != value]

    # --- calls ---

    def _is(self, device: str = "") -> str:
        return f"/api/v3/applications/{self._application}/devices" + (f"/{device}" if device else "")

    def _path(self, registry: str, ids: Mapping[str, Any]) -> str:
        return f"/api/v3/{registry}/applications/{self._application}/devices/{ids['device_id']}"

    def _set(self, path: str, device: Mapping[str, Any], paths: Sequence[str]) -> None:
        self._put(path, {"end_device": device, "field_mask": {"paths": list(paths)}})

    def _put(self, path: str, body: Mapping[str, Any]) -> None:
        self._rest.send("PUT", path, body)


def _bare(value: Any) -> Any:
    """Without what is empty, which an answer leaves out."""
    if isinstance(value, Mapping):
        return {name: bare for name, one in value.items() if (bare := _bare(one)) not in (None, "", 0, {})}
    return value or ""


def _reason(given: Any) -> str:
    """The message of an error, without its place in the server's source: `error:pkg/...:name (message)`."""
    text = str(given["message"])
    head, _, rest = text.partition(" (")
    return rest.removesuffix(")") if head.startswith("error:") and rest else text
