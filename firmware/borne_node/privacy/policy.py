"""The policy: what leaves a node, a row a profile. The host reads the same table and words it for people.

A window of window_s seconds (night_s for the one from 22h to 6h UTC, if not 0) has a slot every period_s; a slot
takes one reading, and a window with fewer than `need` is withheld. Its frame leaves 0 to jitter_s - 1 s after its
end, within the next slot, so that one wake sends and senses. One `unit` changes a count by at most `sensitivity`,
and costs `epsilon`, an exact fraction, a window (None: no noise); the scale of the noise is sensitivity / epsilon.
Counts are clamped to 0..top before the noise and after, then suppressed below `threshold`; values are rounded to
a multiple of `step`. `says` is what may be said of it all.
"""

import hashlib
from collections import namedtuple

COLUMNS = ("kind", "profile", "port", "window_s", "night_s", "period_s", "need", "jitter_s", "epsilon")
COLUMNS += ("sensitivity", "unit", "threshold", "top", "step", "says")
Row = namedtuple("Row", COLUMNS)
_YES, _BOUND, _NO = "anonymous", "anonymous within the measured bound", "not anonymous"

TABLE = (
    # Of three samples one vehicle can hold the strict majority in one bay only: it moves the count by 1.
    Row("parking", "zone", 10, 900, 0, 300, 2, 240, (1, 1), 1, "vehicle", 0, 8, 1, _YES),
    # A sample a quarter of an hour: to come or go so much earlier or later moves a bay's count by 1. For busy public
    # bays, and by the day for quiet streets; `withheld_bays` never leave.
    Row("parking", "bay", 11, 14400, 0, 900, 12, 240, (1, 1), 1, "quarter-hour", 0, 16, 4, _BOUND),
    Row("parking", "day", 13, 86400, 0, 900, 72, 240, (1, 1), 1, "quarter-hour", 0, 96, 12, _BOUND),
    # Opt-in at provisioning: sent when a bay changes, at most once a minute, and hourly anyway.
    Row("parking", "live", 12, 60, 0, 60, 1, 1, None, 0, "vehicle", 0, 1, 1, _NO),
    # The sensor's refractory time leaves at most 2 triggers a passage.
    Row("light", "light", 20, 3600, 28800, 3600, 1, 240, (1, 1), 2, "passage", 11, 1020, 1, _YES),
    # For containers of 11 households or more (INSEE's threshold).
    Row("fill", "fill", 94, 14400, 0, 3600, 2, 240, None, 0, "household", 0, 100, 5, _YES),
)
_DAY, _DUSK, _DAWN = 24 * 3600, 22 * 3600, 6 * 3600


def row(kind, profile):
    """The row of a profile. Raises KeyError when there is none."""
    return {(one.kind, one.profile): one for one in TABLE}[kind, profile]


def window(row, now):
    """(start, end) in unix seconds of the window that holds `now`."""
    second = now % _DAY
    if row.night_s and not _DAWN <= second < _DUSK:
        start = now - second + (_DUSK if second >= _DUSK else _DUSK - _DAY)
        return start, start + row.night_s
    start = now - now % row.window_s
    return start, start + row.window_s


def text(row):
    """The canonical text of a row: a line of `column=value`, fractions as 1/2, absent as None."""
    values = ["%d/%d" % value if isinstance(value, tuple) else value for value in row]
    return " ".join("%s=%s" % (COLUMNS[i], value) for i, value in enumerate(values))


def digest(one=None):
    """SHA-256, 32 bytes, over the canonical text of the table or of one row, a line feed after each row."""
    total = hashlib.sha256()
    for each in (one,) if one else TABLE:
        total.update((text(each) + "\n").encode())
    return total.digest()
