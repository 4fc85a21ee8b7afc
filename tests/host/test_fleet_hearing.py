"""What nodes say, and settings on their way to them; the node's own code obeys the commands."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from borne.errors import RegistryError, SettingError
from borne.fleet import ear, hearing
from borne.fleet.importing import import_list
from borne.fleet.lists import text
from borne.fleet.model import Asset
from borne.fleet.registry import Stamp, assets, nodes, open_registry, pending, scratch, status
from borne.fleet.setting import change
from borne_node import settings as node_settings
from borne_node.report import codec, schema

AT = Stamp(1_800_000_000)
EUI, MAC = "240ac4fffe010203", "240ac4010203"
TOLD = {"kind": "fill", "name": "B1", "link": "lorawan", "dev_eui": EUI, "depth_mm": 1500, "slot": "b"}


def settings(**more):
    return node_settings.validate({**TOLD, **more})


def filled(registry=None):
    registry = registry or scratch()
    with registry.writing() as db:
        assets.add(
            db,
            [
                Asset("B1", "fill", street="Quai", site="S", latitude=48.0, settings={"depth_mm": 1500}),
                Asset("B2", "fill", settings={"depth_mm": 1500}),
            ],
            AT,
        )
        nodes.reserve(db, nodes.get(db, "B1"), MAC, EUI, None, AT)
        raw, digest = node_settings.canonical(settings()), node_settings.digest(settings())
        nodes.provisioned(db, nodes.get(db, "B1"), raw.decode(), digest.hex(), "0.1.0", AT)
    return registry


@pytest.fixture
def registry():
    return filled()


def standing(registry):
    with registry.reading() as db:
        return nodes.get(db, "B1")


def echo(**told):
    """The settings echo (port 3) as the node's own code packs it."""
    now = settings(**told)
    values = [
        schema.KINDS.index("fill"),
        schema.PROFILES.index("fill"),
        *(now.get(name) for name in ("bays", "refractory_s", "depth_mm", "offset_mm")),
        node_settings.digest(now)[:4],
    ]
    return codec.encode(schema.SETTINGS, None, values)


def health(**told):
    values = (3700, 21, 1, 0, 1, 0, b"abcd", node_settings.digest(settings(**told))[:4], 0)
    return codec.encode(schema.HEALTH, None, values)


def test_a_first_report(registry):
    heard = hearing.hear(registry, EUI.upper(), 1, health(), AT, rssi=-97.0, snr=7.5)
    assert (heard.standing.asset.asset, heard.standing.asset.street) == ("B1", "Quai")
    assert (heard.report.kind, heard.confirmed, heard.differs) == ("health", (), False)
    at = standing(registry)
    assert (at.state, at.seen_at, at.rssi, at.snr) == ("seen", AT.at, -97.0, 7.5)
    assert hearing.hear(registry, "B1", 1, health(), AT).standing.asset.asset == "B1"


def test_who_is_not_known_and_what_is_no_report(registry):
    assert hearing.hear(registry, "0" * 16, 1, health(), AT).standing is None
    heard = hearing.hear(registry, EUI, 1, b"\0", AT)
    assert heard.report is None and heard.reason and standing(registry).state == "provisioned"


def test_a_setting_is_pending_until_the_nodes_hash_says_it_has_it(registry):
    assert change(registry, "B1", {"depth_mm": "1600", "offset_mm": "40"}, AT) == ["depth_mm", "offset_mm"]
    at = standing(registry)
    assert at.is_outdated
    first, second = hearing.commands(registry, at, AT)
    assert hearing.commands(registry, at, Stamp(AT.at + 60)) == []
    assert hearing.hear(registry, EUI, 1, health(), AT).confirmed == ()
    heard = hearing.hear(registry, EUI, 3, echo(depth_mm=1600), AT)
    assert (heard.confirmed, heard.differs, standing(registry).is_outdated) == (("depth_mm",), False, True)
    # The second was lost on the air, and goes again.
    assert hearing.commands(registry, at, Stamp(AT.at + hearing.AGAIN_S)) == [second]
    assert hearing.hear(registry, EUI, 3, echo(depth_mm=1600, offset_mm=40), AT).confirmed == ("offset_mm",)
    at = standing(registry)
    assert not at.is_outdated and json.loads(at.settings)["offset_mm"] == 40
    assert at.digest == node_settings.digest(settings(depth_mm=1600, offset_mm=40)).hex()
    with registry.reading() as db:
        assert pending.waiting(db, at.id) == []
    # What the node decodes is what was meant.
    command = codec.decode(schema.COMMAND, first).values
    assert list(command) == [schema.SET, schema.SETTABLE.index("depth_mm"), 1600]


def test_a_node_with_other_settings_than_the_registry_knows(registry):
    change(registry, "B1", {"depth_mm": "1600"}, AT)
    heard = hearing.hear(registry, EUI, 1, health(depth_mm=2000), AT)
    assert heard.differs and heard.confirmed == ()
    with registry.reading() as db:
        assert len(pending.waiting(db, standing(registry).id)) == 1


