"""Our own broker: password and ACL file, and the dynamic-security plugin, with the real Mosquitto where it is found."""

from __future__ import annotations

import hashlib
import itertools
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import real_brokers
from faults import Waits
from hypothesis import given, settings
from hypothesis import strategies as st
from network_kit import Interrupted, actions, run
from own_brokers import (
    ADMIN,
    ADMIN_PASSWORD,
    DYNSEC_KINDS,
    KINDS,
    ModelBroker,
    ModelPlugin,
    files_broker,
    plugin_broker,
)

from borne.errors import UserError
from borne.fleet.model import Asset, Node
from borne.fleet.networks import plan
from borne.fleet.networks.dynsec import DynamicSecurity
from borne.fleet.networks.dynsec_control import Broker, MqttControl
from borne.fleet.networks.errors import Refused
from borne.fleet.networks.mosquitto import Mosquitto, agrees, hashed
from borne.fleet.networks.pace import Pace

TOWN = ("town", "town hall")


def bin_(number: int, **settings: Any) -> Node:
    return Node(Asset(f"BIN-{number}", "fill", link="wifi", settings=settings), f"BIN-{number}")


def password_of(node: Node) -> bytes:
    return hashlib.sha256(b"p" + node.name.encode()).hexdigest()[:20].encode()


def files(folder: Path) -> tuple[Path, Path]:
    return folder / "passwords", folder / "acl"


def register(folder: Path, nodes: list[Node], keys: Any = password_of, **more: Any) -> list[plan.Row]:
    return run(Mosquitto(*files(folder)), nodes, keys, **more)


# --- password file and ACL file ---


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_publishes_and_hears_its_own_topics_only(kind: str, tmp_path: Path) -> None:
    passwords, acl = files(tmp_path)
    passwords.write_text(f"{TOWN[0]}:{hashed(TOWN[1])}\n")
    acl.write_text(f"user {TOWN[0]}\ntopic read borne/v1/+/up/#\ntopic write borne/v1/+/down/#\n")
    register(tmp_path, [bin_(1), bin_(2)])
    secret = password_of(bin_(1)).decode()
    with files_broker(kind, tmp_path, passwords, acl) as broker:
        assert broker.lets_in("BIN-1", secret) and broker.lets_in(*TOWN)
        assert not broker.lets_in("BIN-1", secret + "x") and not broker.lets_in("BIN-2", secret)
        assert broker.publishes("BIN-1", secret, "borne/v1/BIN-1/up/30")
        for topic in (
            "borne/v1/BIN-2/up/30",
            "borne/v1/BIN-1/down/1",
            "borne/v1/BIN-1",
            "$CONTROL/x",
            "other",
        ):
            assert not broker.publishes("BIN-1", secret, topic), topic
        assert broker.hears("BIN-1", secret, "borne/v1/BIN-1/down/1", TOWN)
        assert not broker.hears("BIN-1", secret, "borne/v1/BIN-2/down/1", TOWN)
        # One more node, and a password that changed, without a restart.
        register(tmp_path, [bin_(3)])
        register(tmp_path, [bin_(2)], lambda node: b"another")
        broker.reload()
        assert broker.lets_in("BIN-3", password_of(bin_(3)).decode())
        assert broker.lets_in("BIN-2", "another") and not broker.lets_in(
            "BIN-2", password_of(bin_(2)).decode()
        )


