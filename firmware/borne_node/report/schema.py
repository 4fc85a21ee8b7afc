"""The one table of the wire format: every port, every field, every bit.

A frame is the window index (where the port has one), then the fields in the order of the table, bit-packed,
most significant bit first; together they fill whole bytes. Then, where the sender chose so, earlier windows
(history.py). What a field means in words, its unit, labels, privacy and city mapping stand row by row in
meaning.py, which the node never loads; borne.decoding.table joins the two and refuses a row that stands in
one only.

The fPort says kind and version, so neither costs a byte: version v of number n travels on port n + 64 * (v -
1), with n from 1 to 63. A field is added by giving the kind a row under its next version's port: an old
decoder goes on reading the old port and refuses the new one by name.
"""

from collections import namedtuple

from borne_node.compat import const
from borne_node.report.markers import OVERFLOW, SUPPRESSED, Marker  # noqa: F401

VERSION = const(2)
PORTS_A_VERSION = const(64)

HEALTH = const(1)
FAULT = const(2)
SETTINGS = const(3)
ALARM = const(4)
COMMAND = const(5)
ZONE = const(10)
BAY = const(11)
LIVE = const(12)
DAY = const(13)
LIGHT = const(20)
FILL_1 = const(30)  # version 1: without `emptied`
FILL = const(94)

# The order is what the fields "node_kind", "profile" and "setting" carry on the wire: append only.
KINDS = ("parking", "light", "fill")
PROFILES = ("bay", "zone", "live", "light", "fill", "day")
# What a downlink may set. Nothing that would weaken the release: no window, no epsilon, no refractory time,
# no profile.
SETTABLE = ("depth_mm", "offset_mm")

SET = const(1)
SEND_HEALTH = const(2)
SEND_SETTINGS = const(3)
RESEND = const(4)
REBOOT = const(5)

# Lower bounds in lux of classes 1, 2, ...: about two a decade, from moonlight to direct sun (class 0 is
# below 1 lux).
LUX_BOUNDS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000)

# Reserved codes always lie at the top of the field: unknown all ones, suppressed one below, overflow two
# below.
UNKNOWN_CODE = const(1)
SUPPRESSED_CODE = const(2)
OVERFLOW_CODE = const(4)
_U = const(1)
_SU = const(3)
_OU = const(5)
_OSU = const(7)

RAW = const(-1)  # in place of `last`: the field is plain bytes, not a number


class FrameError(ValueError):
    """Bytes that are no frame, or values that fit in none: `port`, first `byte` and `bit` (7 is highest),
    `reason`.
    """

    def __init__(self, port, byte, bit, reason):
        super().__init__("port %s, byte %s, bit %s: %s" % (port, byte, bit, reason))
        self.port = port
        self.byte = byte
        self.bit = bit
        self.reason = reason


Layout = namedtuple("Layout", ("name", "window_s", "window_bits", "room", "fields"))

# Fields (their form: below) that both versions of the fill report begin with.
_FILL_1 = (
    ("level", 5, 0, 5, 20, _SU, 1),
    ("temperature", 7, -40, 1, 124, _OU, 1),
    ("tilt", 2, 0, 1, 1, _U, 1),
    ("fire", 2, 0, 1, 1, _U, 1),
)

