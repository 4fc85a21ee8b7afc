"""A decoded report and its asset as entities of a city platform: NGSI-LD with FIWARE's Smart Data Models.

ETSI GS CIM 009 (NGSI-LD), 4.5, normalised form; github.com/smart-data-models: dataModel.Parking (ParkingSpot 0.1.0,
OnStreetParking 0.1.4), dataModel.WasteManagement (WasteContainer 0.3.0), dataModel.Streetlighting (Streetlight 0.2.1).
Which value feeds which attribute stands in the report table (borne_node.report.meaning); what a payload does not carry,
place, category and site, comes from the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard
from urllib.parse import quote

from borne.decoding.report import Report, Value
from borne.errors import SettingError
from borne.fleet.model import Asset, Node
from borne_node.report import schema

Entity = dict[str, Any]

_CORE: Final = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld"
_CONTEXT: Final = "https://raw.githubusercontent.com/smart-data-models/dataModel.{}/master/context.jsonld"
_MODELS: Final = {
    "OnStreetParking": "Parking",
    "ParkingSpot": "Parking",
    "Streetlight": "Streetlighting",
    "WasteContainer": "WasteManagement",
}
_UNITS: Final = {"degC": "CEL"}  # UN/CEFACT Recommendation 20
_POWER: Final = {"booting up": "bootingUp"}
_DATES: Final = ("dateLastEmptying",)
_QUARTERS: Final = 4


def entities(report: Report, node: Node, received: int) -> list[Entity]:
    """The entities that a report brings up to date; none for reports about the node itself.

    `received` in unix seconds, from which the report's window finds its time. A bay is an entity of its own, withheld
    ones are none. What is unknown or was suppressed is "unknown" where the model has that word, and is left out
    otherwise. Raises SettingError: the asset has no place, which every model requires.
    """
    return [_complete(one, node) for one in _parts(report, node.asset, received)]


def identifier(kind: str, name: str) -> str:
    """The URN of an entity (ETSI GS CIM 009, annex A.3)."""
    return f"urn:ngsi-ld:{kind}:{quote(name, safe='')}"


def _parts(report: Report, asset: Asset, received: int) -> Iterator[Entity]:
    began = report.started(received)
    end = received if began is None else min(began + report.layout.window_s, received)
    at = _time(end)
    if report.port == schema.ZONE:
        yield _zone(report, asset, at)
    elif report.port in (schema.BAY, schema.LIVE):
        yield from _bays(report, asset, at)
    elif report.port == schema.LIGHT:
        yield _light(report, asset, at)
    elif report.port in (schema.FILL_1, schema.FILL):
        yield _container(report, asset, at) | _emptied(report, received)
    elif report.port == schema.FAULT:
        yield from _fault(report, asset, at)


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _new(kind: str, name: str) -> Entity:
    return {"id": identifier(kind, name), "type": kind}


def _complete(entity: Entity, node: Node) -> Entity:
    """With what the list knows: place, name, street, device."""
    asset, kind = node.asset, entity["type"]
    if asset.latitude is None or asset.longitude is None:
        raise SettingError(f"{asset.asset}: has no latitude and longitude, which a {kind} must have")
    point = {"type": "Point", "coordinates": [asset.longitude, asset.latitude]}
    entity["location"] = {"type": "GeoProperty", "value": point}
    entity.setdefault("name", _property(asset.asset))
    if asset.street:
        entity["address"] = _property({"streetAddress": asset.street})
    if asset.site:
        entity["areaServed"] = _property(asset.site)
    if kind != "OnStreetParking":
        entity["refDevice"] = {"type": "Relationship", "object": [identifier("Device", node.name)]}
    entity["@context"] = [_CORE, _CONTEXT.format(_MODELS[kind])]
    return entity


def _property(value: Any, at: str | None = None, unit: str | None = None) -> dict[str, Any]:
    found = {"type": "Property", "value": value}
    if unit:
        found["unitCode"] = unit
    if at:
        found["observedAt"] = at
    return found


def _measured(report: Report, kind: str, at: str) -> Entity:
    """The numbers that the report table maps to attributes of a model, in the model's scale."""
    found: Entity = {}
    for field, value in zip(report.fields, report.values, strict=True):
        model, _, attribute = (field.city or "").partition(".")
        if (
            model == kind
            and isinstance(value, (int, float))
            and not isinstance(value, bool)
            and not field.labels
            and attribute not in _DATES
        ):
            scaled = value / field.divide if field.divide != 1 else value
            found[attribute] = _property(scaled, at, _UNITS.get(field.unit or ""))
    return found


