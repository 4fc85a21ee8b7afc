"""What provisioning wrote: one table, checked the same way on the node and on the host.

Settings are a flat JSON object in the file `settings.json`. Secrets never stand in it (secrets.py). A wake from deep
sleep does not load this table: app.py knows the file by its hash.
"""

import hashlib
import json
import os

from borne_node import sensors
from borne_node.errors import SettingsError
from borne_node.secrets import SECRETS, SLOTS

FILE = "settings.json"
VERSION = 1

KINDS = ("parking", "light", "fill")
PROFILES = {"parking": ("bay", "zone", "live", "day"), "light": ("light",), "fill": ("fill",)}
LINKS = ("wifi", "lorawan")
# The plans of link/lorawan/regions, which a Wi-Fi node never loads.
REGIONS = ("AS923-1", "AS923-1-JP", "AS923-2", "AS923-3", "AS923-4") + (
    "AU915",
    "EU433",
    "EU868",
    "IN865",
    "KR920",
    "US915",
)
CONTAINERS = ("column", "bin", "wheels", "igloo")  # sense/geometry.py has their curves
# A sensor that is blind for longer than this takes a full container for an empty one unless it hangs higher.
_BLIND_MM = 100
_LOWEST_CAR_MM = 400  # sense/overhead.py: by how much a car is nearer than the ground
_TOPIC_UNSAFE = "/+#\0"


def _text(low, high):
    def check(value):
        if not isinstance(value, str):
            return "is no text"
        if not low <= len(value.encode()) <= high:
            return "must have %d to %d bytes" % (low, high)
        if any(ord(letter) < 32 for letter in value):
            return "holds a control character"

    return check


def _whole(low, high):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int):
            return "is no whole number"
        if not low <= value <= high:
            return "must lie between %d and %d" % (low, high)

    return check


def _one_of(choices):
    def check(value):
        if value not in choices:
            return "must be one of: " + ", ".join(choices)

    return check


def _flag(value):
    if not isinstance(value, bool):
        return "must be true or false"


def _eui(value):
    # IEEE EUI-64, most significant byte first, as printed on a label.
    if not isinstance(value, str) or len(value) != 16 or value.strip("0123456789abcdefABCDEF"):
        return "must be 16 hexadecimal digits"


def _name(value):
    problem = _text(1, 40)(value)
    if problem:
        return problem
    for letter in _TOPIC_UNSAFE + " ":
        if letter in value:
            return "must not hold %r: it is part of the MQTT topic" % letter


def _bay_numbers(value):
    if not isinstance(value, (list, tuple)) or any(_whole(1, 8)(bay) for bay in value):
        return "must be a list of bay numbers, from 1"
    if list(value) != sorted(set(value)):
        return "must name each bay once, in order"


