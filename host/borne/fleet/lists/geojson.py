"""Lists as GeoJSON (RFC 7946): a collection of points, whose properties are the columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from borne.errors import ListError
from borne.fleet.lists.sheet import Broken, Cell, Row, Sheet

# RFC 7946, 4: coordinates are WGS 84; files made before it may name another system.
_WGS84: Final = ("CRS84", "EPSG:4326", "EPSG::4326")
PLACE: Final = ("latitude", "longitude")


def read(source: str, raw: bytes) -> Sheet:
    """A Sheet out of the bytes of a GeoJSON file. Raises ListError."""
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ListError(f"{source}: is not UTF-8, as GeoJSON must be") from None
    except (ValueError, RecursionError) as error:
        where = f": line {error.lineno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else ""
        raise ListError(f"{source}: is no JSON{where}") from None
    features = _features(source, content)
    names: dict[str, None] = {}
    for feature in features:
        properties = feature.get("properties") if isinstance(feature, dict) else None
        names.update(dict.fromkeys(properties if isinstance(properties, dict) else ()))
    own = tuple(name for name in names if name not in PLACE)
    return Sheet(source, (*own, *PLACE), _rows(features, own))


def _features(source: str, content: Any) -> list[Any]:
    if not isinstance(content, dict) or content.get("type") != "FeatureCollection":
        raise ListError(f"{source}: is no GeoJSON FeatureCollection")
    system = content.get("crs")
    if system is not None and not any(name in json.dumps(system) for name in _WGS84):
        raise ListError(f"{source}: its coordinates are not WGS 84 (crs): export it again as EPSG:4326")
    features = content.get("features")
    if not isinstance(features, list) or not features:
        raise ListError(f"{source}: has no features")
    return features


def _rows(features: list[Any], names: tuple[str, ...]) -> Iterator[Row]:
    for number, feature in enumerate(features, 1):
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict):
            yield Row(number, (), "is no feature with properties")
            continue
        place = _point(feature.get("geometry"), properties)
        if isinstance(place, str):
            yield Row(number, (), place)
        else:
            yield Row(number, (*(_cell(properties.get(name)) for name in names), *place))


def _point(geometry: Any, properties: dict[str, Any]) -> tuple[Cell, Cell] | str:
    """Latitude and longitude, or why there are none. RFC 7946, 3.1.1: longitude comes first."""
    if geometry is None:
        return _cell(properties.get(PLACE[0])), _cell(properties.get(PLACE[1]))
    if not isinstance(geometry, dict) or geometry.get("type") != "Point":
        kind = geometry.get("type") if isinstance(geometry, dict) else geometry
        return f"is no Point but {kind!r}: an asset stands at one place"
    where = geometry.get("coordinates")
    numbers = isinstance(where, list) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in where
    )
    if not isinstance(where, list) or not numbers or not 2 <= len(where) <= 3:
        return "its coordinates are not [longitude, latitude]"
    return where[1], where[0]


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return ",".join(str(one) for one in value)
    return Broken("is no text and no number")