def test_a_second_run_changes_nothing_and_others_lines_stay(tmp_path: Path) -> None:
    passwords, acl = files(tmp_path)
    passwords.write_text(f"# the town's\n{TOWN[0]}:{hashed(TOWN[1])}\n\nold:$6$c2FsdA==$aGFzaA==\n")
    acl.write_text("user town\ntopic read borne/v1/#")
    rows = register(tmp_path, [bin_(1)])
    assert actions(rows) == {"BIN-1": plan.CREATED, "town": plan.UNKNOWN, "old": plan.UNKNOWN}
    first = passwords.read_bytes(), acl.read_bytes()
    assert (
        first[0].startswith(b"# the town's\ntown:$7$")
        and b"\n\nold:$6$c2FsdA==$aGFzaA==\nBIN-1:$7$101$" in first[0]
    )
    assert first[1].startswith(b"user town\ntopic read borne/v1/#\n")
    assert actions(register(tmp_path, [bin_(1)]))["BIN-1"] == plan.SAME
    assert (passwords.read_bytes(), acl.read_bytes()) == first
    for path in files(tmp_path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_dry_run_makes_no_file(tmp_path: Path) -> None:
    rows = register(tmp_path, [bin_(1)], dry_run=True)
    assert [row.action for row in rows] == [plan.WOULD_CREATE, plan.WOULD_CREATE]
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_never_in_the_file(tmp_path: Path) -> None:
    register(tmp_path, [bin_(1)])
    assert password_of(bin_(1)) not in files(tmp_path)[0].read_bytes()
    locks = [".acl.lock", ".passwords.lock"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [*locks, "acl", "passwords"]


TECHNICIAN = """
import sys
from pathlib import Path
from borne.fleet.model import Asset, Node
from borne.fleet.networks import plan
from borne.fleet.networks.mosquitto import Mosquitto
who, folder = sys.argv[1], Path(sys.argv[2])
nodes = [Node(Asset(f"{who}-{n}", "fill", link="wifi"), f"{who}-{n}") for n in range(100)]
print("ready", flush=True)
sys.stdin.readline()
backend = Mosquitto(folder / "passwords", folder / "acl")
rows = list(plan.register(backend, nodes, lambda node: b"sesame"))
sys.exit(any(row.action in plan.FAILURES for row in rows))
"""


def test_two_technicians_at_one_pair_of_files_lose_nothing(tmp_path: Path) -> None:
    passwords, acl = files(tmp_path)
    passwords.write_text(f"{TOWN[0]}:{hashed(TOWN[1])}\n")
    acl.write_text("user town\ntopic read borne/v1/#\n")
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TECHNICIAN, who, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("A", "B")
    ]
    for one in both:
        assert one.stdout and one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60) and one.returncode for one in both] == [0, 0]
    names = [line.partition(":")[0] for line in passwords.read_text().splitlines()]
    assert sorted(names) == sorted([TOWN[0], *(f"{who}-{n}" for who in "AB" for n in range(100))])
    assert acl.read_text().count("pattern ") == 2


def test_a_lock_that_cannot_be_taken(tmp_path: Path) -> None:
    (tmp_path / ".acl.lock").mkdir()
    with pytest.raises(UserError, match=r"\.acl\.lock: Is a directory"):
        register(tmp_path, [bin_(1)])


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_a_hash_agrees_with_its_password_alone(password: str, other: str) -> None:
    stored = hashed(password)
    assert agrees(stored, password)
    assert agrees(stored, other) == (password == other)


@pytest.mark.parametrize(
    "stored", ["", "$7$", "$7$x$YQ==$YQ==", "$6$YQ==$YQ==", "$7$101$!$YQ==", "$7$101$YQ==$", "x"]
)
def test_what_is_no_hash_agrees_with_nothing(stored: str) -> None:
    assert not agrees(stored, "")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (bin_(1, mqtt_user="other"), "to keep it to its topics it has to be its name"),
        (Node(Asset("A:B", "fill", link="wifi"), "A:B"), "cannot stand in Mosquitto's password file"),
        (Node(Asset("#1", "fill", link="wifi"), "#1"), "cannot stand"),
        (Node(Asset("L", "light"), "L", "0" * 16), "is a node by lorawan, and this takes nodes by wifi only"),
    ],
)
def test_nodes_that_it_cannot_have(tmp_path: Path, node: Node, reason: str) -> None:
    rows = {row.asset: row for row in register(tmp_path, [node, bin_(7)])}
    assert rows[node.asset.asset].action == plan.REFUSED and reason in rows[node.asset.asset].detail
    assert rows["BIN-7"].action == plan.CREATED