# name, check, default; a default of ... means that it must be given. `only` limits a row to one kind or one link.
_ROWS = (
    # Also the MQTT client id and a level of the topic, so it is short and holds no separator.
    ("name", _name, ..., None),
    ("kind", _one_of(KINDS), ..., None),
    ("profile", None, None, None),  # checked against the kind below
    ("place", _text(0, 120), "", None),
    ("link", _one_of(LINKS), "wifi", None),
    ("wifi_ssid", _text(1, 32), ..., "wifi"),  # IEEE 802.11: an SSID has at most 32 octets
    ("mqtt_host", _text(1, 253), ..., "wifi"),  # RFC 1035: a name has at most 253 characters
    ("mqtt_port", _whole(1, 65535), 1883, "wifi"),
    ("mqtt_tls", _flag, False, "wifi"),
    ("mqtt_user", _text(0, 64), "", "wifi"),
    ("ntp_host", _text(1, 253), "pool.ntp.org", "wifi"),
    ("dev_eui", _eui, ..., "lorawan"),
    # All zeros where the network has no join server of its own (The Things Stack, "Device Identifiers").
    ("join_eui", _eui, "0000000000000000", "lorawan"),
    ("region", _one_of(REGIONS), "EU868", "lorawan"),
    # Airtime a day in seconds, 0 for no limit but the law's; 30 is The Things Network's Fair Use Policy.
    ("fair_use_s", _whole(0, 86400), 30, "lorawan"),
    # What the antenna adds is taken off the power: the law limits what is radiated. 2 dBi is a common whip.
    ("antenna_dbi", _whole(-10, 15), 2, "lorawan"),
    # Which of two generations of secrets belongs to these settings: new ones are written beside the old, and the
    # rename of the settings file switches both at once.
    ("slot", _one_of(SLOTS), "a", None),
    ("sensor", None, None, None),  # checked against the kind below
    # 8 is what one TCA9548A multiplexer reaches.
    ("bays", _whole(1, 8), 1, "parking"),
    # Reserved, disabled and private bays, where a stay would name a person: the profile `bay` says nothing of them.
    ("withheld_bays", _bay_numbers, (), "parking"),
    # From a ranger to the ground of the empty bay; a magnetometer has none.
    ("floor_mm", _whole(440, 4999), None, "parking"),
    # Strength of the earth's field in nT, IGRF-13: 46 to 49 thousand in mainland France, 22 to 67 on earth.
    ("earth_nt", _whole(20000, 70000), 47500, "parking"),
    ("refractory_s", _whole(5, 600), 30, "light"),
    ("presence", None, None, "light"),
    ("lamp", None, None, "light"),
    # What the lamp draws at full light.
    ("lamp_w", _whole(1, 2000), None, "light"),
    ("night_off", _flag, False, "light"),
    # How the lamp follows presence, how bright it is without, in percent, and how long it stays bright. A driver lights
    # nothing below 1 % and switches off below that (IEC 60929).
    ("dimmer", _one_of(("none", "pwm", "dc10")), "none", "light"),
    ("dim_percent", _whole(0, 99), 30, "light"),
    ("dim_hold_s", _whole(5, 600), 60, "light"),
    ("depth_mm", _whole(300, 5000), ..., "fill"),
    ("offset_mm", _whole(0, 1000), 0, "fill"),
    ("tilt", None, None, "fill"),
    ("container", _one_of(CONTAINERS), "column", "fill"),
)
NAMES = tuple(row[0] for row in _ROWS)


def names_of(kind, link="wifi"):
    """The names of the settings that a node of this kind with this link has, in the table's order."""
    return tuple(name for name, _, _, only in _ROWS if only in (None, kind, link))


def validate(given):
    """A complete, checked copy of `given` (a dict) with defaults filled in.

    Raises SettingsError that names the field: unknown, missing, or of the wrong form.
    """
    if not isinstance(given, dict):
        raise SettingsError("settings", "are no JSON object")
    if given.get("version", VERSION) != VERSION:
        raise SettingsError("version", "is %r; this firmware knows %d" % (given["version"], VERSION))
    kind = given.get("kind")
    link = given.get("link") or LINKS[0]
    for name in given:
        if name in SECRETS:
            raise SettingsError(name, "is a secret and has no place among the settings")
        if name != "version" and name not in NAMES:
            raise SettingsError(name, "is unknown")
    complete = {"version": VERSION}
    for name, check, default, only in _ROWS:
        if only not in (None, kind, link):
            if name in given:
                raise SettingsError(name, "is a setting of a %s node only" % only)
            continue
        if given.get(name) is None:
            if default is ...:
                raise SettingsError(name, "is missing")
            complete[name] = default
            continue
        problem = check(given[name]) if check else None
        if problem:
            raise SettingsError(name, problem)
        complete[name] = given[name]
    complete["profile"] = _profile(complete)
    if max(complete.get("withheld_bays") or (0,)) > complete.get("bays", 0):
        raise SettingsError(
            "withheld_bays", "names bay %d of %d" % (max(complete["withheld_bays"]), complete["bays"])
        )
    for setting, _, _ in sensors.SLOTS[kind]:
        complete[setting] = _sensor(complete, setting)
    _check_reach(complete)
    _check_lamp(complete)
    return complete