def test_a_report_from_before_it_was_told_anew_is_no_alarm(registry):
    """It waited in the node's outbox."""
    now = settings(depth_mm=1600)
    with registry.writing() as db:
        raw, digest = node_settings.canonical(now).decode(), node_settings.digest(now).hex()
        nodes.provisioned(db, nodes.get(db, "B1"), raw, digest, "0.1.0", AT)
    assert not hearing.hear(registry, EUI, 1, health(), AT).differs
    assert not hearing.hear(registry, EUI, 1, health(depth_mm=1600), AT).differs
    assert hearing.hear(registry, EUI, 1, health(depth_mm=1700), AT).differs


def test_a_list_that_says_otherwise_overtakes_what_waits(registry):
    change(registry, "B1", {"depth_mm": "1600", "offset_mm": "40"}, AT)
    again = b"asset;kind;latitude;longitude;depth_mm\nB1;fill;48;2;1550\n"
    assert [new.asset for _, new in import_list(registry, text.read("list.csv", again)).changed] == ["B1"]
    at = standing(registry)
    with registry.reading() as db:
        assert [(one.setting, one.value) for one in pending.waiting(db, at.id)] == [("offset_mm", 40)]
        told = [line["detail"] for line in status.history_of(db, at.asset_id) if line["event"] == "changed"]
    assert told == ["depth_mm 1600, offset_mm 40", "longitude, depth_mm 1550"]
    assert len(hearing.commands(registry, at, AT)) == 1 and at.is_outdated


def test_settings_that_cannot_be(registry):
    for given, says in (
        ({"depth_mm": "12"}, "depth_mm: must lie between 300 and 5000"),
        ({"depth_mm": "deep"}, "depth_mm: 'deep' is no whole number"),
        ({"dept_mm": "1600"}, "did you mean 'depth_mm'"),
        ({"depth_mm": ""}, "depth_mm: is missing"),
        ({"refractory_s": "60"}, "refractory_s: is a setting of a light node only"),
    ):
        with pytest.raises(SettingError, match=says):
            change(registry, "B1", given, AT)
    with pytest.raises(RegistryError, match="is unknown"):
        change(registry, "B9", {"depth_mm": "1600"}, AT)
    assert not standing(registry).is_outdated
    assert change(registry, "B1", {"depth_mm": "1500"}, AT) == []
    # One that no downlink carries, and one of an asset that has no node: the list only.
    assert change(registry, "B1", {"antenna_dbi": "5"}, AT) == []
    assert standing(registry).is_outdated
    assert change(registry, "B2", {"depth_mm": "1600"}, AT) == []


def test_messages_of_three_networks():
    own = ear.take("borne/v1/B1/up/1", b"\1\2")
    assert (own.uplink.device, own.uplink.port, own.uplink.payload) == ("B1", 1, b"\1\2")
    assert ear.downlink(own.topic, "B1", b"\3") == ("borne/v1/B1/down/5", b"\3")
    assert ear.take("borne/v1/B1/up/x", b"").uplink is None
    envelope = {
        "deviceInfo": {"devEui": EUI},
        "fPort": 1,
        "fCnt": 1,
        "data": base64.b64encode(b"\1\2").decode(),
        "rxInfo": [{"rssi": -97, "snr": 7.5}],
    }
    topic = f"application/7/device/{EUI}/event/up"
    chirp = ear.take(topic, json.dumps(envelope).encode())
    assert (chirp.uplink.device, chirp.uplink.rssi, chirp.uplink.payload) == (EUI.upper(), -97, b"\1\2")
    to, content = ear.downlink(topic, EUI.upper(), b"\3")
    assert to == f"application/7/device/{EUI}/command/down"
    assert json.loads(content) == {"devEui": EUI, "confirmed": False, "fPort": 5, "data": "Aw=="}
    message = {
        "end_device_ids": {"dev_eui": EUI.upper(), "device_id": "b1"},
        "uplink_message": {"f_port": 1, "frm_payload": "AQI=", "rx_metadata": []},
    }
    topic = "v3/app@tenant/devices/b1/up"
    stack = ear.take(topic, json.dumps(message).encode())
    assert (stack.uplink.device, stack.uplink.payload) == (EUI.upper(), b"\1\2")
    to, content = ear.downlink(topic, EUI, b"\3")
    assert to == "v3/app@tenant/devices/b1/down/push"
    assert json.loads(content)["downlinks"][0]["frm_payload"] == "Aw=="
    assert ear.take(topic, b"{").uplink is None


def test_the_set_command(tmp_path):
    path = tmp_path / "r.sqlite"
    filled(open_registry(str(path))).close()

    def borne(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "borne", "fleet", *arguments, "--registry", str(path)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = borne("set", "B1", "depth_mm=1600", "antenna_dbi=5")
    assert done.stdout.splitlines() == [
        "B1: depth_mm, antenna_dbi changed in the list",
        "depth_mm: queued for the node; `borne fleet listen` sends it",
        "antenna_dbi: reaches the node at its next `borne provision B1` (downlinks carry depth_mm, offset_mm)",
    ]
    assert "depth_mm = 1600, queued" in borne("show", "B1").stdout.replace("  ", "")
    done = borne("set", "B1", "depth_mm")
    assert done.returncode == 2 and "is not of the form NAME=VALUE" in done.stderr
    done = borne("listen", "--mqtt", "mqtt://127.0.0.1:1")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