@pytest.mark.parametrize("key", [b"", b"\xff\xfe", b"a\0b"])
def test_passwords_that_are_none(tmp_path: Path, key: bytes) -> None:
    (row,) = [row for row in register(tmp_path, [bin_(1)], lambda node: key) if row.asset]
    assert row.action == plan.REFUSED


def test_files_that_cannot_be_read_or_are_of_another_kind(tmp_path: Path) -> None:
    passwords, _ = files(tmp_path)
    passwords.write_text("plain:text\n")
    with pytest.raises(UserError, match="passwords, line 1: is no name and hash"):
        register(tmp_path, [bin_(1)])
    passwords.write_bytes(b"\xff")
    with pytest.raises(UserError, match="is no text in UTF-8"):
        register(tmp_path, [bin_(1)])
    passwords.unlink()
    passwords.mkdir()
    with pytest.raises(UserError, match="Is a directory"):
        register(tmp_path, [bin_(1)])


# --- the dynamic-security plugin ---


@pytest.fixture(params=DYNSEC_KINDS)
def control(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "model":
        yield ModelPlugin()
        return
    with plugin_broker(tmp_path) as broker:
        waits = Waits()
        given = Broker("127.0.0.1", broker.port, ADMIN, ADMIN_PASSWORD, tls=False)
        one = MqttControl(given, Pace(sleep=waits.sleep, now=waits.now))
        one.broker = broker  # type: ignore[attr-defined]
        yield one
        one.close()


def by_plugin(control: Any, nodes: list[Node], keys: Any = password_of, **more: Any) -> list[plan.Row]:
    return run(DynamicSecurity(control), nodes, keys, **more)


def test_the_plugin_gets_a_client_and_a_role_a_node(control: Any) -> None:
    nodes = [bin_(number) for number in range(5)]
    assert set(actions(by_plugin(control, nodes, dry_run=True)).values()) == {plan.WOULD_CREATE}
    assert not control.lets_in("BIN-0", password_of(nodes[0]).decode())
    assert set(actions(by_plugin(control, nodes)).values()) == {plan.CREATED}
    assert set(actions(by_plugin(control, nodes)).values()) == {plan.SAME}
    for node in nodes:
        assert control.lets_in(node.name, password_of(node).decode())
    assert not control.lets_in("BIN-0", password_of(nodes[1]).decode())


def test_the_plugin_is_mended(control: Any) -> None:
    nodes = [bin_(number) for number in range(3)]
    by_plugin(control, nodes)
    rows = by_plugin(control, nodes[:1], lambda node: b"another", known=nodes[:2])
    assert {row.asset: (row.action, row.detail) for row in rows} == {
        "BIN-0": (plan.CHANGED, "password, which was another"),
        "BIN-2": (plan.UNKNOWN, "is there, and not in the list"),
    }
    assert control.lets_in("BIN-0", "another")
    control.send([{"command": "modifyRole", "rolename": "borne-BIN-1", "acls": []}])
    rows = by_plugin(control, nodes[1:2])
    assert rows[0].detail == "access rules"
    assert actions(by_plugin(control, nodes[1:2]))["BIN-1"] == plan.SAME


def test_a_client_that_was_there_without_a_role_gets_it(control: Any) -> None:
    control.send([{"command": "createClient", "username": "BIN-0", "password": "x", "roles": []}])
    rows = by_plugin(control, [bin_(0)])
    assert rows[0].detail == "access rules, role, password, which was another"
    assert actions(by_plugin(control, [bin_(0)])) == {"BIN-0": plan.SAME}


def test_what_the_plugin_then_allows(control: Any) -> None:
    by_plugin(control, [bin_(1), bin_(2)])
    if isinstance(control, ModelPlugin):
        topics = {(rule["acltype"], rule["topic"]) for rule in control.roles["borne-BIN-1"]}
        assert {topic.split("/")[2] for _, topic in topics} == {"BIN-1"}
        assert ("publishClientSend", "borne/v1/BIN-1/up/#") in topics and len(topics) == 3
        return
    broker, secret = control.broker, password_of(bin_(1)).decode()
    control.send(
        [
            {
                "command": "createRole",
                "rolename": "town",
                "acls": [{"acltype": "publishClientSend", "topic": "borne/v1/#", "allow": True}],
            },
            {
                "command": "createClient",
                "username": TOWN[0],
                "password": TOWN[1],
                "roles": [{"rolename": "town"}],
            },
        ]
    )
    assert broker.publishes("BIN-1", secret, "borne/v1/BIN-1/up/30")
    assert not broker.publishes("BIN-1", secret, "borne/v1/BIN-2/up/30")
    assert not broker.publishes("BIN-1", secret, "borne/v1/BIN-1/down/1")
    assert broker.hears("BIN-1", secret, "borne/v1/BIN-1/down/1", TOWN)
    assert not broker.hears("BIN-1", secret, "borne/v1/BIN-2/down/1", TOWN)


def test_the_plugins_refusals_are_told(control: Any) -> None:
    one = DynamicSecurity(control)
    one.present()
    steps = one.steps(bin_(1), password_of)
    # Somebody took the role away between the two steps.
    steps[0].act()
    control.send([{"command": "deleteRole", "rolename": "borne-BIN-1"}])
    with pytest.raises(Refused, match="Mosquitto: Role not found"):
        steps[1].act()


def test_a_broker_that_is_not_there() -> None:
    waits = Waits()
    control = MqttControl(
        Broker("127.0.0.1", 9, "a", "planted", tls=False), Pace(sleep=waits.sleep, now=waits.now)
    )
    (failed, _) = by_plugin(control, [bin_(1)])
    assert failed.action == plan.FAILED and "given up after 6 attempts" in failed.detail
    assert "planted" not in repr((failed, Broker("h", 1, "a", "planted")))


def test_who_administers_it_has_to_be_let_in(tmp_path: Path) -> None:
    broker = real_brokers.Broker("amqtt", tmp_path)
    broker.start()
    waits = Waits()
    wrong = Broker("127.0.0.1", broker.port, ADMIN, "wrong", tls=False)
    (failed, _) = by_plugin(MqttControl(wrong, Pace(sleep=waits.sleep, now=waits.now)), [bin_(1)])
    broker.stop()
    assert "does not let admin in" in failed.detail and waits.slept == []


@settings(max_examples=15)
@given(numbers=st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True), stop=st.integers(0, 7))
def test_files_broken_off_anywhere_and_run_again_are_whole(numbers: list[int], stop: int) -> None:
    nodes = [bin_(number) for number in numbers]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backend = Mosquitto(*files(folder))
        list(itertools.islice(plan.register(backend, nodes, password_of), stop))
        register(folder, nodes)
        broker = ModelBroker(*files(folder))
        assert all(broker.lets_in(node.name, password_of(node).decode()) for node in nodes)
        assert len(broker.users) == len(nodes) and len(broker.rules) == 2
        assert set(actions(register(folder, nodes)).values()) == {plan.SAME}


class BreakingPlugin(ModelPlugin):
    """Breaks off at command number `stop`, before it or after it was carried out."""

    def __init__(self, stop: int, after: bool) -> None:
        super().__init__()
        self.left, self.after = stop, after

    def send(self, commands: Any) -> Any:
        self.left -= 1
        if self.left == -1 and not self.after:
            raise Interrupted
        found = super().send(commands)
        if self.left == -1:
            raise Interrupted
        return found


@settings(max_examples=60)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), st.integers(0, 20), st.booleans())
def test_the_plugin_broken_off_anywhere_and_run_again_is_whole(
    numbers: list[int], stop: int, after: bool
) -> None:
    nodes = [bin_(number) for number in numbers]
    whole, broken = ModelPlugin(), BreakingPlugin(stop, after)
    by_plugin(whole, nodes)
    with suppress(Interrupted):
        by_plugin(broken, nodes)
    broken.left = -2
    assert not [row for row in by_plugin(broken, nodes) if row.action in plan.FAILURES]
    assert (broken.clients, broken.roles) == (whole.clients, whole.roles)
    assert set(actions(by_plugin(broken, nodes)).values()) == {plan.SAME}
