"""ChirpStack v4 by its own gRPC interface: application, device profile with our codec, devices, keys.

Facts: github.com/chirpstack/chirpstack, api/proto/api/*.proto, and chirpstack/src/api for what the server makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc  # type: ignore[import-untyped]
from chirpstack_api import api, common  # type: ignore[import-untyped]

from borne.decoding.codecs import javascript
from borne.errors import SettingError
from borne.fleet.model import Node
from borne.fleet.networks import describe
from borne.fleet.networks.describe import Keys
from borne.fleet.networks.errors import Busy, Denied, Exists, Missing, Refused, lost_line, scrub
from borne.fleet.networks.pace import Pace
from borne.fleet.networks.plan import Step

T = TypeVar("T")

_TIMEOUT_S: Final = 30.0
_PAGE: Final = 500
_REGIONS: Final = {
    "AS923-1": "AS923",
    **{f"AS923-{number}": f"AS923_{number}" for number in (2, 3, 4)},
    **{name: name for name in ("AU915", "EU433", "EU868", "IN865", "KR920", "US915")},
}
# Longer than the longest pause of a node that keeps quiet at night: after that it counts as inactive.
_UPLINK_INTERVAL_S: Final = 6 * 3600
_BUSY: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED")
_DENIED: Final = ("UNAUTHENTICATED", "PERMISSION_DENIED")
# Of PostgreSQL and SQLite: newer servers hand it through as INTERNAL (storage/error.rs, from_diesel).
_DUPLICATE: Final = ("duplicate key", "UNIQUE constraint")


@dataclass(frozen=True)
class Access:
    """`target` is host:port; `token` an API key of the tenant; `ca` a certificate in PEM, None for the system's."""

    target: str
    token: str
    tls: bool = True
    ca: bytes | None = None

    def __repr__(self) -> str:
        return f"Access({self.target!r})"


