"""The other half of the table, row by row: what each field of schema.py means. Read by the host; the node
never loads it.

borne.decoding.table joins both halves and refuses a row that stands in one only.
"""

from collections import namedtuple

from borne_node.report.schema import KINDS, PROFILES, SETTABLE, row

# Privacy classes.
THING = "thing"  # about the node or the asset; no person's act shows in it
STATISTIC = "statistic"  # about people, released by the gate with the mechanism named
PERSONAL = "not anonymous"  # shows single acts; only after explicit opt-in

FLAG = (False, True)

# labels: what codes 0, 1, ... are called, or None for a number. epsilon: (numerator, denominator) per window
# and unit of borne_node.privacy.policy. city: attribute of the FIWARE Smart Data Model that the value feeds,
# as type.attribute. divide: by what, for it.
Meaning = namedtuple(
    "Meaning", ("text", "unit", "labels", "privacy", "mechanism", "epsilon", "city", "divide")
)


def _row(text, unit=None, labels=None, privacy=THING, mechanism=None, epsilon=None, city=None, divide=1):
    return Meaning(text, unit, labels, privacy, mechanism, epsilon, city, divide)


# The order of MicroPython's machine.reset_cause() on the ESP32 (ports/esp32/modmachine.c); 0 and 6 are ours.
_RESETS = ("other", "power on", "hard reset", "watchdog", "deep sleep", "soft reset", "brown-out")
# borne_node.errors.SensorFault.REASONS; report knows nobody, a test compares them.
_REASONS = ("no answer", "bad checksum", "out of range", "stuck", "not calibrated", "wrong chip")
_COMMANDS = (None, "set", "send health", "send settings", "resend", "reboot")
_ALARMS = ("tilt", "fire")
_LAMPS = ("off", "on", "low", "booting up", "defective")

_SETTINGS_HASH = _row("first 4 bytes of the SHA-256 of the settings")

# By port and name; what follows a command also by the command's code.
ROWS = {
    (1, "battery"): _row("battery voltage", "mV"),
    (1, "temperature"): _row("temperature inside the node", "degC"),
    (1, "reset_cause"): _row("why the node last started", labels=_RESETS),
    (1, "firmware_major"): _row("firmware version, first number"),
    (1, "firmware_minor"): _row("firmware version, second number"),
    (1, "firmware_patch"): _row("firmware version, third number"),
    (1, "policy_hash"): _row("first 4 bytes of the SHA-256 of the privacy policy"),
    (1, "settings_hash"): _SETTINGS_HASH,
    (1, "dropped"): _row("reports that the full outbox gave up", "reports"),
    (2, "node_kind"): _row("kind of the node", labels=KINDS),
    (2, "position"): _row("bay or sensor at fault, counted from 0; unknown: not one of several"),
    (2, "reason"): _row("why there is no value", labels=_REASONS),
    (3, "node_kind"): _row("kind of the node", labels=KINDS),
    (3, "profile"): _row("release profile", labels=PROFILES),
    (3, "bays"): _row("bays that the node watches", "bays", city="OnStreetParking.totalSpotNumber"),
    (3, "refractory_s"): _row("pause after a presence trigger", "s"),
    (3, "depth_mm"): _row("inner depth of the container", "mm"),
    (3, "offset_mm"): _row("distance of the sensor from the full level", "mm"),
    (3, "settings_hash"): _SETTINGS_HASH,
    (4, "node_kind"): _row("kind of the node", labels=KINDS),
    (4, "alarm"): _row("what endangers the container", labels=_ALARMS, city="WasteContainer.status"),
    (5, "command"): _row("what the node is to do", labels=_COMMANDS),
    (5, "setting", 1): _row("setting to change", labels=SETTABLE),
    (5, "value", 1): _row("its new value, in the setting's own unit"),
    (5, "of_port", 4): _row("port of the reports to send again, the same bytes as before"),
    (5, "first", 4): _row("index of the first window"),
    (5, "count", 4): _row("number of windows", "windows"),
    (10, "occupied"): _row(
        "occupied bays of the zone",
        "bays",
        privacy=STATISTIC,
        mechanism="discrete Laplace noise, then clamped",
        epsilon=(1, 1),
        city="OnStreetParking.occupiedSpotNumber",
    ),
    (10, "bays_ok"): _row("bays that could be read", "bays"),
    (11, "share"): _row(
        "share of four hours for which the bay was occupied",
        "quarters",
        privacy=STATISTIC,
        mechanism="discrete Laplace noise, then clamped, then coarsened to quarters",
        epsilon=(1, 1),
        city="ParkingSpot.status",
    ),
    (12, "occupied"): _row(
        "whether the bay is occupied",
        labels=FLAG,
        privacy=PERSONAL,
        mechanism="none",
        city="ParkingSpot.status",
    ),
    (13, "share"): _row(
        "share of the day for which the bay was occupied",
        "eighths",
        privacy=STATISTIC,
        mechanism="discrete Laplace noise, then clamped, then coarsened to eighths",
        epsilon=(1, 1),
        city="ParkingSpot.status",
    ),
    (20, "presence"): _row(
        "presence triggers in the window",
        "triggers",
        privacy=STATISTIC,
        mechanism="discrete Laplace noise, then clamped; below 11 suppressed",
        epsilon=(1, 1),
    ),
    (20, "lux_class"): _row(
        "illuminance class, lower bounds 1, 3, 10, 30, ... 30000 lux from class 1 on", "class"
    ),
    (20, "lamp"): _row("state of the lamp", labels=_LAMPS, city="Streetlight.powerState"),
    (20, "dimming"): _row(
        "brightness that the lamp is set to", "%", city="Streetlight.illuminanceLevel", divide=100
    ),
    (20, "energy"): _row("energy used in the window", "Wh"),
}

_FILL = {
    "level": _row(
        "filling level",
        "%",
        privacy=STATISTIC,
        mechanism="coarsened to 5 %, six windows a day",
        city="WasteContainer.fillingLevel",
        divide=100,
    ),
    "temperature": _row("temperature in the container", "degC", city="WasteContainer.temperature"),
    "tilt": _row("whether the container leans or lies", labels=FLAG, city="WasteContainer.status"),
    "fire": _row("whether it burns", labels=FLAG, city="WasteContainer.status"),
    "emptied": _row(
        "when the container was emptied; 0: in this window",
        "windows ago",
        privacy=STATISTIC,
        mechanism="coarsened to windows of four hours; a fall of the level by 20 points that two readings found",
        city="WasteContainer.dateLastEmptying",
    ),
}
for _port in (30, 94):
    for _field in row(_port)[4]:
        ROWS[_port, _field[0]] = _FILL[_field[0]]


def names(port):
    """The names of the values in their order; a field of several is numbered from 1: share_1, share_2, ..."""
    flat = []
    for name, _, _, _, _, _, count in row(port)[4]:
        flat.extend([name] if count == 1 else ["%s_%d" % (name, n + 1) for n in range(count)])
    return tuple(flat)
