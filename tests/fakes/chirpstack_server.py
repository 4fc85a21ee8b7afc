"""A ChirpStack v4 on the loopback, of chirpstack-api's own service classes: keeps state and the real server's rules.

Rules from github.com/chirpstack/chirpstack: api/device.rs, api/device_profile.rs, api/application.rs,
api/auth/validator.rs (what may not be seen is "unauthenticated", even where it does not exist), storage/error.rs
(a duplicate is INTERNAL with the database's words), lrwn (malformed hexadecimal digits are INTERNAL).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from chirpstack_api import api
from faults import Faults
from google.protobuf.empty_pb2 import Empty

TENANT, STRANGER = "52f14cd4-c6f1-4fbd-8f87-4025e1d49242", "11111111-c6f1-4fbd-8f87-4025e1d49242"
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.planted-token"
CODES = {"busy": grpc.StatusCode.RESOURCE_EXHAUSTED, "down": grpc.StatusCode.UNAVAILABLE}
CODES |= {"lost": grpc.StatusCode.UNAVAILABLE, "cut": grpc.StatusCode.UNAVAILABLE}
CODES |= {"denied": grpc.StatusCode.UNAUTHENTICATED, "refused": grpc.StatusCode.INVALID_ARGUMENT}


class ChirpStackServer:
    """`applications`, `profiles`, `devices`, `keys` by their identifiers, as protobuf messages.

    `tls`: private key and certificate in PEM, for localhost.
    """

    def __init__(self, faults: Faults | None = None, tls: tuple[bytes, bytes] | None = None) -> None:
        self.faults = faults or Faults()
        self.applications: dict[str, Any] = {}
        self.profiles: dict[str, Any] = {}
        self.devices: dict[str, Any] = {}
        self.keys: dict[str, Any] = {}
        self.largest_page = 100
        self._server = grpc.server(futures.ThreadPoolExecutor(2))
        for service in (Applications(self), Profiles(self), Devices(self)):
            service.add(self._server)
        if tls:
            credentials = grpc.ssl_server_credentials([tls])
            self.target = f"localhost:{self._server.add_secure_port('localhost:0', credentials)}"
        else:
            self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> ChirpStackServer:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def state(self) -> Any:
        """Everything that outlives a call, without the identifiers that the server drew."""
        names = {key: one.name for key, one in (self.applications | self.profiles).items()}
        devices = {
            eui: (
                *(d.name, d.description, d.join_eui, sorted(d.tags.items())),
                *(names.get(d.application_id), names.get(d.device_profile_id)),
            )
            for eui, d in self.devices.items()
        }
        profiles = sorted((p.name, p.payload_codec_script) for p in self.profiles.values())
        keys = {eui: (k.nwk_key, k.app_key) for eui, k in self.keys.items()}
        return sorted(names.values()), profiles, devices, keys

    def answers_join(self, eui: str, key: str) -> bool:
        """Whether a LoRaWAN 1.0.x node with this AppKey would be let in: its root key is looked for in nwk_key."""
        return eui in self.keys and self.keys[eui].nwk_key == key.lower()

    def call(self, name: str, request: Any, context: Any, act: Callable[[], Any]) -> Any:
        fault = self.faults.next(name, str(request))
        given = dict(context.invocation_metadata()).get("authorization")
        if given is None:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no authorization provided")
        if given != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidSignature")
        if fault and fault != "lost":
            if fault == "busy":
                context.set_trailing_metadata((("retry-after", str(self.faults.retry_after)),))
            # A server that repeats what it was given: none of it may reach a user's eyes.
            context.abort(CODES[fault], f"{fault}: {request}" if fault == "refused" else fault)
        answer = act()
        if fault == "lost":
            context.abort(CODES[fault], "Socket closed")
        return answer


class Service:
    def __init__(self, server: ChirpStackServer) -> None:
        self.server = server

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not name[0].isupper():
            return found
        return lambda request, context: self.server.call(
            f"{type(self).__name__}.{name}", request, context, lambda: found(request, context)
        )

    def page(self, request: Any, found: list[Any], kind: Any, item: Callable[[Any], Any]) -> Any:
        # "If not set, it will be treated as 0, and the response will only return the total_count."
        end = request.offset + min(request.limit, self.server.largest_page)
        return kind(total_count=len(found), result=[item(one) for one in found[request.offset : end]])


def identifier(given: str, context: Any) -> str:
    try:
        return str(uuid.UUID(given))
    except ValueError:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"invalid length: {given}")
        raise


def digits(given: str, count: int, context: Any) -> str:
    if not given:
        return "0" * count
    if not re.fullmatch(f"[0-9A-Fa-f]{{{count}}}", given):
        context.abort(grpc.StatusCode.INTERNAL, "Invalid string length")
    return given.lower()


def named(one: Any, context: Any) -> None:
    if not one.name:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Validation error: name is not set")


def visible(allowed: bool, context: Any) -> None:
    if not allowed:
        context.abort(grpc.StatusCode.UNAUTHENTICATED, "")


class Applications(Service, api.ApplicationServiceServicer):
    def add(self, server: Any) -> None:
        api.add_ApplicationServiceServicer_to_server(self, server)

    def Create(self, request: Any, context: Any) -> Any:
        visible(identifier(request.application.tenant_id, context) == TENANT, context)
        named(request.application, context)
        new = str(uuid.uuid4())
        self.server.applications[new] = api.Application()
        self.server.applications[new].CopyFrom(request.application)
        self.server.applications[new].id = new
        return api.CreateApplicationResponse(id=new)

    def List(self, request: Any, context: Any) -> Any:
        visible(identifier(request.tenant_id, context) == TENANT, context)
        ours = [one for one in self.server.applications.values() if one.tenant_id == TENANT]
        found = [one for one in ours if request.search.lower() in one.name.lower()]
        return self.page(
            request,
            found,
            api.ListApplicationsResponse,
            lambda one: api.ApplicationListItem(id=one.id, name=one.name),
        )


class Profiles(Service, api.DeviceProfileServiceServicer):
    def add(self, server: Any) -> None:
        api.add_DeviceProfileServiceServicer_to_server(self, server)

    def Create(self, request: Any, context: Any) -> Any:
        visible(identifier(request.device_profile.tenant_id, context) == TENANT, context)
        named(request.device_profile, context)
        new = str(uuid.uuid4())
        self.server.profiles[new] = api.DeviceProfile()
        self.server.profiles[new].CopyFrom(request.device_profile)
        self.server.profiles[new].id = new
        return api.CreateDeviceProfileResponse(id=new)

    def Get(self, request: Any, context: Any) -> Any:
        visible(identifier(request.id, context) in self.server.profiles, context)
        return api.GetDeviceProfileResponse(device_profile=self.server.profiles[request.id])

    def Update(self, request: Any, context: Any) -> Any:
        visible(identifier(request.device_profile.id, context) in self.server.profiles, context)
        named(request.device_profile, context)
        self.server.profiles[request.device_profile.id].CopyFrom(request.device_profile)
        return Empty()

    def List(self, request: Any, context: Any) -> Any:
        visible(identifier(request.tenant_id, context) == TENANT, context)
        found = [one for one in self.server.profiles.values() if request.search.lower() in one.name.lower()]
        return self.page(
            request,
            found,
            api.ListDeviceProfilesResponse,
            lambda one: api.DeviceProfileListItem(id=one.id, name=one.name),
        )


class Devices(Service, api.DeviceServiceServicer):
    def add(self, server: Any) -> None:
        api.add_DeviceServiceServicer_to_server(self, server)

    def ours(self, eui: str) -> bool:
        device = self.server.devices.get(eui)
        return device is not None and device.application_id in {
            key for key, one in self.server.applications.items() if one.tenant_id == TENANT
        }

    def checked(self, device: Any, context: Any) -> Any:
        eui = digits(device.dev_eui, 16, context)
        application = identifier(device.application_id, context)
        profile = identifier(device.device_profile_id, context)
        visible(application in self.server.applications, context)
        if profile not in self.server.profiles:
            context.abort(
                grpc.StatusCode.INTERNAL,
                'insert or update on table "device" violates foreign key constraint "device_device_profile_id_fkey"',
            )
        copy = api.Device()
        copy.CopyFrom(device)
        copy.dev_eui, copy.join_eui = eui, digits(device.join_eui, 16, context)
        return copy

    def Create(self, request: Any, context: Any) -> Any:
        device = self.checked(request.device, context)
        if device.dev_eui in self.server.devices:
            context.abort(
                grpc.StatusCode.INTERNAL, 'duplicate key value violates unique constraint "device_pkey"'
            )
        self.server.devices[device.dev_eui] = device
        return Empty()

    def Get(self, request: Any, context: Any) -> Any:
        eui = digits(request.dev_eui, 16, context)
        visible(self.ours(eui), context)
        return api.GetDeviceResponse(device=self.server.devices[eui])

    def Update(self, request: Any, context: Any) -> Any:
        device = self.checked(request.device, context)
        visible(self.ours(device.dev_eui), context)
        named(device, context)
        self.server.devices[device.dev_eui] = device
        return Empty()

    def List(self, request: Any, context: Any) -> Any:
        application = identifier(request.application_id, context)
        visible(application in self.server.applications, context)
        found = [one for one in self.server.devices.values() if one.application_id == application]
        found.sort(key=lambda one: one.dev_eui if request.order_by == 1 else one.name)
        return self.page(
            request,
            found,
            api.ListDevicesResponse,
            lambda one: api.DeviceListItem(dev_eui=one.dev_eui, name=one.name, tags=one.tags),
        )

    def read_keys(self, request: Any, context: Any) -> tuple[str, Any]:
        given = request.device_keys
        eui = digits(given.dev_eui, 16, context)
        visible(self.ours(eui), context)
        fields = {
            name: digits(getattr(given, name), 32, context) for name in ("nwk_key", "app_key", "gen_app_key")
        }
        return eui, api.DeviceKeys(dev_eui=eui, **fields)

    def CreateKeys(self, request: Any, context: Any) -> Any:
        eui, keys = self.read_keys(request, context)
        if eui in self.server.keys:
            context.abort(
                grpc.StatusCode.INTERNAL, 'duplicate key value violates unique constraint "device_keys_pkey"'
            )
        self.server.keys[eui] = keys
        return Empty()

    def UpdateKeys(self, request: Any, context: Any) -> Any:
        eui, keys = self.read_keys(request, context)
        if eui not in self.server.keys:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Object does not exist (id: {eui})")
        self.server.keys[eui] = keys
        return Empty()

    def GetKeys(self, request: Any, context: Any) -> Any:
        eui = digits(request.dev_eui, 16, context)
        visible(self.ours(eui), context)
        if eui not in self.server.keys:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Object does not exist (id: {eui})")
        return api.GetDeviceKeysResponse(device_keys=self.server.keys[eui])
