"""Nodes in the registry: reserved, flashed, provisioned, heard, replaced; identities; sites; status."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from borne.errors import RegistryError, SettingError
from borne.fleet import identity, setting, wanted
from borne.fleet.model import Asset
from borne.fleet.registry import Stamp, assets, nodes, open_registry, pending, scratch, sites, status
from borne.fleet.registry.sites import Site
from borne.fleet.replacing import replace

AT = Stamp(1_800_000_000)
LATER = Stamp(AT.at + 60)
MAC, OTHER = "240ac4010203", "240ac4010204"


def filled(registry=None):
    registry = registry or scratch()
    with registry.writing() as db:
        assets.add(
            db,
            [
                Asset("L1", "light", site="S", board="ttgo-lora32-v21"),
                Asset("B1", "fill", site="S", link="wifi", settings={"depth_mm": 1500}),
                Asset("L2", "light", site="S"),
                Asset("T1", "light", site="T"),
            ],
            AT,
        )
    return registry


@pytest.fixture
def registry():
    return filled()


def reserve(db, asset, mac, dev_eui=None):
    nodes.reserve(db, nodes.get(db, asset), mac, dev_eui, None, AT)
    return nodes.get(db, asset)


def provision(db, asset, mac, dev_eui=None):
    at = reserve(db, asset, mac, dev_eui)
    nodes.key_issued(db, at, f"{mac}.app_key.1", mac * 5, AT)
    nodes.provisioned(db, at, "{}", "ab" * 32, "0.1.0", AT)
    return nodes.get(db, asset)


def test_a_nodes_way(registry):
    with registry.writing() as db:
        nodes.flashed(db, MAC, AT, board="b", micropython="1.25.0", firmware="0.1.0", files="f", policy="p")
        at = reserve(db, "L1", MAC, identity.dev_eui_of(MAC))
        assert (at.state, at.node.name, at.node.dev_eui) == ("planned", "L1", "240ac4fffe010203")
        nodes.flashed(
            db, MAC, LATER, board="b", micropython="1.25.0", firmware="0.2.0", files="g", policy="p"
        )
        at = nodes.get(db, "L1")
        assert (at.state, at.firmware) == ("flashed", "0.2.0")
        nodes.key_issued(db, at, "r", "p" * 64, AT)
        nodes.provisioned(db, at, '{"name":"L1"}', "ab" * 32, "0.2.0", LATER)
        at = nodes.get(db, "L1")
        assert (at.state, at.key_record, at.node.key, at.is_outdated) == ("provisioned", "r", "r", False)
        nodes.joined(db, at, LATER)
        nodes.heard(db, nodes.get(db, "L1"), Stamp(LATER.at + 9), -97.0, 7.5)
        nodes.heard(db, nodes.get(db, "L1"), LATER)
        at = nodes.get(db, "L1")
        assert (at.state, at.seen_at, at.rssi, at.snr) == ("seen", LATER.at + 9, -97.0, 7.5)
        assert (
            nodes.by_mac(db, MAC) == nodes.by_dev_eui(db, "240ac4fffe010203") == nodes.by_name(db, "L1") == at
        )
        events = [(line["event"], line["detail"]) for line in status.history_of(db, at.asset_id)]
        assert [event for event, _ in events] == [
            *("created", "reserved", "flashed", "key", "provisioned", "joined", "seen")
        ]
        assert events[-1][1] == "RSSI -97 dBm, SNR 7.5 dB"
        assert [line["firmware"] for line in status.flashes_of(db, at.asset_id)] == ["0.1.0", "0.2.0"]


def test_collisions_are_refused(registry):
    with registry.writing() as db:
        provision(db, "L1", MAC, "00" * 8)
    for asset, mac, dev_eui, says in (
        ("L2", MAC, None, f"the board with MAC {MAC} is the node of L1"),
        ("L2", OTHER, "00" * 8, "DevEUI 0000000000000000 is that of L1"),
        ("L1", OTHER, None, "asset L1: has a node already"),
    ):
        with pytest.raises(RegistryError, match=says), registry.writing() as db:
            reserve(db, asset, mac, dev_eui)
    with pytest.raises(RegistryError, match="is one that L1 has"), registry.writing() as db:
        nodes.key_issued(db, reserve(db, "L2", OTHER), "r", MAC * 5, AT)


def test_replacing_keeps_place_and_history(registry):
    with registry.writing() as db:
        provision(db, "L1", MAC, "11" * 8)
    old = replace(registry, "L1", "vandalised", LATER)
    assert old.mac == MAC
    with registry.writing() as db:
        assert nodes.get(db, "L1").id is None
        assert nodes.by_mac(db, MAC) is None
        provision(db, "L1", OTHER, "22" * 8)
        # The old board may stand elsewhere, under the EUI of its chip, with another key.
        at = reserve(db, "L2", MAC, "11" * 8)
        with pytest.raises(RegistryError, match="is one that L1 has"):
            nodes.key_issued(db, at, "r", MAC * 5, AT)
        lines = list(status.history_of(db, nodes.get(db, "L1").asset_id))
    assert [(line["event"], line["mac"]) for line in lines] == [
        ("created", None),
        *(("reserved", MAC), ("key", MAC), ("provisioned", MAC), ("retired", MAC)),
        *(("reserved", OTHER), ("key", OTHER), ("provisioned", OTHER)),
    ]
    assert lines[4]["detail"] == "vandalised"
    with pytest.raises(RegistryError, match="has no node that could be replaced"):
        replace(registry, "T1", "")


def test_the_next_free_asset(registry):
    with registry.writing() as db:

        def free(*arguments):
            found = nodes.free(db, *arguments)
            return found.asset.asset if found else None

        assert (free(None), free("S"), free("T"), free("U")) == ("L1", "L1", "T1", None)
        reserve(db, "L1", MAC)
        assert (free("S"), free("S", "esp32-devkitc"), free("S", "ttgo-lora32-v21")) == ("B1", "B1", "B1")
        assert free("S", "esp32-devkitc", "ttgo-lora32-v21") is None
        reserve(db, "B1", OTHER)
        reserve(db, "L2", "0" * 12)
        assert free("S") is None
        assert nodes.count_unfinished(db, assets.Filter(site="S")) == 3


def test_a_changed_asset_outdates_its_node(registry):
    with registry.writing() as db:
        provision(db, "B1", MAC)
        old = assets.get(db, "B1")
        moved = Asset(**{**vars(old), "latitude": 48.0, "longitude": 2.0})
        assets.change(db, [(old, moved)], AT)
        assert not nodes.get(db, "B1").is_outdated
        assets.change(db, [(moved, Asset(**{**vars(moved), "settings": {"depth_mm": 1600}}))], AT)
        assert nodes.get(db, "B1").is_outdated
        (count,) = [one for one in status.counts(db) if one.kind == "fill"]
        assert (count.state, count.assets, count.outdated) == ("provisioned", 1, 1)


def test_a_changed_site_outdates_the_nodes_that_it_tells_something_else(registry):
    def change(secrets=(), **given):
        behind = setting.change_site(registry, "S", given, secrets, LATER)
        with registry.reading() as db:
            assert {at.asset.asset for at in nodes.find(db) if at.is_outdated} == set(behind)
        with registry.writing() as db:
            for name in behind:
                nodes.provisioned(db, nodes.get(db, name), "{}", "ab" * 32, "0.1.0", LATER)
        return behind

    change(wifi_ssid="Mairie", mqtt="mqtts://broker.example", wifi_open=False)
    with registry.writing() as db:
        provision(db, "L1", MAC, identity.dev_eui_of(MAC))
        provision(db, "B1", OTHER)
        provision(db, "T1", "240ac4010205")
    assert change(mqtt="mqtts://broker.example") == []  # as it was
    assert change(mqtt="mqtts://other.example", board="esp32-devkitc") == ["B1"]
    assert change(region="US915") == ["L1"]
    assert change(region="EU868", fair_use_s=60, ntp_host=None) == ["L1"]
    assert change(secrets=["wifi_password"]) == ["B1"]
    assert change(wifi_open=True) == []  # its password is of no use, and no harm
    assert change(secrets=["wifi_password"]) == []
    assert change(mqtt=None) == ["B1"]  # what is missing now is said when it is provisioned again
    with registry.reading() as db:
        lines = list(status.history_of(db, nodes.get(db, "B1").asset_id))
    assert [line["detail"] for line in lines if line["event"] == "changed"] == [
        "site: mqtt, board",
        "site: wifi_password",
        "site: mqtt",
    ]


def test_status(registry):
    with registry.writing() as db:
        nodes.heard(db, provision(db, "L1", MAC), AT)
        found = status.counts(db, since=AT.at + 1)
        assert [(one.site, one.kind, one.state, one.assets, one.silent) for one in found] == [
            ("S", "fill", "planned", 1, 0),
            ("S", "light", "planned", 1, 0),
            ("S", "light", "seen", 1, 1),
            ("T", "light", "planned", 1, 0),
        ]
        assert [one.assets for one in status.counts(db, assets.Filter(state="seen"))] == [1]


def test_the_status_of_many_uses_its_indexes(registry):
    """A scan of the wide tables would take a second at 100,000 nodes; figures are in bench/fleet.py."""
    with registry.reading() as db:
        statements = []

        def note(connection, cursor, statement, parameters, context, many):
            statements.append((statement, parameters))

        from sqlalchemy import event

        event.listen(registry.engine, "before_cursor_execute", note)
        status.counts(db)
        (statement, parameters) = statements[-1]
        plan = db.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
    said = " ".join(str(row[-1]) for row in plan)
    assert "COVERING INDEX ix_assets_status" in said and "COVERING INDEX ix_nodes_status" in said


def test_pending_settings(registry):
    with registry.writing() as db:
        at = provision(db, "B1", MAC)
        pending.queue(db, at.id, "depth_mm", 1600, AT)
        pending.queue(db, at.id, "depth_mm", 1700, AT)
        pending.queue(db, at.id, "offset_mm", 10, AT)
        first, second = pending.waiting(db, at.id)
        assert (first.value, second.value, status.pending_settings(db)) == (1700, 10, 2)
        pending.sent(db, first.id, AT)
        assert [one["state"] for one in pending.of_node(db, at.id)] == ["sent, not confirmed yet", "queued"]
        pending.done(db, first.id, AT)
        pending.drop(db, at.id, AT)
        assert pending.waiting(db, at.id) == [] and status.pending_settings(db) == 0


def test_sites(registry):
    with registry.writing() as db:
        assert sites.get(db, "S") == Site("S") and sites.get(db, None) == Site("")
        sites.put(db, Site("S", region="EU868", wifi_open=True))
        sites.put(db, Site("S", region="EU868", mqtt="mqtt://h"))
        assert list(sites.find(db)) == [Site("S", region="EU868", mqtt="mqtt://h")]
        db.execute(sites.sites.update().values(defaults='{"later": 1}'))
        with pytest.raises(RegistryError, match="was written by a newer borne"):
            sites.get(db, "S")
    assert Site("Rue de l'Église").owner == "site-Rue-de-l--glise"


def test_eui_of_a_mac():
    assert identity.dev_eui_of("240ac4010203") == "240ac4fffe010203"
    assert identity.mac("24:0A:C4:01:02:03") == "240ac4010203"
    with pytest.raises(SettingError, match="is no MAC"):
        identity.mac("240ac40102")


def test_ranges_of_euis():
    assert identity.eui_range("70B3D57ED0000000/40") == ("70b3d57ed0000000", "70b3d57ed0ffffff")
    assert identity.eui_range("70B3D57ED0000001..70-b3-d5-7e-d0-00-00-09")[1] == "70b3d57ed0000009"
    for text in (
        "70B3D57ED0000001/40",
        "x/40",
        "70B3D57ED0000000",
        "70B3D57ED0000000/4",
        "2" * 16 + ".." + "1" * 16,
    ):
        with pytest.raises(SettingError, match="dev_eui_range"):
            identity.eui_range(text)


def test_what_a_node_is_told(registry):
    with registry.writing() as db:
        lamp = reserve(db, "L1", MAC, "240ac4fffe010203")
        container = reserve(db, "B1", OTHER)
    site = Site("S", region="US915", antenna_dbi=5, wifi_ssid="Mairie", mqtt="mqtts://broker.example")
    found = wanted.of(lamp, site)
    assert (found.key, found.needed) == ("app_key", frozenset())
    told = found.settings
    assert (told["dev_eui"], told["region"], told["antenna_dbi"]) == ("240ac4fffe010203", "US915", 5)
    found = wanted.of(container, site)
    assert (found.key, found.needed) == ("mqtt_password", {"wifi_password", "mqtt_ca"})
    told = found.settings
    assert (told["mqtt_user"], told["mqtt_host"], told["mqtt_port"]) == ("B1", "broker.example", 8883)
    shared = wanted.of(container, Site("S", wifi_ssid="M", wifi_open=True, mqtt="mqtt://all@h"))
    assert (shared.key, shared.needed, shared.settings["mqtt_user"]) == (None, {"mqtt_password"}, "all")
    none = wanted.of(container, Site("S", wifi_ssid="M", wifi_open=True, mqtt="mqtt://h", mqtt_open=True))
    assert (none.key, none.needed, none.settings["mqtt_user"]) == (None, frozenset(), "")
    with pytest.raises(SettingError, match="wifi_ssid: is missing: borne fleet site S --wifi-ssid"):
        wanted.of(container, Site("S"))


def borne(*arguments, registry):
    return subprocess.run(
        [sys.executable, "-m", "borne", "fleet", *map(str, arguments), "--registry", str(registry)],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "r.sqlite"
    made = filled(open_registry(str(path)))
    with made.writing() as db:
        provision(db, "L1", MAC, "240ac4fffe010203")
    made.close()
    return path


def test_list_and_show_and_status(path):
    rows = [json.loads(line) for line in borne("list", "--json", registry=path).stdout.splitlines()]
    assert [row["asset"] for row in rows] == ["L1", "B1", "L2", "T1"]
    assert (rows[0]["state"], rows[0]["dev_eui"], rows[0]["settings_hash"]) == (
        *("provisioned", "240ac4fffe010203", "abababab"),
    )
    table = borne("list", "--site", "S", "--state", "planned", registry=path).stdout
    assert "B1" in table and "L1" not in table and "T1" not in table
    assert borne("list", "--kind", "parking", registry=path).stdout == "no asset is like that\n"
    content = csv.DictReader(io.StringIO(borne("list", "--csv", registry=path).stdout))
    assert [row["mac"] for row in content] == [MAC, "", "", ""]
    shown = borne("show", "L1", registry=path).stdout
    assert "240AC4FFFE010203" in shown and "provisioned" in shown
    assert MAC * 5 not in shown
    done = borne("show", "l1", registry=path)
    assert (done.returncode, done.stderr) == (2, "borne: asset 'l1' is unknown; did you mean 'L1'?\n")
    found = json.loads(borne("status", "--json", registry=path).stdout)
    assert sum(one["assets"] for one in found["counts"]) == 4
    assert borne("status", "--csv", registry=path).stdout.splitlines()[0].startswith("site,kind,state,assets")
    assert "changed" in borne("status", registry=path).stdout


def test_the_replace_command(path):
    done = borne("replace", "L1", "--why", "water", registry=path)
    assert "240AC4FFFE010203" in done.stdout and done.returncode == 0
    history = json.loads(borne("show", "L1", "--json", registry=path).stdout)["history"]
    assert (history[-1]["event"], history[-1]["detail"]) == ("retired", "water") and "who" not in history[-1]
    assert borne("replace", "L1", registry=path).returncode == 2


def test_the_site_command(path):
    done = borne("site", "S", "--region", "eu868", "--mqtt", "mqtts://h", "--fair-use-s", "0", registry=path)
    assert done.stdout == "S, region EU868, mqtt mqtts://h, fair_use_s 0\n"
    assert borne("site", "S", "--mqtt", "", registry=path).stdout == "S, region EU868, fair_use_s 0\n"
    done = borne("site", "S", "--fair-use-s", "30", registry=path)
    assert done.stderr == (
        "borne: 1 node of S has to be told of it: borne provision L1 (borne fleet list shows them)\n"
    )
    assert "provisioned (changed since)" in borne("list", registry=path).stdout
    borne("site", "S", "--fair-use-s", "0", registry=path)
    assert json.loads(borne("site", "--json", registry=path).stdout)["region"] == "EU868"
    for arguments, says in (
        (["S", "--region", "EU86"], "did you mean 'EU868'"),
        (["S", "--board", "esp"], "board 'esp' is unknown"),
        (["S", "--mqtt", "mqtt://u:hunter2@h"], "BORNE_MQTT_PASSWORD"),
        (["S", "--dev-eui-range", "1..2"], "dev_eui_range"),
        (["--region", "EU868"], "site: say which one"),
    ):
        done = borne("site", *arguments, registry=path)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and says in done.stderr
        assert "hunter2" not in done.stderr
