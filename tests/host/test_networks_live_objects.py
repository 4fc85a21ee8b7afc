"""Registration with Live Objects: devices and their LoRa interfaces, on a server that keeps state."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults import Faults, Waits
from hypothesis import given, settings
from hypothesis import strategies as st
from live_objects_server import KEY, LiveObjectsServer
from network_kit import BreakingPace, actions, key_of, lamp, run, until_interrupted

from borne.errors import SettingError
from borne.fleet.model import Asset, Node
from borne.fleet.networks import plan
from borne.fleet.networks.liveobjects import LiveObjects, Offer
from borne.fleet.networks.pace import Pace

OFFER = Offer("Generic_classA_RX2SF9", plan="orange-cs/CP_Basic")


@pytest.fixture
def server() -> Iterator[LiveObjectsServer]:
    with LiveObjectsServer() as one:
        yield one


def client(server: LiveObjectsServer, pace: Pace | None = None, token: str = KEY) -> LiveObjects:
    waits = Waits()
    return LiveObjects(token, OFFER, pace or Pace(sleep=waits.sleep, now=waits.now), url=server.url)


def register(server: LiveObjectsServer, nodes: list[Node], **more: object) -> list[plan.Row]:
    with client(server) as one:
        return run(one, nodes, **more)  # type: ignore[arg-type]


def test_a_device_and_its_interface_are_made_and_then_left(server: LiveObjectsServer) -> None:
    nodes = [lamp(number) for number in range(5)]
    assert set(actions(register(server, nodes, dry_run=True)).values()) == {plan.WOULD_CREATE}
    assert server.devices == {}
    assert set(actions(register(server, nodes)).values()) == {plan.CREATED}
    urn = "urn:lo:nsid:lora:70B3D57ED0000000"
    assert server.devices[urn]["properties"]["asset"] == "LAMP-0000"
    definition = server.interfaces[urn, "lora:70B3D57ED0000000"]["definition"]
    assert (definition["appKey"], definition["appEUI"]) == (
        key_of(nodes[0]).decode().upper(),
        "70B3D57ED0000001",
    )
    before = server.state()
    server.largest_page = 2
    for server.shows_keys in (False, True):
        assert set(actions(register(server, nodes)).values()) == {plan.SAME}
    assert server.state() == before


def test_what_differs_is_mended_and_what_others_added_is_left(server: LiveObjectsServer) -> None:
    register(server, [lamp(0), lamp(1)])
    urn = "urn:lo:nsid:lora:70B3D57ED0000000"
    server.devices[urn]["name"] = "renamed"
    server.devices[urn]["properties"]["theirs"] = "kept"
    server.interfaces[urn, "lora:70B3D57ED0000000"]["definition"]["appEUI"] = "1" * 16
    del server.interfaces["urn:lo:nsid:lora:70B3D57ED0000001", "lora:70B3D57ED0000001"]
    rows = {row.asset: row for row in register(server, [lamp(0), lamp(1)])}
    assert rows["LAMP-0000"].detail == "name, appEUI" and rows["LAMP-0001"].detail == "LoRa interface"
    assert server.devices[urn]["properties"]["theirs"] == "kept"
    server.shows_keys = True
    server.interfaces[urn, "lora:70B3D57ED0000000"]["definition"]["appKey"] = "AB" * 16
    assert [row.detail for row in register(server, [lamp(0)]) if row.action == plan.CHANGED] == ["key"]


def test_refusals_and_strangers(server: LiveObjectsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    server.faults.rule = lambda name, content: "refused" if "LAMP-0001" in content else None
    rows = register(server, [lamp(0), lamp(1)])
    assert actions(rows) == {"LAMP-0000": plan.CREATED, "LAMP-0001": plan.REFUSED}
    said = repr(rows) + caplog.text
    assert key_of(lamp(1)).decode().upper() not in said.upper() and KEY not in said
    server.faults.rule = lambda name, content: None
    assert actions(register(server, [lamp(1)])) == {"LAMP-0001": plan.CREATED, "LAMP-0000": plan.UNKNOWN}
    with client(server, token="wrong") as one:
        assert [row.action for row in run(one, [lamp(0)])] == [plan.FAILED, plan.NOT_TRIED]


def test_what_live_objects_is_not(server: LiveObjectsServer) -> None:
    with pytest.raises(SettingError, match="LAMP-0000: Live Objects is a network of EU868"):
        register(server, [lamp(0, region="US915")])
    with pytest.raises(SettingError, match="profile: is missing"):
        LiveObjects(KEY, Offer(""), Pace())
    rows = register(server, [Node(Asset("BIN", "fill", link="wifi"), "BIN")])
    assert actions(rows) == {"BIN": plan.REFUSED}


@settings(max_examples=20)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True),
    stop=st.integers(0, 9),
    after=st.booleans(),
    faults=st.dictionaries(st.integers(0, 12), st.sampled_from(["busy", "down", "lost", "cut"]), max_size=4),
)
def test_broken_off_anywhere_and_run_again_ends_as_run_once(
    numbers: list[int], stop: int, after: bool, faults: dict[int, str]
) -> None:
    nodes = [lamp(number) for number in numbers]
    with LiveObjectsServer() as whole:
        register(whole, nodes)
        wanted = whole.state()
    with LiveObjectsServer(Faults(faults)) as server:
        with client(server, BreakingPace(stop, after)) as one:
            until_interrupted(one, nodes)
        assert not [row for row in register(server, nodes) if row.action in plan.FAILURES]
        assert server.state() == wanted
        assert set(actions(register(server, nodes)).values()) == {plan.SAME}
