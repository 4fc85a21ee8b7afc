"""Files that a network's own importer reads. They hold keys: whoever writes one makes it 0600 (borne.fleet.files)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from borne.errors import SettingError
from borne.fleet.model import Node
from borne.fleet.networks import describe, tts
from borne.fleet.networks.describe import Keys, NotYet
from borne.fleet.networks.plan import NO_NODE, REFUSED, Row

WRITTEN: Final = "written"
Record = Mapping[str, Any]


def things_stack_csv(
    nodes: Sequence[Node], keys: Keys, plans: Mapping[str, str] = tts.FREQUENCY_PLANS
) -> tuple[bytes, list[Row]]:
    """The Things Stack, "CSV File Reference": `;` between fields, a header, quotes where needed."""
    records, rows = _records(nodes, lambda node: _things_stack(node, keys, plans))
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, delimiter=";", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().encode(), rows


_COLUMNS: Final = (
    *("id", "dev_eui", "join_eui", "name", "description"),
    *("frequency_plan_id", "lorawan_version", "lorawan_phy_version", "app_key"),
)


def _things_stack(node: Node, keys: Keys, plans: Mapping[str, str]) -> Record:
    return {
        "id": tts.device_id(node),
        "dev_eui": describe.dev_eui(node).upper(),
        "join_eui": describe.join_eui(node).upper(),
        "name": node.name[:50],
        "description": describe.description(node)[:2000],
        "frequency_plan_id": tts.frequency_plan(node, plans),
        "lorawan_version": tts.MAC,
        "lorawan_phy_version": tts.PHY,
        "app_key": describe.app_key(node, keys),
    }


def things_stack_json(
    nodes: Sequence[Node], keys: Keys, plans: Mapping[str, str] = tts.FREQUENCY_PLANS
) -> tuple[bytes, list[Row]]:
    """The Things Stack, "JSON File Reference": one object a device, one after another, and not a list of them."""
    records, rows = _records(nodes, lambda node: _things_stack_object(node, keys, plans))
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode(), rows


def _things_stack_object(node: Node, keys: Keys, plans: Mapping[str, str]) -> Record:
    flat = _things_stack(node, keys, plans)
    ids = {"device_id": flat["id"], "dev_eui": flat["dev_eui"], "join_eui": flat["join_eui"]}
    more = {name: flat[name] for name in _COLUMNS[3:-1]}
    attributes = {name: value[:200] for name, value in describe.tags(node).items()}
    # Latitude and longitude have a field of their own.
    attributes = {name: attributes[name] for name in attributes if name not in ("latitude", "longitude")}
    found = {"ids": ids, **more, "attributes": attributes, "supports_join": True}
    asset = node.asset
    if asset.latitude is not None and asset.longitude is not None:
        place = {"latitude": asset.latitude, "longitude": asset.longitude, "source": "SOURCE_REGISTRY"}
        found["locations"] = {"user": place}
    return found | {"root_keys": {"app_key": {"key": flat["app_key"]}}}


def thingpark_csv(nodes: Sequence[Node], keys: Keys, model: str, plan: str = "") -> tuple[bytes, list[Row]]:
    """ThingPark Enterprise, "About import file": `,` between fields, no header; columns A to K.

    `model` is the device model ID of its MODELS LIST, `plan` the connectivity plan, where there are several.
    """
    if not model:
        raise SettingError("model: is missing: the device model ID out of ThingPark's MODELS LIST")
    records, rows = _records(nodes, lambda node: _thingpark(node, keys, model, plan))
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(record.values() for record in records)
    return out.getvalue().encode(), rows


def _thingpark(node: Node, keys: Keys, model: str, plan: str) -> Record:
    return {
        "A": "CREATE_OTAA",
        "B": describe.dev_eui(node).upper(),
        "C": "",
        "D": model,
        "E": describe.join_eui(node).upper(),
        "F": describe.app_key(node, keys),
        "G": "",
        "H": plan,
        "I": "",
        "J": "",
        "K": node.name,
    }


def _records(nodes: Sequence[Node], make: Callable[[Node], Record]) -> tuple[list[Record], list[Row]]:
    """A record and a row for each node; a row that says why where there is no record."""
    records: list[Record] = []
    rows = []
    for node in nodes:
        asset = node.asset.asset
        try:
            if node.asset.link != "lorawan":
                raise SettingError(f"is a node by {node.asset.link}, and this is a LoRaWAN network")
            records.append(make(node))
            rows.append(Row(asset, node.dev_eui or "", WRITTEN))
        except NotYet:
            rows.append(Row(asset, "", NO_NODE))
        except SettingError as error:
            rows.append(Row(asset, node.dev_eui or "", REFUSED, str(error).removeprefix(f"{asset}: ")))
    return records, rows
