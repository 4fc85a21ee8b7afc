"""Reports as entities of a city platform: what the Smart Data Models ask for, and nothing that no report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from borne.decoding.report import OVERFLOW, SUPPRESSED, Report, decode, encode
from borne.decoding.table import layouts
from borne.errors import SettingError
from borne.fleet.city import Entity, entities, identifier, simplified
from borne.fleet.model import Asset, Node
from borne_node.report import schema

MODELS = json.loads((Path(__file__).parents[1] / "vectors" / "city-models.json").read_text())
# 2026-11-23T08:07:30Z, in the middle of a window of every kind.
NOW = 1795421250


def node(kind: str, **more: Any) -> Node:
    given = {"latitude": 48.11, "longitude": -1.68, "street": "Rue Haute", "site": "Centre", **more}
    return Node(Asset("A 7", kind, **given), "A-7")


def valid(entity: Entity) -> Entity:
    plain = simplified(entity)
    jsonschema.validate(
        plain, {"$ref": f"#/definitions/{plain['type']}", "definitions": MODELS["definitions"]}
    )
    return plain


def report(port: int, values: tuple[Any, ...], window: int | None = None) -> Report:
    """The last window that was whole at NOW, if none is named."""
    layout = layouts()[port]
    if window is None and layout.window_bits:
        window = (NOW // layout.window_s - 1) % (1 << layout.window_bits)
    return decode(encode(port, window, values), port)


def test_a_container() -> None:
    (one,) = entities(report(schema.FILL_1, (35, 21, False, False)), node("fill"), NOW)
    assert one["id"] == "urn:ngsi-ld:WasteContainer:A%207"
    # The window of four hours that ended last.
    assert one["fillingLevel"] == {"type": "Property", "value": 0.35, "observedAt": "2026-11-23T08:00:00Z"}
    assert one["temperature"]["unitCode"] == "CEL"
    assert one["location"]["value"] == {"type": "Point", "coordinates": [-1.68, 48.11]}
    plain = valid(one)
    assert (plain["status"], plain["refDevice"]) == ("ok", ["urn:ngsi-ld:Device:A-7"])
    assert plain["address"] == {"streetAddress": "Rue Haute"} and plain["areaServed"] == "Centre"
    assert one["@context"][1].endswith("dataModel.WasteManagement/master/context.jsonld")


@pytest.mark.parametrize(
    ("tilt", "fire", "status"),
    [(False, False, "ok"), (True, False, "dropped"), (True, True, "burning"), (False, True, "burning")],
)
def test_what_befell_a_container(tilt: bool, fire: bool, status: str) -> None:
    (one,) = entities(report(schema.FILL, (None, None, tilt, fire, None)), node("fill"), NOW)
    plain = valid(one)
    assert plain["status"] == status
    assert "fillingLevel" not in plain and "temperature" not in plain


@pytest.mark.parametrize(
    ("ago", "at"), [(0, "2026-11-23T08:00:00Z"), (1, "2026-11-23T04:00:00Z"), (7, "2026-11-22T04:00:00Z")]
)
def test_when_a_container_was_emptied(ago: int, at: str) -> None:
    (one,) = entities(report(schema.FILL, (5, 21, False, False, ago)), node("fill"), NOW)
    # A date is a typed value (ETSI GS CIM 009, 4.6.3), and plain text in the simplified form.
    assert one["dateLastEmptying"] == {"type": "Property", "value": {"@type": "DateTime", "@value": at}}
    assert valid(one)["dateLastEmptying"] == at


@pytest.mark.parametrize("ago", [None, OVERFLOW])
def test_an_emptying_that_nobody_saw_has_no_date(ago: Any) -> None:
    (one,) = entities(report(schema.FILL, (5, 21, False, False, ago)), node("fill"), NOW)
    assert "dateLastEmptying" not in valid(one)


def test_a_zone_never_has_more_cars_than_bays() -> None:
    (one,) = entities(report(schema.ZONE, (5, 8)), node("parking", settings={"bays": 8}), NOW)
    plain = valid(one)
    assert [plain[name] for name in ("totalSpotNumber", "occupiedSpotNumber", "availableSpotNumber")] == [
        8,
        5,
        3,
    ]
    assert one["occupiedSpotNumber"]["observedAt"] == "2026-11-23T08:00:00Z"
    (one,) = entities(report(schema.ZONE, (12, 7)), node("parking", settings={"bays": 8}), NOW)
    plain = valid(one)
    assert (plain["occupiedSpotNumber"], plain["availableSpotNumber"]) == (8, 0)
    (one,) = entities(report(schema.ZONE, (SUPPRESSED, 7)), node("parking", settings={"bays": 8}), NOW)
    assert "occupiedSpotNumber" not in one and valid(one)["totalSpotNumber"] == 8


def test_bays_are_entities_and_withheld_ones_are_none() -> None:
    shares = (0, 1, 2, 3, 4, None, SUPPRESSED, 4)
    asset = node("parking", profile="bay", settings={"bays": 7, "withheld_bays": [2]})
    found = entities(report(schema.BAY, shares), asset, NOW)
    plain = [valid(one) for one in found]
    assert {one["name"]: one["status"] for one in plain} == {
        "A 7-1": "free",
        "A 7-3": "unknown",
        "A 7-4": "occupied",
        "A 7-5": "occupied",
        "A 7-6": "unknown",
        "A 7-7": "unknown",
    }
    assert plain[2]["occupancy"] == 0.75 and "occupancy" not in plain[4]
    assert {one["refParkingSite"] for one in plain} == {"urn:ngsi-ld:OnStreetParking:Centre"}
    live = (True, False, None, *[None] * 5)
    found = entities(report(schema.LIVE, live), node("parking", profile="live", settings={"bays": 3}), NOW)
    assert [valid(one)["status"] for one in found] == ["occupied", "free", "unknown"]


@pytest.mark.parametrize(
    ("lamp", "status", "power"),
    [
        ("on", "ok", "on"),
        ("off", "ok", "off"),
        ("low", "ok", "low"),
        ("booting up", "ok", "bootingUp"),
        ("defective", "defectiveLamp", None),
    ],
)
def test_a_lamp(lamp: str, status: str, power: str | None) -> None:
    (one,) = entities(report(schema.LIGHT, (42, 5, lamp, 80, 118)), node("light"), NOW)
    plain = valid(one)
    assert (plain["status"], plain.get("powerState"), plain["illuminanceLevel"]) == (status, power, 0.8)
    assert not [name for name in plain if "presence" in name.lower()]


def test_a_lamp_of_which_nothing_is_known_is_not_called_sound() -> None:
    (one,) = entities(report(schema.LIGHT, (None, None, None, None, OVERFLOW)), node("light"), NOW)
    assert "status" not in one and "powerState" not in one and "illuminanceLevel" not in one


def test_a_fault_makes_unknown_what_hung_on_the_sensor() -> None:
    (one,) = entities(report(schema.FAULT, ("fill", None, "no answer")), node("fill"), NOW)
    assert valid(one)["status"] == "unknown"
    bays = node("parking", settings={"bays": 3, "withheld_bays": [3]})
    fault = entities(report(schema.FAULT, ("parking", 1, "stuck")), bays, NOW)
    assert [valid(one)["name"] for one in fault] == ["A 7-2"]
    assert entities(report(schema.FAULT, ("parking", 2, "stuck")), bays, NOW) == []
    assert len(entities(report(schema.FAULT, ("parking", None, "stuck")), bays, NOW)) == 2
    zone = node("parking", settings={"bays": 8})
    assert entities(report(schema.FAULT, ("parking", 1, "stuck")), zone, NOW) == []
    assert entities(report(schema.FAULT, ("light", None, "stuck")), node("light"), NOW) == []


def test_reports_about_the_node_are_no_entities() -> None:
    health = report(schema.HEALTH, (3300, 21, "power on", 0, 1, 0, "01020304", "a0b0c0ff", 0))
    assert entities(health, node("fill"), NOW) == []


def test_an_asset_without_a_place_is_refused() -> None:
    with pytest.raises(
        SettingError, match="A 7: has no latitude and longitude, which a WasteContainer must have"
    ):
        entities(report(schema.FILL_1, (35, 21, False, False)), node("fill", latitude=None), NOW)


def test_a_window_that_is_not_over_is_not_dated_into_the_future() -> None:
    layout = layouts()[schema.FILL]
    current = NOW // layout.window_s % (1 << layout.window_bits)
    (one,) = entities(report(schema.FILL, (35, 21, False, False, 0), current), node("fill"), NOW)
    assert one["fillingLevel"]["observedAt"] == "2026-11-23T08:07:30Z"
    assert one["dateLastEmptying"]["value"]["@value"] == "2026-11-23T08:07:30Z"


@given(
    st.sampled_from([schema.ZONE, schema.BAY, schema.LIVE, schema.LIGHT, schema.FILL, schema.FAULT]),
    st.data(),
)
def test_any_report_gives_what_the_models_allow(port: int, data: st.DataObject) -> None:
    values = []
    for field in layouts()[port].fields:
        code = data.draw(st.integers(0, field.last))
        plain = field.labels[code] if field.labels else field.offset + field.step * code
        values.append(
            data.draw(st.sampled_from([plain, None])) if "unknown" in field.reserved.values() else plain
        )
    kind = {schema.LIGHT: "light", schema.FILL: "fill"}.get(port, "parking")
    bays = data.draw(st.integers(1, 8))
    one = report(port, tuple(values), data.draw(st.integers(0, 255)) if layouts()[port].window_bits else None)
    for entity in entities(one, node(kind, settings={"bays": bays} if kind == "parking" else {}), NOW):
        assert entity["@context"] and entity["id"].startswith(identifier(entity["type"], "A 7"))
        if entity["type"] != "Streetlight" or "status" in entity:
            valid(entity)