def _zone(report: Report, asset: Asset, at: str) -> Entity:
    entity = _new("OnStreetParking", asset.asset)
    occupied, readable = report.value("occupied"), report.value("bays_ok")
    total = _total(asset)
    entity["totalSpotNumber"] = _property(total)
    if _is_number(occupied):
        # The noise may say more cars than there are bays; of a count that people act on, that is no answer.
        entity["occupiedSpotNumber"] = _property(min(occupied, total), at)
        if _is_number(readable):
            entity["availableSpotNumber"] = _property(max(0, min(readable, total) - occupied), at)
    return entity


def _bays(report: Report, asset: Asset, at: str) -> Iterator[Entity]:
    for number in _shown(asset):
        value = report.values[number - 1]
        entity = _bay(asset, number, _status(report.port, value), at)
        if report.port == schema.BAY and _is_number(value):
            # Not of the model: the figure behind a status that speaks of an hour, not of a moment.
            entity["occupancy"] = _property(value / _QUARTERS, at)
        yield entity


def _bay(asset: Asset, number: int, status: str, at: str) -> Entity:
    entity = _new("ParkingSpot", f"{asset.asset}-{number}")
    entity["name"] = _property(f"{asset.asset}-{number}")
    entity["status"] = _property(status, at)
    entity["category"] = _property(["onStreet"])
    site = identifier("OnStreetParking", asset.site or asset.asset)
    entity["refParkingSite"] = {"type": "Relationship", "object": site}
    return entity


def _status(port: int, value: Value) -> str:
    """Of a bay: by its share of the hour what it mostly was, and unknown where that was half."""
    if isinstance(value, bool):
        return "occupied" if value else "free"
    if port != schema.BAY or not _is_number(value) or 2 * value == _QUARTERS:
        return "unknown"
    return "occupied" if 2 * value > _QUARTERS else "free"


def _light(report: Report, asset: Asset, at: str) -> Entity:
    entity = _new("Streetlight", asset.asset) | _measured(report, "Streetlight", at)
    lamp = report.value("lamp")
    if isinstance(lamp, str):
        entity["status"] = _property("defectiveLamp" if lamp == "defective" else "ok", at)
        if lamp != "defective":
            entity["powerState"] = _property(_POWER.get(lamp, lamp), at)
    return entity


def _container(report: Report, asset: Asset, at: str) -> Entity:
    entity = _new("WasteContainer", asset.asset) | _measured(report, "WasteContainer", at)
    fire, tilt = report.value("fire"), report.value("tilt")
    known = isinstance(fire, bool) or isinstance(tilt, bool)
    status = "burning" if fire is True else "dropped" if tilt is True else "ok" if known else "unknown"
    entity["status"] = _property(status, at)
    return entity


def _emptied(report: Report, received: int) -> Entity:
    """When the container was emptied: the end of that window. Reports of version 1 do not say."""
    ago = report.value("emptied") if report.port == schema.FILL else None
    began = report.started(received)
    if not _is_number(ago) or began is None:
        return {}
    at = min(began + (1 - ago) * report.layout.window_s, received)
    return {"dateLastEmptying": _property({"@type": "DateTime", "@value": _time(at)})}


def _fault(report: Report, asset: Asset, at: str) -> Iterator[Entity]:
    """A sensor that does not answer: what hung on it is unknown. A Streetlight has no such word."""
    if asset.kind == "fill":
        yield _new("WasteContainer", asset.asset) | {"status": _property("unknown", at)}
    elif asset.kind == "parking" and _profile(asset) != "zone":
        position = report.value("position")
        shown = _shown(asset)
        numbers = [position + 1] if _is_number(position) else shown
        yield from (_bay(asset, number, "unknown", at) for number in numbers if number in shown)


def _total(asset: Asset) -> int:
    return int(asset.settings.get("bays", 1))


def _profile(asset: Asset) -> str:
    """As the node takes it that was told none (borne_node.settings)."""
    return asset.profile or ("zone" if _total(asset) >= 4 else "bay")


def _shown(asset: Asset) -> list[int]:
    withheld = asset.settings.get("withheld_bays") or ()
    return [number for number in range(1, _total(asset) + 1) if number not in withheld]


def _is_number(value: Value) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def simplified(entity: Entity) -> Entity:
    """The same as plain keys and values (ETSI GS CIM 009, 4.5.4), for people and for the models' own schemas."""
    return {name: _plain(value) for name, value in entity.items()}


def _plain(value: Any) -> Any:
    plain = value.get("object", value.get("value")) if isinstance(value, dict) else value
    return plain["@value"] if isinstance(plain, dict) and "@value" in plain else plain
