"""Registration with ChirpStack: a real gRPC server of its published services, which keeps state and its rules."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chirpstack_api import api
from chirpstack_server import STRANGER, TENANT, TOKEN, ChirpStackServer
from faults import Faults, Waits
from hypothesis import given, settings
from hypothesis import strategies as st
from network_kit import BreakingPace, actions, key_of, lamp, run, until_interrupted

from borne.decoding.codecs import javascript
from borne.errors import SettingError
from borne.fleet.model import Asset, Node
from borne.fleet.networks import plan
from borne.fleet.networks.chirpstack import Access, ChirpStack
from borne.fleet.networks.pace import ATTEMPTS, Pace


@pytest.fixture
def server() -> Iterator[ChirpStackServer]:
    with ChirpStackServer() as one:
        yield one


def client(server: ChirpStackServer, waits: Waits | None = None, token: str = TOKEN) -> ChirpStack:
    waits = waits or Waits()
    pace = Pace(sleep=waits.sleep, now=waits.now, draw=lambda: 0.5)
    return ChirpStack(Access(server.target, token, tls=False), TENANT, "street", pace)


def register(server: ChirpStackServer, nodes: list[Node], **more: object) -> list[plan.Row]:
    with client(server) as one:
        return run(one, nodes, **more)  # type: ignore[arg-type]


def test_everything_is_made_and_the_key_stands_where_a_join_is_answered(server: ChirpStackServer) -> None:
    nodes = [lamp(number) for number in range(3)]
    rows = register(server, nodes)
    assert actions(rows) == {node.asset.asset: plan.CREATED for node in nodes}
    assert [row.detail for row in rows[:2]] == ["", ""]
    for node in nodes:
        assert node.dev_eui and server.answers_join(node.dev_eui, key_of(node).decode())
        device = server.devices[node.dev_eui]
        assert (device.name, device.join_eui) == (node.name, node.join_eui)
        assert dict(device.tags)["asset"] == node.asset.asset
    (profile,) = server.profiles.values()
    assert profile.payload_codec_script == javascript("chirpstack")
    assert (profile.mac_version, profile.supports_otaa) == (4, True)


def test_a_second_run_says_already_so_and_writes_nothing(server: ChirpStackServer) -> None:
    nodes = [lamp(number) for number in range(3)]
    register(server, nodes)
    before, server.faults.calls = server.state(), []
    assert set(actions(register(server, nodes)).values()) == {plan.SAME}
    assert server.state() == before
    assert not [call for call in server.faults.calls if "Create" in call or "Update" in call]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(server: ChirpStackServer) -> None:
    nodes = [lamp(0), lamp(1)]
    empty = server.state()
    rows = register(server, nodes, dry_run=True)
    assert set(actions(rows).values()) == {plan.WOULD_CREATE}
    assert server.state() == empty
    register(server, nodes[:1])
    there = server.state()
    moved = Node(
        Asset("LAMP-0000", "light", street="Rue Basse"), "LAMP-0000", nodes[0].dev_eui, nodes[0].join_eui
    )
    rows = register(server, [moved, nodes[1]], dry_run=True)
    assert actions(rows) == {"LAMP-0000": plan.WOULD_CHANGE, "LAMP-0001": plan.WOULD_CREATE}
    assert [row.detail for row in rows if row.asset == "LAMP-0000"] == ["description, tags"]
    assert server.state() == there


def test_what_differs_is_mended_and_what_others_added_is_left(server: ChirpStackServer) -> None:
    node = lamp(0)
    register(server, [node])
    assert node.dev_eui
    device = server.devices[node.dev_eui]
    device.name = "renamed"
    device.tags["theirs"] = "kept"
    device.tags["street"] = "wrong"
    device.skip_fcnt_check = True
    (profile,) = server.profiles.values()
    profile.payload_codec_script = "function decodeUplink() {}"
    profile.uplink_interval = 60
    rows = register(server, [node])
    assert actions(rows) == {"LAMP-0000": plan.CHANGED}
    device = server.devices[node.dev_eui]
    assert (device.name, device.tags["theirs"], device.skip_fcnt_check) == ("LAMP-0000", "kept", True)
    assert device.tags["street"] == "Rue Haute"
    (profile,) = server.profiles.values()
    assert profile.payload_codec_script == javascript("chirpstack") and profile.uplink_interval == 60
    assert actions(register(server, [node])) == {"LAMP-0000": plan.SAME}


@pytest.mark.parametrize("field", ["app_key", "both", "other"])
def test_a_key_in_the_wrong_field_is_found_and_mended(server: ChirpStackServer, field: str) -> None:
    node = lamp(0)
    register(server, [node])
    assert node.dev_eui
    key, zeros = key_of(node).decode(), "0" * 32
    wrong = {"app_key": (zeros, key), "both": (key, key), "other": ("ab" * 16, zeros)}[field]
    server.keys[node.dev_eui] = api.DeviceKeys(dev_eui=node.dev_eui, nwk_key=wrong[0], app_key=wrong[1])
    (row,) = [row for row in register(server, [node]) if row.asset]
    assert row.action == plan.CHANGED and "key" in row.detail and key not in row.detail
    assert server.answers_join(node.dev_eui, key)
    assert server.keys[node.dev_eui].app_key == zeros


def test_what_is_not_in_the_list_is_told_and_left(server: ChirpStackServer) -> None:
    nodes = [lamp(number) for number in range(4)]
    register(server, nodes)
    rows = register(server, nodes[:1], known=nodes[:2])
    assert actions(rows) == {"LAMP-0000": plan.SAME, "LAMP-0002": plan.UNKNOWN, "LAMP-0003": plan.UNKNOWN}
    assert len(server.devices) == 4


def test_four_hundred_with_one_refused_go_on(server: ChirpStackServer) -> None:
    nodes = [lamp(number) for number in range(400)]
    bad = nodes[123].dev_eui
    server.faults.rule = lambda name, content: (
        "refused" if name == "Devices.CreateKeys" and bad in content else None
    )
    rows = register(server, nodes)
    assert [row.asset for row in rows if row.action == plan.REFUSED] == ["LAMP-0123"]
    assert plan.summary(rows) == "399 created, 1 refused"
    secret = key_of(nodes[123]).decode()
    assert secret not in repr(rows).lower()
    server.faults.rule = lambda name, content: None
    rows = register(server, nodes)
    assert plan.summary(rows) == "1 changed, 399 same"


def test_an_eui_that_is_somebody_elses(server: ChirpStackServer) -> None:
    register(server, [lamp(0)])
    server.applications["a"] = api.Application(id="a", name="x", tenant_id=STRANGER)
    server.devices[lamp(1).dev_eui] = api.Device(dev_eui=lamp(1).dev_eui, application_id="a")  # type: ignore[index]
    server.applications["b"] = api.Application(id="b", name="y", tenant_id=TENANT)
    server.devices[lamp(2).dev_eui] = api.Device(dev_eui=lamp(2).dev_eui, application_id="b")  # type: ignore[index]
    rows = {row.asset: row for row in register(server, [lamp(1), lamp(2), lamp(3)])}
    assert rows["LAMP-0001"].action == rows["LAMP-0002"].action == plan.REFUSED
    assert "another tenant" in rows["LAMP-0001"].detail and "another application" in rows["LAMP-0002"].detail
    assert rows["LAMP-0003"].action == plan.CREATED


def test_an_expired_token_stops_the_run_and_says_so(server: ChirpStackServer) -> None:
    nodes = [lamp(number) for number in range(5)]
    count = 0

    def expires(name: str, content: str) -> str | None:
        nonlocal count
        count += name == "Devices.Create"
        return "denied" if count > 2 else None

    server.faults.rule = expires
    rows = register(server, nodes)
    found = [row.action for row in rows if row.asset]
    assert found == [plan.CREATED] * 2 + [plan.FAILED] + [plan.NOT_TRIED] * 2
    assert "renew the token" in next(row.detail for row in rows if row.action == plan.FAILED)
    with client(server, token="wrong") as one:
        rows = run(one, nodes)
    assert rows[0].action == plan.FAILED and "does not accept the token" in rows[0].detail
    assert {row.action for row in rows[1:]} == {plan.NOT_TRIED}
    assert "wrong" not in repr(rows)


def test_a_limit_is_waited_for_as_long_as_the_server_asks() -> None:
    waits = Waits()
    with ChirpStackServer(Faults({2: "busy", 5: "busy", 6: "busy"})) as server, client(server, waits) as one:
        assert actions(run(one, [lamp(0)])) == {"LAMP-0000": plan.CREATED}
    assert waits.slept == [7.0, 7.0, 7.0]


def test_who_asks_for_an_hour_of_rest_is_left_alone() -> None:
    waits = Waits()
    with ChirpStackServer(Faults({0: "busy"}, retry_after=3600)) as server, client(server, waits) as one:
        (failed, _) = run(one, [lamp(0)])
    assert "asks for 3600 s of rest: run it again then" in failed.detail and waits.slept == []


def test_a_server_that_stays_away_ends_the_run_after_some_attempts() -> None:
    waits = Waits()
    with ChirpStackServer(Faults(rule=lambda name, content: "down")) as server, client(server, waits) as one:
        rows = run(one, [lamp(0), lamp(1)])
        assert len(server.faults.calls) == ATTEMPTS
    assert [row.action for row in rows] == [plan.FAILED, plan.NOT_TRIED, plan.NOT_TRIED]
    assert "given up after 6 attempts" in rows[0].detail
    assert waits.slept == [0.75, 1.5, 3.0, 6.0, 12.0]


def test_nobody_listens() -> None:
    with ChirpStackServer() as server:
        gone = server
    with client(gone) as one:
        rows = run(one, [lamp(0)])
    assert rows[0].action == plan.FAILED and "\n" not in rows[0].detail


def test_nodes_that_cannot_be_registered_are_told_apart(server: ChirpStackServer) -> None:
    wifi = Node(Asset("BIN-1", "fill", link="wifi"), "BIN-1")
    unborn = Node(Asset("LAMP-9", "light"), "LAMP-9")
    rows = {row.asset: row for row in register(server, [wifi, unborn, lamp(0)])}
    assert "takes nodes by lorawan only" in rows["BIN-1"].detail
    assert rows["LAMP-9"].action == plan.NO_NODE not in plan.FAILURES
    assert rows["LAMP-0000"].action == plan.CREATED


@pytest.mark.parametrize("key", [b"", b"00" * 15, b"zz" * 16, b"\x00" * 16, b"ab" * 16 + b"cd", b"ab" * 16])
def test_a_key_that_is_none_is_refused_before_the_server_hears_of_the_node(
    server: ChirpStackServer, key: bytes
) -> None:
    with client(server) as one:
        rows = run(one, [lamp(0)], lambda node: key)
    (row,) = [row for row in rows if row.asset]
    assert row.action == plan.REFUSED and server.devices == {}
    assert not key or key.decode("ascii", "replace") not in row.detail


def test_two_nodes_with_one_identity_are_refused_at_once(server: ChirpStackServer) -> None:
    twin = Node(Asset("LAMP-TWIN", "light"), "LAMP-TWIN", lamp(0).dev_eui, lamp(0).join_eui)
    with pytest.raises(SettingError, match="LAMP-TWIN: has the identity 70b3d57ed0000000 of LAMP-0000"):
        register(server, [lamp(0), twin])
    assert server.faults.calls == []


def test_regions_have_profiles_of_their_own(server: ChirpStackServer) -> None:
    register(server, [lamp(0), lamp(1, region="US915"), lamp(2, region="AS923-2")])
    names = {profile.name: profile.region for profile in server.profiles.values()}
    assert names == {
        "borne street node EU868": 0,
        "borne street node US915": 2,
        "borne street node AS923-2": 12,
    }
    used = {server.profiles[device.device_profile_id].region for device in server.devices.values()}
    assert used == {0, 2, 12}


def test_no_secret_in_what_is_said_or_shown(
    server: ChirpStackServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    nodes = [lamp(number) for number in range(3)]
    server.faults.rule = lambda name, content: "refused" if "Keys" in name else None
    with client(server) as one:
        rows = run(one, nodes)
        steps = one.steps(lamp(7), key_of)
        said = repr((rows, steps, one, Access(server.target, TOKEN))) + caplog.text
    for node in [*nodes, lamp(7)]:
        assert key_of(node).decode() not in said.lower() and key_of(node).decode() not in str(rows).lower()
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
    with ChirpStackServer() as whole:
        register(whole, nodes)
        wanted = whole.state()
    with ChirpStackServer(Faults(faults)) as server:
        pace = BreakingPace(stop, after)
        with ChirpStack(Access(server.target, TOKEN, tls=False), TENANT, "street", pace) as one:
            until_interrupted(one, nodes)
        rows = register(server, nodes)
        assert not [row for row in rows if row.action in plan.FAILURES]
        assert server.state() == wanted
        assert set(actions(register(server, nodes)).values()) == {plan.SAME}
