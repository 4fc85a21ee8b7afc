"""Complete folders for the device repositories of The Things Network and ChirpStack.

Their rules: github.com/TheThingsNetwork/lorawan-devices (schema.json) and chirpstack/chirpstack-device-profiles
(README).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID, uuid5

from borne import __version__
from borne.decoding.codecs import javascript
from borne.decoding.report import SUPPRESSED, Value, decode, encode
from borne_node.report.schema import COMMAND

NAME = "borne-street-node"
_VENDOR = "opensource"
_DESCRIPTION = (
    "Parking bay, street light or waste container node that makes its data anonymous before it sends"
)
# Any fixed number: identifiers are derived from it and from names, so that they stay the same.
_IDENTIFIERS = UUID("6f1c6e3e-3a54-4b43-9d3f-6a0a1f2f8b5e")

_UPLINKS: tuple[tuple[str, int, int | None, tuple[Value, ...], tuple[tuple[Value, ...], ...] | None], ...] = (
    ("Waste container, a third full, emptied three windows ago", 94, 10, (35, 21, False, False, 3), None),
    (
        "Waste container with two earlier windows",
        94,
        10,
        (35, 21, False, False, 3),
        ((30, 20, False, False, 2), (30, 19, False, False, 1)),
    ),
    ("Waste container by a node of format version 1", 30, 10, (35, 21, False, False), None),
    ("Parking zone of 8 bays", 10, 2023, (5, 8), None),
    ("Parking, one bay, three quarters of four hours", 11, 200, (3,), None),
    ("Street light in the evening", 20, 18, (42, 5, "on", 80, 118), None),
    ("Street light, fewer than 11 triggers", 20, 2, (SUPPRESSED, 1, "low", 30, 40), None),
    ("Health", 1, None, (3300, 21, "power on", 0, 1, 0, "01020304", "a0b0c0ff", 0), None),
    ("Sensor does not answer", 2, 96, ("parking", 2, "no answer"), None),
)
_DOWNLINKS: tuple[tuple[str, tuple[Value, ...]], ...] = (
    ("Set the depth of the container", ("set", "depth_mm", 1500)),
    ("Ask for the health report", ("send health",)),
    ("Reboot", ("reboot",)),
)


def device_repository() -> Mapping[PurePosixPath, str]:
    """All files by path: `lorawan-devices/...` for The Things Network, `chirpstack-device-profiles/...` for
    ChirpStack.
    """
    things = PurePosixPath("lorawan-devices/vendor") / _VENDOR
    chirp = PurePosixPath("chirpstack-device-profiles/vendors") / NAME
    return {
        things / "index.yaml": f"endDevices:\n  - {NAME}\n",
        things / f"{NAME}.yaml": _yaml(_things_device()),
        things / f"{NAME}-profile-eu868.yaml": _yaml(_THINGS_PROFILE),
        things / f"{NAME}-codec.yaml": _yaml(_things_codec()),
        things / f"{NAME}.js": javascript("tts"),
        chirp / "vendor.toml": _vendor_toml(),
        chirp / "devices" / f"{NAME}.toml": _device_toml(),
        chirp / "profiles" / "EU868-1_0_4.toml": _profile_toml(),
        chirp / "codecs" / f"{NAME}.js": javascript("chirpstack"),
        chirp / "codecs" / f"test_decode_{NAME}.json": _json(_chirp_tests("decode")),
        chirp / "codecs" / f"test_encode_{NAME}.json": _json(_chirp_tests("encode")),
    }


def _uplink_examples() -> list[dict[str, Any]]:
    examples = []
    for description, port, window, values, history in _UPLINKS:
        payload = encode(port, window, values, history)
        examples.append(_example(description, payload, port))
    return examples


def _example(description: str, payload: bytes, port: int) -> dict[str, Any]:
    report = decode(payload, port)
    data: dict[str, Any] = report.flat()
    if report.history:
        names = [field.name for field in report.fields]
        data["history"] = [
            {"window": report.earlier(n)} | dict(zip(names, values, strict=True))
            for n, values in enumerate(report.history)
        ]
    return {
        "description": description,
        "input": {"fPort": port, "bytes": list(payload)},
        "output": {"data": data},
    }


def _downlink_examples() -> list[dict[str, Any]]:
    return [_example(text, encode(COMMAND, None, values), COMMAND) for text, values in _DOWNLINKS]


def _turned(example: dict[str, Any]) -> dict[str, Any]:
    """The example of a decoder as one of the encoder."""
    return {"description": example["description"], "input": example["output"], "output": example["input"]}


def _things_codec() -> dict[str, Any]:
    script = {"fileName": f"{NAME}.js"}
    downlinks = _downlink_examples()
    return {
        "uplinkDecoder": script | {"examples": _uplink_examples()},
        "downlinkEncoder": script | {"examples": [_turned(one) for one in downlinks]},
        "downlinkDecoder": script | {"examples": downlinks},
    }


def _things_device() -> dict[str, Any]:
    profile = {"id": f"{NAME}-profile-eu868", "lorawanCertified": False, "codec": f"{NAME}-codec"}
    return {
        "name": "borne street node",
        "description": _DESCRIPTION,
        "firmwareVersions": [{"version": __version__, "profiles": {"EU863-870": profile}}],
        "sensors": ["magnetometer", "distance", "level", "light", "pir", "temperature", "battery"],
        "additionalRadios": ["wifi"],
        "keyProvisioning": ["custom"],
        "keySecurity": "none",
    }


_THINGS_PROFILE = {
    "supportsClassB": False,
    "supportsClassC": False,
    "macVersion": "1.0.4",
    "regionalParametersVersion": "RP002-1.0.1",
    "supportsJoin": True,
    "maxEIRP": 16,
    "supports32bitFCnt": True,
}


def _chirp_tests(way: str) -> list[dict[str, Any]]:
    examples = _uplink_examples() if way == "decode" else [_turned(one) for one in _downlink_examples()]
    return [
        {"name": one["description"], "input": one["input"], "expected": one["output"]} for one in examples
    ]


def _vendor_toml() -> str:
    return _toml(
        (
            "vendor",
            {"id": _id("vendor"), "name": "borne", "vendor_id": 0, "ouis": [], "devices": [f"{NAME}.toml"]},
        ),
        ("vendor.metadata", {}),
    )


def _device_toml() -> str:
    device = {"id": _id("device"), "name": "borne street node", "description": _DESCRIPTION}
    firmware = {"version": __version__, "profiles": ["EU868-1_0_4.toml"], "codec": f"{NAME}.js"}
    return _toml(("device", device), ("[device.firmware]", firmware), ("device.metadata", {}))


def _profile_toml() -> str:
    profile = {"id": _id("profile"), "vendor_profile_id": 0, "region": "EU868", "mac_version": "1.0.4"}
    profile |= {"reg_params_revision": "RP002-1.0.1", "supports_otaa": True, "supports_class_b": False}
    profile |= {"supports_class_c": False, "max_eirp": 16}
    return _toml(
        ("profile", profile),
        ("profile.abp", {"rx1_delay": 0, "rx1_dr_offset": 0, "rx2_dr": 0, "rx2_freq": 0}),
        ("profile.class_b", {"timeout_secs": 0, "ping_slot_nb_k": 0, "ping_slot_dr": 0, "ping_slot_freq": 0}),
        ("profile.class_c", {"timeout_secs": 0}),
    )


def _id(name: str) -> str:
    return str(uuid5(_IDENTIFIERS, name))


def _toml(*tables: tuple[str, Mapping[str, Any]]) -> str:
    """TOML of flat tables: text, numbers, true, false and lists of text are written as in JSON."""
    parts = []
    for name, values in tables:
        parts.append(
            "\n".join([f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())])
        )
    return "\n\n".join(parts) + "\n"


def _yaml(value: Mapping[str, Any]) -> str:
    """YAML in block style; leaves and short lists are written as JSON, which is YAML too."""
    return "".join(_block(value, ""))


def _block(value: Any, indent: str) -> list[str]:
    lines = []
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            lines += [f"{indent}{_key(key)}:\n", *_block(one, indent + "  ")]
        elif isinstance(one, list) and one and isinstance(one[0], Mapping):
            lines.append(f"{indent}{_key(key)}:\n")
            for item in one:
                first, *rest = _block(item, indent + "    ")
                lines += [f"{indent}  - {first.lstrip()}", *rest]
        else:
            lines.append(f"{indent}{_key(key)}: {json.dumps(one)}\n")
    return lines


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() else json.dumps(key)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"