class ChirpStack:
    """An application of a tenant (UUID). Use as a context manager: it holds a connection."""

    link = "lorawan"

    def __init__(self, access: Access, tenant: str, application: str, pace: Pace) -> None:
        self._tenant, self._application_name, self._pace = tenant, application, pace
        self._application: str | None = None
        self._profiles: dict[str, str] = {}
        self._devices: dict[str, Any] = {}
        self._secret = access.token
        self._metadata = (("authorization", f"Bearer {access.token}"),)
        # Attempts are counted in pace.py, not twice.
        options = (("grpc.enable_retries", 0),)
        if access.tls:
            credentials = grpc.ssl_channel_credentials(access.ca)
            self._channel = grpc.secure_channel(access.target, credentials, options)
        else:
            self._channel = grpc.insecure_channel(access.target, options)
        self._applications = api.ApplicationServiceStub(self._channel)
        self._profile_service = api.DeviceProfileServiceStub(self._channel)
        self._device_service = api.DeviceServiceStub(self._channel)

    def __enter__(self) -> ChirpStack:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    # --- what all nodes need ---

    def shared(self, nodes: Sequence[Node]) -> list[Step]:
        steps = []
        self._application = self._find_application()
        if self._application is None:
            steps.append(Step(f"application {self._application_name}", self._create_application))
        for region in sorted({describe.region(node) for node in nodes if node.asset.link == self.link}):
            steps += self._profile_steps(region)
        return steps

    def _find_application(self) -> str | None:
        def page(offset: int) -> Any:
            request = api.ListApplicationsRequest(
                limit=_PAGE, offset=offset, search=self._application_name, tenant_id=self._tenant
            )
            return self._call(self._applications.List, request)

        return next((one.id for one in _pages(page) if one.name == self._application_name), None)

    def _create_application(self) -> None:
        # The server knows no names that are taken: an attempt that was answered too late is looked for first.
        self._application = self._find_application()
        if self._application is None:
            application = api.Application(name=self._application_name, tenant_id=self._tenant)
            request = api.CreateApplicationRequest(application=application)
            self._application = self._call(self._applications.Create, request, self._find_application, "id")

    def _profile_steps(self, region: str) -> list[Step]:
        if region not in _REGIONS:
            raise SettingError(f"region: ChirpStack has no {region}; known are {', '.join(_REGIONS)}")
        wanted = self._profile(region)
        found = self._find_profile(region)
        if found is None:
            return [Step(f"device profile {wanted.name}", lambda: self._create_profile(region))]
        self._profiles[region] = found
        there = self._call(self._profile_service.Get, api.GetDeviceProfileRequest(id=found)).device_profile
        different = [field for field in _OUR_PROFILE if getattr(there, field) != getattr(wanted, field)]
        if not different:
            return []
        for field in different:
            setattr(there, field, getattr(wanted, field))
        request = api.UpdateDeviceProfileRequest(device_profile=there)
        what = f"device profile {wanted.name}: {_codec_or(different)}"
        return [Step(what, lambda: self._call(self._profile_service.Update, request))]

    def _profile(self, region: str) -> Any:
        return api.DeviceProfile(
            tenant_id=self._tenant,
            name=f"borne street node {region}",
            description="Made by borne; its codec is that of borne codec --for chirpstack",
            region=common.Region.Value(_REGIONS[region]),
            # The node is 1.0.4: it wants join nonces that count, which a server gives to 1.0.4 and later.
            mac_version=common.MacVersion.LORAWAN_1_0_4,
            reg_params_revision=common.RegParamsRevision.RP002_1_0_3,
            adr_algorithm_id="default",
            payload_codec_runtime=api.CodecRuntime.JS,
            payload_codec_script=javascript("chirpstack"),
            flush_queue_on_activate=True,
            uplink_interval=_UPLINK_INTERVAL_S,
            supports_otaa=True,
            auto_detect_measurements=True,
        )

    def _find_profile(self, region: str) -> str | None:
        name = self._profile(region).name

        def page(offset: int) -> Any:
            request = api.ListDeviceProfilesRequest(
                limit=_PAGE, offset=offset, search=name, tenant_id=self._tenant
            )
            return self._call(self._profile_service.List, request)

        return next((one.id for one in _pages(page) if one.name == name), None)

    def _create_profile(self, region: str) -> None:
        found = self._find_profile(region)
        if found is None:
            request = api.CreateDeviceProfileRequest(device_profile=self._profile(region))
            found = self._call(
                self._profile_service.Create, request, lambda: self._find_profile(region), "id"
            )
        self._profiles[region] = found

    # --- devices ---

    def present(self) -> Mapping[str, str]:
        """Of a server that lacks the application (with a dry run) nothing."""
        if self._application is None:
            return {}

        def page(offset: int) -> Any:
            request = api.ListDevicesRequest(
                limit=_PAGE, offset=offset, application_id=self._application, order_by="DEV_EUI"
            )
            return self._call(self._device_service.List, request)

        self._devices = {one.dev_eui.lower(): one for one in _pages(page)}
        return {eui: one.name for eui, one in self._devices.items()}

    def identify(self, node: Node) -> str:
        return describe.dev_eui(node)

    def steps(self, node: Node, keys: Keys) -> list[Step]:
        eui = describe.dev_eui(node)
        key = describe.app_key(node, keys)
        if eui not in self._devices:
            return [
                Step("device", lambda: self._create(node)),
                Step("key", lambda: self._write_key(eui, key)),
            ]
        steps = []
        request = api.GetDeviceRequest(dev_eui=eui)
        there = self._call(self._device_service.Get, request).device
        wanted = self._device(node)
        if different := [field for field in _OUR_DEVICE if not _has(there, wanted, field)]:
            steps.append(Step(_named(different), lambda: self._update(there, wanted)))
        if what := self._key_differs(eui, key):
            steps.append(Step(what, lambda: self._write_key(eui, key)))
        return steps

    def _device(self, node: Node) -> Any:
        return api.Device(
            dev_eui=describe.dev_eui(node),
            name=node.name,
            description=describe.description(node),
            application_id=self._application or "",
            device_profile_id=self._profiles.get(describe.region(node), ""),
            join_eui=describe.join_eui(node),
            tags=describe.tags(node),
        )

    def _create(self, node: Node) -> None:
        device = self._device(node)
        try:
            self._call(self._device_service.Create, api.CreateDeviceRequest(device=device))
        except Exists as error:
            # By an attempt whose answer was lost; or it is somebody else's, whom we may not even ask.
            try:
                request = api.GetDeviceRequest(dev_eui=device.dev_eui)
                there = self._call(self._device_service.Get, request).device
            except (Denied, Missing):
                raise Refused("its DevEUI is registered with another tenant of this server") from None
            if there.application_id != self._application:
                raise Refused("its DevEUI is registered in another application of this server") from error
            self._update(there, device)

    def _update(self, there: Any, wanted: Any) -> None:
        for field in _OUR_DEVICE:
            if field == "tags":
                there.tags.update(wanted.tags)
            else:
                setattr(there, field, getattr(wanted, field))
        self._call(self._device_service.Update, api.UpdateDeviceRequest(device=there))

    def _key_differs(self, eui: str, key: str) -> str:
        try:
            request = api.GetDeviceKeysRequest(dev_eui=eui)
            there = self._call(self._device_service.GetKeys, request).device_keys
        except Missing:
            return "key"
        if there.nwk_key.upper() == key and there.app_key.strip("0") == "":
            return ""
        if there.app_key.upper() == key:
            return "key, which stood in the field of LoRaWAN 1.1"
        return "key, which was another"

    def _write_key(self, eui: str, key: str) -> None:
        # A LoRaWAN 1.0.x AppKey goes into nwk_key (device.proto, DeviceKeys): with app_key no join is ever answered.
        keys = api.DeviceKeys(dev_eui=eui, nwk_key=key)
        try:
            self._call(self._device_service.CreateKeys, api.CreateDeviceKeysRequest(device_keys=keys))
        except Exists:
            self._call(self._device_service.UpdateKeys, api.UpdateDeviceKeysRequest(device_keys=keys))

    # --- calls ---

    def _call(
        self, method: Any, request: Any, done: Callable[[], T | None] | None = None, field: str = ""
    ) -> Any:
        """One call, repeated while the server is busy; before a repetition `done` may find that it was done."""
        attempts = 0

        def attempt() -> Any:
            nonlocal attempts
            attempts += 1
            if done and attempts > 1 and (found := done()) is not None:
                return found
            try:
                answer = method(request, metadata=self._metadata, timeout=_TIMEOUT_S)
            except grpc.RpcError as error:
                raise self._told(error) from None
            return getattr(answer, field) if field else answer

        return self._pace(attempt)

    def _told(self, error: Any) -> Exception:
        code = error.code().name
        text = scrub(error.details() or code.lower(), self._secret)
        if code == "UNAVAILABLE":
            return lost_line("ChirpStack", text)
        if code in _BUSY:
            return Busy(f"ChirpStack: {text}", _rest(error))
        if code in _DENIED:
            return Denied(f"ChirpStack does not accept the token: {text}")
        if any(words in (error.details() or "") for words in _DUPLICATE):
            return Exists("ChirpStack: it exists already")
        kind = {"NOT_FOUND": Missing, "ALREADY_EXISTS": Exists}.get(code, Refused)
        return kind(f"ChirpStack: {text}")


