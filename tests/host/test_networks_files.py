"""Files for a network's own importer, read back by the rules of that importer."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_kit import key_of, lamp
from things_stack_server import IDENTIFIER, MAC, PHY, PLANS

from borne.errors import SettingError
from borne.fleet.model import Asset, Node
from borne.fleet.networks import importers, plan

# pkg/devicetemplates/ttscsv.go: the columns that the importer knows.
COLUMNS = {
    *("id", "dev_eui", "join_eui", "app_eui", "name", "description", "frequency_plan_id", "lorawan_version"),
    *("lorawan_phy_version", "brand_id", "model_id", "hardware_version", "firmware_version", "band_id"),
    *("vendor_id", "vendor_profile_id", "app_key", "nwk_key", "rx1_delay", "supports_32_bit_f_cnt"),
}
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)


def imported(data: bytes) -> list[dict[str, str]]:
    """What The Things Stack makes of its CSV: `;`, a header of known columns, as many fields in every row."""
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=";", strict=True))
    assert set(rows[0]) <= COLUMNS and len(set(rows[0])) == len(rows[0])
    assert all(len(row) == len(rows[0]) for row in rows)
    return [checked(dict(zip(rows[0], row, strict=True))) for row in rows[1:]]


def checked(device: dict[str, Any]) -> dict[str, Any]:
    assert IDENTIFIER.fullmatch(device["id"]) and len(device["id"]) <= 36
    for name, digits in (("dev_eui", 16), ("join_eui", 16), ("app_key", 32)):
        assert re.fullmatch(f"[0-9A-F]{{{digits}}}", device[name])
    assert device["frequency_plan_id"] in PLANS and len(device["name"]) <= 50
    assert device["lorawan_version"] in MAC and device["lorawan_phy_version"] in PHY
    return device


@given(name=names, street=names)
def test_any_name_and_street_survive_the_things_stacks_csv(name: str, street: str) -> None:
    node = Node(Asset("A", "light", street=street), name, "70b3d57ed0000001")
    data, rows = importers.things_stack_csv([node], key_of)
    (device,) = imported(data)
    assert [row.action for row in rows] == [importers.WRITTEN]
    assert device["name"] == name[:50] and device["description"] == f"light, {street}"
    assert device["app_key"] == key_of(node).decode().upper()


def test_the_things_stacks_json_is_a_stream_of_objects() -> None:
    data, _ = importers.things_stack_json([lamp(0), lamp(1)], key_of)
    decoder, text, found = json.JSONDecoder(), data.decode(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        found.append(one)
    assert [one["ids"]["dev_eui"] for one in found] == ["70B3D57ED0000000", "70B3D57ED0000001"]
    for one, node in zip(found, (lamp(0), lamp(1)), strict=True):
        flat = {
            **one,
            **one["ids"],
            "id": one["ids"]["device_id"],
            "app_key": one["root_keys"]["app_key"]["key"],
        }
        checked(flat)
        assert one["supports_join"] is True and one["attributes"]["asset"] == node.asset.asset
        assert all(IDENTIFIER.fullmatch(name) for name in one["attributes"])
        assert one["locations"]["user"] == {"latitude": 48.1, "longitude": -1.6, "source": "SOURCE_REGISTRY"}


def test_thingparks_file_has_no_header_and_its_columns_in_order() -> None:
    odd = Node(Asset("A", "light"), 'a,b"c', "0" * 16)
    data, rows = importers.thingpark_csv([lamp(0), odd], key_of, "BORNE/Node-1.0.4a", "plan-1")
    first, second = csv.reader(io.StringIO(data.decode()))
    assert first == [
        *("CREATE_OTAA", "70B3D57ED0000000", "", "BORNE/Node-1.0.4a", "70B3D57ED0000001"),
        *(key_of(lamp(0)).decode().upper(), "", "plan-1", "", "", "LAMP-0000"),
    ]
    assert second[10] == 'a,b"c' and b'"a,b""c"' in data
    assert [row.action for row in rows] == [importers.WRITTEN] * 2


def test_nodes_that_cannot_stand_in_a_file_are_left_out_and_told() -> None:
    nodes = [
        lamp(0),
        Node(Asset("BIN", "fill", link="wifi"), "BIN"),
        Node(Asset("NEW", "light"), "NEW"),
        lamp(1),
    ]
    nodes.append(Node(Asset("FAR", "light", region="MARS"), "FAR", "0" * 16))
    data, rows = importers.things_stack_csv(nodes, key_of)
    assert [device["name"] for device in imported(data)] == ["LAMP-0000", "LAMP-0001"]
    assert {row.asset for row in rows if row.action == plan.REFUSED} == {"BIN", "FAR"}
    assert {row.asset for row in rows if row.action == plan.NO_NODE} == {"NEW"}
    with pytest.raises(SettingError, match="model: is missing"):
        importers.thingpark_csv(nodes, key_of, "")
