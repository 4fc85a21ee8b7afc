"""Registration with The Things Stack: a server that keeps the four registries and the rules of its definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from faults import Faults, Waits
from hypothesis import given, settings
from hypothesis import strategies as st
from network_kit import BreakingPace, actions, key_of, lamp, run, until_interrupted
from things_stack_server import APPLICATION, READ_KEYS, TOKEN, WRITE, ThingsStackServer

from borne.decoding.codecs import javascript
from borne.fleet.model import Asset, Node
from borne.fleet.networks import plan
from borne.fleet.networks.pace import Pace
from borne.fleet.networks.tts import TheThingsStack


@pytest.fixture
def server() -> Iterator[ThingsStackServer]:
    with ThingsStackServer() as one:
        yield one


def client(server: ThingsStackServer, waits: Waits | None = None, token: str = TOKEN) -> TheThingsStack:
    waits = waits or Waits()
    return TheThingsStack(
        server.url, token, APPLICATION, Pace(sleep=waits.sleep, now=waits.now, draw=lambda: 0.5)
    )


def register(server: ThingsStackServer, nodes: list[Node], **more: object) -> list[plan.Row]:
    with client(server) as one:
        return run(one, nodes, **more)  # type: ignore[arg-type]


def writes(server: ThingsStackServer) -> list[str]:
    return [call for call in server.faults.calls if not call.startswith("GET ")]


def test_a_device_stands_in_all_four_registries(server: ThingsStackServer) -> None:
    node = lamp(0)
    rows = register(server, [node])
    assert actions(rows) == {"LAMP-0000": plan.CREATED}
    name = f"eui-{node.dev_eui}"
    device = server.registries["is"][name]
    assert (device["name"], device["attributes"]["asset"]) == ("LAMP-0000", "LAMP-0000")
    assert device["locations"]["user"]["latitude"] == 48.1
    assert server.registries["js"][name]["root_keys"]["app_key"]["key"] == key_of(node).decode().upper()
    assert server.registries["ns"][name]["frequency_plan_id"] == "EU_863_870_TTN"
    assert server.registries["as"][name]["ids"]["dev_eui"] == "70B3D57ED0000000"
    assert server.link["default_formatters"]["up_formatter_parameter"] == javascript("tts")
    # In the order of the server's own command line: nobody may join before the network server knows the node.
    calls = [re.sub(r"/applications.*devices", "", call) for call in writes(server)[1:]]
    assert calls == ["POST /api/v3", *(f"PUT /api/v3/{registry}/{name}" for registry in ("js", "ns", "as"))]


def test_a_second_run_says_already_so_and_writes_nothing(server: ThingsStackServer) -> None:
    nodes = [lamp(number) for number in range(3)]
    nodes.append(Node(Asset("ZERO", "light", latitude=0.0, longitude=0.0), "ZERO", "0" * 15 + "1"))
    register(server, nodes)
    before, server.faults.calls = server.state(), []
    assert set(actions(register(server, nodes)).values()) == {plan.SAME}
    assert server.state() == before and writes(server) == []


def test_a_dry_run_writes_nothing(server: ThingsStackServer) -> None:
    register(server, [lamp(0)])
    before, server.faults.calls = server.state(), []
    moved = Node(
        Asset("LAMP-0000", "light", street="Rue Basse"), "LAMP-0000", lamp(0).dev_eui, lamp(0).join_eui
    )
    rows = register(server, [moved, lamp(1)], dry_run=True)
    assert actions(rows) == {"LAMP-0000": plan.WOULD_CHANGE, "LAMP-0001": plan.WOULD_CREATE}
    assert [row.detail for row in rows] == [
        "description, attributes",
        "device, key, network server, application server",
    ]
    assert server.state() == before and writes(server) == []


def test_what_differs_is_mended_and_what_others_added_is_left(server: ThingsStackServer) -> None:
    register(server, [lamp(0)])
    name = f"eui-{lamp(0).dev_eui}"
    device = server.registries["is"][name]
    device["name"] = "renamed"
    device["attributes"]["theirs"] = "kept"
    device["locations"]["surveyed"] = {"latitude": 1.0}
    server.registries["ns"][name]["frequency_plan_id"] = "EU_863_870"
    server.registries["js"][name]["root_keys"]["app_key"]["key"] = "AB" * 16
    del server.registries["as"][name]
    server.link = {}
    (codec, row) = register(server, [lamp(0)])
    assert codec.device == "codec of the application"
    assert row.detail == "name, key, which was another, frequency plan id, application server"
    device = server.registries["is"][name]
    assert device["name"] == "LAMP-0000"
    assert device["attributes"]["theirs"] == "kept" and device["locations"]["surveyed"] == {"latitude": 1.0}
    assert set(actions(register(server, [lamp(0)])).values()) == {plan.SAME}


def test_a_device_that_somebody_made_in_the_console_keeps_its_name_there(server: ThingsStackServer) -> None:
    register(server, [lamp(0)])
    for registry in server.registries.values():
        registry["by-hand"] = registry.pop(f"eui-{lamp(0).dev_eui}")
        registry["by-hand"]["ids"]["device_id"] = "by-hand"
    server.registries["is"]["by-hand"]["name"] = "old"
    assert actions(register(server, [lamp(0)])) == {"LAMP-0000": plan.CHANGED}
    assert set(server.registries["is"]) == {"by-hand"}


def test_another_join_eui_is_refused_and_not_deleted(server: ThingsStackServer) -> None:
    register(server, [lamp(0)])
    other = Node(lamp(0).asset, "LAMP-0000", lamp(0).dev_eui, "1" * 16)
    (row,) = register(server, [other])
    assert row.action == plan.REFUSED and "JoinEUI 70B3D57ED0000001, which cannot be changed" in row.detail


def test_an_eui_that_stands_in_another_application(server: ThingsStackServer) -> None:
    pair = ("70B3D57ED0000001", "70B3D57ED0000001")
    server.elsewhere[pair] = "their-device` in application `theirs"
    rows = {row.asset: row for row in register(server, [lamp(0), lamp(1), lamp(2)])}
    assert rows["LAMP-0001"].action == plan.REFUSED
    assert "already registered as `their-device` in application `theirs`" in rows["LAMP-0001"].detail
    assert rows["LAMP-0002"].action == plan.CREATED


def test_what_is_not_in_the_list_is_told_and_left(server: ThingsStackServer) -> None:
    register(server, [lamp(number) for number in range(4)])
    server.registries["is"]["no-eui"] = {"ids": {"device_id": "no-eui"}, "name": "ABP"}
    rows = register(server, [lamp(0)], known=[lamp(1)])
    assert {row.asset for row in rows if row.action == plan.UNKNOWN} == {"LAMP-0002", "LAMP-0003", "ABP"}
    assert len(server.registries["is"]) == 5


def test_a_long_list_comes_in_pages(server: ThingsStackServer) -> None:
    nodes = [lamp(number) for number in range(7)]
    register(server, nodes)
    server.largest_page = 3
    assert set(actions(register(server, nodes)).values()) == {plan.SAME}


def test_four_hundred_with_one_refused_go_on(server: ThingsStackServer) -> None:
    nodes = [lamp(number) for number in range(400)]
    server.faults.rule = lambda name, content: (
        "refused" if "/js/" in name and nodes[123].dev_eui in name else None
    )
    rows = register(server, nodes)
    assert plan.summary(rows) == "399 created, 1 refused"
    assert key_of(nodes[123]).decode().upper() not in repr(rows).upper()
    server.faults.rule = lambda name, content: None
    assert plan.summary(register(server, nodes)) == "1 changed, 399 same"


def test_a_token_that_may_not_read_keys_writes_them_again(server: ThingsStackServer) -> None:
    register(server, [lamp(0)])
    server.rights.remove(READ_KEYS)
    server.registries["js"][f"eui-{lamp(0).dev_eui}"]["root_keys"]["app_key"]["key"] = "AB" * 16
    (row,) = register(server, [lamp(0)])
    assert (row.action, row.detail) == (plan.CHANGED, "key, which this token may not read")
    server.rights.add(READ_KEYS)
    assert actions(register(server, [lamp(0)])) == {"LAMP-0000": plan.SAME}


def test_a_token_without_rights_or_expired_stops_the_run(server: ThingsStackServer) -> None:
    server.rights.remove(WRITE)
    server.link = {"default_formatters": {}}
    rows = register(server, [lamp(0), lamp(1)])
    assert [row.action for row in rows if row.asset] == [plan.FAILED, plan.NOT_TRIED]
    assert "insufficient rights" in next(row.detail for row in rows if row.action == plan.FAILED)
    with client(server, token="NNSXS.WRONG") as one:
        rows = run(one, [lamp(0)])
    assert [row.action for row in rows] == [plan.FAILED, plan.NOT_TRIED] and "NNSXS" not in repr(rows)
    assert rows[0].detail.endswith("renew the token and run it again")


def test_no_application_and_no_server(server: ThingsStackServer) -> None:
    with TheThingsStack(server.url, TOKEN, "other", Pace()) as one:
        (failed, _) = run(one, [lamp(0)])
    assert "there is no application other: make it in the console first" in failed.detail
    waits = Waits()
    with TheThingsStack("http://127.0.0.1:9", TOKEN, "other", Pace(sleep=waits.sleep)) as one:
        (failed, _) = run(one, [lamp(0)])
    assert "given up after 6 attempts" in failed.detail and "\n" not in failed.detail


def test_a_limit_is_waited_for_as_long_as_the_server_asks() -> None:
    waits = Waits()
    with ThingsStackServer(Faults({2: "busy", 4: "busy"})) as server, client(server, waits) as one:
        assert actions(run(one, [lamp(0)])) == {"LAMP-0000": plan.CREATED}
    assert waits.slept == [7.0, 7.0]


def test_a_rate_is_kept_without_being_told() -> None:
    waits = Waits()
    with ThingsStackServer() as server:
        pace = Pace(4.0, sleep=waits.sleep, now=waits.now)
        with TheThingsStack(server.url, TOKEN, APPLICATION, pace) as one:
            run(one, [lamp(0)])
        assert waits.time - 1000 == pytest.approx((len(server.faults.calls) - 1) / 4)


def test_long_names_are_cut_to_what_the_server_takes(server: ThingsStackServer) -> None:
    asset = Asset("A" * 300, "light", street="S" * 3000)
    node = Node(asset, "N" * 80, "0" * 15 + "1")
    assert register(server, [node])[-1].action == plan.CREATED
    assert register(server, [node])[-1].action == plan.SAME


def test_no_secret_in_what_is_said_or_shown(
    server: ThingsStackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    nodes = [lamp(number) for number in range(3)]
    server.faults.rule = lambda name, content: "refused" if "/js/" in name else None
    with client(server) as one:
        rows = run(one, nodes)
        said = repr((rows, one, one.steps(lamp(7), key_of))) + caplog.text
    assert plan.REFUSED in said
    for node in [*nodes, lamp(7)]:
        assert key_of(node).decode() not in said.lower()
    assert TOKEN not in said


@settings(max_examples=30)
@given(
    numbers=st.lists(st.integers(0, 30), min_size=1, max_size=4, unique=True),
    stop=st.integers(0, 25),
    after=st.booleans(),
    faults=st.dictionaries(st.integers(0, 30), st.sampled_from(["busy", "down", "lost", "cut"]), max_size=4),
)
def test_broken_off_anywhere_and_run_again_ends_as_run_once(
    numbers: list[int], stop: int, after: bool, faults: dict[int, str]
) -> None:
    nodes = [lamp(number) for number in numbers]
    with ThingsStackServer() as whole:
        register(whole, nodes)
        wanted = whole.state()
    with ThingsStackServer(Faults(faults)) as server:
        with TheThingsStack(server.url, TOKEN, APPLICATION, BreakingPace(stop, after)) as one:
            until_interrupted(one, nodes)
        rows = register(server, nodes)
        assert not [row for row in rows if row.action in plan.FAILURES]
        assert server.state() == wanted
        assert set(actions(register(server, nodes)).values()) == {plan.SAME}