# Field: name, width in bits, offset, step, last numeric code, reserved codes, count of such fields in a row.
# value = offset + step * code for code 0 ... last; every other code that is not reserved is refused.
#
# Port: name, seconds of a window (0: none), bits of its index, bytes of a frame with history where the link
# does not care (0: this kind carries no history), fields.
TABLE = {
    HEALTH: (
        "health",
        0,
        0,
        0,
        (
            ("battery", 10, 0, 10, 1020, _OU, 1),
            ("temperature", 7, -40, 1, 124, _OU, 1),
            ("reset_cause", 4, 0, 1, 6, _U, 1),
            ("firmware_major", 4, 0, 1, 15, 0, 1),
            ("firmware_minor", 6, 0, 1, 63, 0, 1),
            ("firmware_patch", 6, 0, 1, 63, 0, 1),
            ("policy_hash", 32, 0, 1, RAW, 0, 1),
            ("settings_hash", 32, 0, 1, RAW, 0, 1),
            ("dropped", 11, 0, 1, 2044, 4, 1),
        ),
    ),
    FAULT: (
        "fault",
        900,
        12,
        0,
        (
            ("node_kind", 4, 0, 1, 2, 0, 1),
            ("position", 4, 0, 1, 7, _U, 1),
            ("reason", 4, 0, 1, 5, 0, 1),
        ),
    ),
    SETTINGS: (
        "settings",
        0,
        0,
        0,
        (
            ("node_kind", 3, 0, 1, 2, 0, 1),
            ("profile", 4, 0, 1, 5, 0, 1),
            ("bays", 4, 0, 1, 8, _U, 1),
            ("refractory_s", 11, 0, 1, 600, _U, 1),
            ("depth_mm", 14, 0, 1, 5000, _U, 1),
            ("offset_mm", 12, 0, 1, 1000, _U, 1),
            ("settings_hash", 32, 0, 1, RAW, 0, 1),
        ),
    ),
    # Of a thing, and at once: the one frame that is on no schedule.
    ALARM: ("alarm", 0, 0, 0, (("node_kind", 4, 0, 1, 2, 0, 1), ("alarm", 4, 0, 1, 1, 0, 1))),
    COMMAND: ("command", 0, 0, 0, (("command", 8, 0, 1, 5, 0, 1),)),
    ZONE: (
        "parking zone",
        900,
        12,
        12,
        (
            ("occupied", 6, 0, 1, 60, _SU, 1),
            ("bays_ok", 6, 0, 1, 60, _U, 1),
        ),
    ),
    BAY: ("parking bay", 14400, 8, 12, (("share", 3, 0, 1, 4, _SU, 8),)),
    # Sent when something changes, so that earlier windows are no row of equal steps: no history.
    LIVE: ("parking live", 60, 16, 0, (("occupied", 2, 0, 1, 1, _SU, 8),)),
    DAY: ("parking day", 86400, 8, 15, (("share", 4, 0, 1, 8, _SU, 8),)),
    LIGHT: (
        "light",
        3600,
        8,
        17,
        (
            ("presence", 10, 0, 1, 1020, _OSU, 1),
            ("lux_class", 4, 0, 1, 10, _SU, 1),
            ("lamp", 3, 0, 1, 4, _U, 1),
            ("dimming", 5, 0, 5, 20, _U, 1),
            ("energy", 10, 0, 2, 1020, _OU, 1),
        ),
    ),
    FILL_1: ("fill", 14400, 8, 12, _FILL_1),
    # How many windows ago it was emptied, so that one frame says it even where all before it were lost.
    FILL: ("fill", 14400, 8, 12, _FILL_1 + (("emptied", 8, 0, 1, 252, _OU, 1),)),
}

# Fields that follow the first one of a port, by its value.
VARIANTS = {
    COMMAND: {
        SET: (("setting", 8, 0, 1, 1, 0, 1), ("value", 16, 0, 1, 65535, 0, 1)),
        SEND_HEALTH: (),
        SEND_SETTINGS: (),
        RESEND: (
            ("of_port", 8, 0, 1, 223, 0, 1),
            ("first", 16, 0, 1, 65535, 0, 1),
            ("count", 8, 0, 1, 255, 0, 1),
        ),
        REBOOT: (),
    }
}


def layout(port):
    """The Layout of a port. Raises FrameError for one that this version does not know."""
    return Layout(*row(port))


def row(port):
    """The same as a plain tuple, without building anything: for the encoder."""
    found = TABLE.get(port)
    if found is None:
        raise FrameError(port, None, None, "is no port of format version %d" % VERSION)
    return found


def size(port):
    """Bytes of a frame without history and without what variants add."""
    _, _, bits, _, fields = row(port)
    for field in fields:
        bits += field[1] * field[6]
    return (bits + 7) >> 3


def lux_class(lux):
    """The class of an illuminance in lux: the number of LUX_BOUNDS that it reaches."""
    reached = 0
    for bound in LUX_BOUNDS:
        if lux >= bound:
            reached += 1
    return reached
