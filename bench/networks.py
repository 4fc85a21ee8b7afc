"""Labels a second; registrations a second with servers on the loopback, beside the bare calls that these need."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import segno
from chirpstack_api import api
from fpdf import FPDF

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

from chirpstack_server import TENANT, ChirpStackServer  # noqa: E402
from chirpstack_server import TOKEN as CHIRPSTACK_TOKEN  # noqa: E402
from network_kit import key_of, lamp, run  # noqa: E402
from things_stack_server import APPLICATION, TOKEN, ThingsStackServer  # noqa: E402

from borne.fleet.labels import artwork, sheets, stock, tr005  # noqa: E402
from borne.fleet.model import Asset, Node  # noqa: E402
from borne.fleet.networks.chirpstack import Access, ChirpStack  # noqa: E402
from borne.fleet.networks.mosquitto import Mosquitto  # noqa: E402
from borne.fleet.networks.pace import Pace  # noqa: E402
from borne.fleet.networks.tts import TheThingsStack  # noqa: E402

NODES = [lamp(number) for number in range(400)]


def rows() -> list[dict[str, Any]]:
    paper = stock.named("L7160")
    drawn = [artwork.draw(node, paper) for node in NODES]
    labels = _rate(lambda: sheets.pdf([artwork.draw(node, paper) for node in NODES], paper))
    bare = _rate(_pictures_on_a_page)
    pictures = _rate(lambda: [sheets.png(one, paper) for one in drawn[:100]], 100)
    found = [
        _row("labels on sheets of L7160", labels, "labels/s", "QR codes as pictures in a PDF", bare),
        _row("single labels as PNG, 300 dpi", pictures, "labels/s"),
    ]
    return found + _chirpstack() + _things_stack() + _mosquitto()


def _pictures_on_a_page() -> None:
    """What a short script would do: segno's PNG, put on the page by fpdf2."""
    page = FPDF()
    page.add_page()
    for number, node in enumerate(NODES):
        picture = io.BytesIO()
        segno.make(tr005.text_of(node), error="h", micro=False).save(picture, kind="png", scale=10)
        page.image(picture, number % 3 * 60, number // 3 % 7 * 38, 34)
    page.output()


def _chirpstack() -> list[dict[str, Any]]:
    with ChirpStackServer() as server:
        access = Access(server.target, CHIRPSTACK_TOKEN, tls=False)
        with ChirpStack(access, TENANT, "street", Pace()) as one:
            made = _rate(lambda: run(one, NODES))
            again = _rate(lambda: run(one, NODES))
            application, profile = next(iter(server.applications)), next(iter(server.profiles))
        server.devices.clear()
        server.keys.clear()
        bare = _rate(lambda: _bare_chirpstack(server.target, application, profile))
    peer = "the same calls, bare"
    return [
        _row("registrations, ChirpStack", made, "nodes/s", peer, bare),
        _row("found to be so already, ChirpStack", again, "nodes/s"),
    ]


def _bare_chirpstack(target: str, application: str, profile: str) -> None:
    with grpc.insecure_channel(target) as channel:
        devices = api.DeviceServiceStub(channel)
        token = (("authorization", f"Bearer {CHIRPSTACK_TOKEN}"),)
        for node in NODES:
            device = api.Device(
                dev_eui=node.dev_eui, name=node.name, application_id=application, device_profile_id=profile
            )
            devices.Create(api.CreateDeviceRequest(device=device), metadata=token)
            keys = api.DeviceKeys(dev_eui=node.dev_eui, nwk_key=key_of(node).decode())
            devices.CreateKeys(api.CreateDeviceKeysRequest(device_keys=keys), metadata=token)


def _things_stack() -> list[dict[str, Any]]:
    with ThingsStackServer() as server:
        with TheThingsStack(server.url, TOKEN, APPLICATION, Pace()) as one:
            made = _rate(lambda: run(one, NODES))
            again = _rate(lambda: run(one, NODES))
        bodies = [
            (f"/api/v3/{name}/applications/{APPLICATION}/devices/{device}", {"end_device": body})
            for name in ("js", "ns", "as")
            for device, body in server.registries[name].items()
        ]
        bare = _rate(lambda: _bare_things_stack(server.url, bodies))
    return [
        _row("registrations, The Things Stack", made, "nodes/s", "as many PUTs, bare", bare),
        _row("found to be so already, The Things Stack", again, "nodes/s"),
    ]


def _bare_things_stack(url: str, bodies: list[tuple[str, Any]]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=url, headers=headers) as client:
        for path, body in [*bodies, *bodies[: len(NODES)]]:
            client.put(path, json={**body, "field_mask": {"paths": []}})


def _mosquitto() -> list[dict[str, Any]]:
    nodes = [Node(Asset(f"BIN-{number}", "fill", link="wifi"), f"BIN-{number}") for number in range(400)]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "passwords", Path(folder) / "acl"
        made = _rate(lambda: run(Mosquitto(*files), nodes))
    return [_row("registrations, Mosquitto's files", made, "nodes/s")]


def _rate(work: Callable[[], Any], count: int = len(NODES)) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def _row(
    name: str, value: float, unit: str, peer: str | None = None, peer_value: float | None = None
) -> dict[str, Any]:
    ratio = value / peer_value if peer_value else None
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
    }