def _profile(settings):
    choices = PROFILES[settings["kind"]]
    profile = settings["profile"]
    if profile is None:
        # ../PRIVACY: the zone count is the default from 4 bays on; below that a count is too small to hide in.
        return "zone" if settings.get("bays", 0) >= 4 else choices[0]
    if profile not in choices:
        raise SettingsError("profile", "must be one of: " + ", ".join(choices))
    return profile


def _sensor(settings, setting):
    choices = sensors.choices(settings["kind"], setting)
    name = settings[setting]
    if name is None:
        return choices[0]
    if name not in choices:
        raise SettingsError(setting, "must be one of: " + ", ".join(choices))
    return name


def _check_reach(settings):
    """A ranger sees neither the floor that is too far nor the heap that is too near."""
    _, role, _, bus, nearest, farthest = sensors.row(settings["sensor"])
    floor = settings.get("floor_mm")
    if settings["kind"] == "fill":
        if settings["depth_mm"] + settings["offset_mm"] > farthest:
            raise SettingsError(
                "depth_mm", "with offset_mm makes more than the %d mm the sensor sees" % farthest
            )
        if nearest > _BLIND_MM and settings["offset_mm"] < nearest:
            raise SettingsError("offset_mm", "must be at least the %d mm the sensor is blind for" % nearest)
    elif role == "ranger":
        if floor is None:
            raise SettingsError(
                "floor_mm", "is missing: the distance from the sensor to the empty bay's ground"
            )
        if not nearest + _LOWEST_CAR_MM <= floor <= farthest:
            raise SettingsError(
                "floor_mm",
                "must lie between %d and %d for this sensor" % (nearest + _LOWEST_CAR_MM, farthest),
            )
        if bus != sensors.I2C and settings["bays"] > 1:
            raise SettingsError("bays", "must be 1: a %s has no bus that several share" % settings["sensor"])
    elif floor is not None:
        raise SettingsError("floor_mm", "is a setting of rangers only")


def _check_lamp(settings):
    if settings.get("lamp", "none") == "none":
        if settings.get("lamp_w") is not None:
            raise SettingsError("lamp_w", "needs a meter: name one in lamp")
    elif settings["lamp_w"] is None:
        raise SettingsError("lamp_w", "is missing: the lamp's power at full light, in W")
    elif settings["presence"] == "ld2410" and sensors.row(settings["lamp"])[3] == sensors.UART:
        raise SettingsError("lamp", "has the UART that the presence sensor needs; choose ina226, or pir")


def canonical(settings):
    """The one way to write settings as bytes (UTF-8 JSON, names sorted): what is stored, compared and hashed."""
    return (
        "{" + ",".join('"%s":%s' % (name, _json(settings[name])) for name in sorted(settings)) + "}"
    ).encode()


def _json(value):
    # Not json.dumps: CPython escapes what is not ASCII, MicroPython does not. Control characters were refused above.
    if isinstance(value, str):
        return '"%s"' % value.replace("\\", "\\\\").replace('"', '\\"')
    if isinstance(value, (list, tuple)):
        return "[%s]" % ",".join(str(number) for number in value)
    return json.dumps(value)


def parse(raw):
    """Settings out of the bytes of the settings file. Raises SettingsError."""
    try:
        given = json.loads(raw)
    except ValueError:
        raise SettingsError(FILE, "is no JSON")
    return validate(given)


def save(settings):
    """Replace the settings file at once or not at all: littlefs commits a rename in one step."""
    with open(FILE + ".new", "wb") as file:
        file.write(canonical(settings))
    os.rename(FILE + ".new", FILE)


def digest(settings):
    """SHA-256 of the canonical bytes; the health report carries its first 4."""
    return hashlib.sha256(canonical(settings)).digest()