_OUR_DEVICE: Final = ("name", "description", "application_id", "device_profile_id", "join_eui", "tags")
_OUR_PROFILE: Final = (
    *("region", "mac_version", "reg_params_revision", "payload_codec_runtime", "payload_codec_script"),
    "supports_otaa",
)


def _has(there: Any, wanted: Any, field: str) -> bool:
    if field == "tags":
        return all(there.tags.get(name) == value for name, value in wanted.tags.items())
    return bool(getattr(there, field) == getattr(wanted, field))


def _named(fields: Sequence[str]) -> str:
    return ", ".join(field.replace("_id", "").replace("_", " ") for field in fields)


def _codec_or(fields: Sequence[str]) -> str:
    return "codec" if list(fields) == ["payload_codec_script"] else _named(fields)


def _pages(page: Callable[[int], Any]) -> Iterator[Any]:
    """Every item of a list that comes in pages; of limit 0 the server would give the count alone."""
    offset = 0
    while True:
        answer = page(offset)
        yield from answer.result
        offset += len(answer.result)
        if not answer.result or offset >= answer.total_count:
            return


def _rest(error: Any) -> float | None:
    """What a proxy before the server asks to wait, in seconds."""
    for name, value in error.trailing_metadata() or ():
        if name in ("retry-after", "x-rate-limit-retry"):
            try:
                return float(value)
            except ValueError:
                return None
    return None
