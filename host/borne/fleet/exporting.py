"""The registry as a list that `borne fleet import` takes back."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any, TextIO

from borne.fleet.lists import cells, columns
from borne.fleet.model import Asset


def write_csv(assets: Iterable[Asset], out: TextIO) -> int:
    """Rows in the order given, with a column for each setting that one of them has; gives their number.

    Numbers have decimal points, text that a spreadsheet would run begins with an apostrophe.
    """
    rows = list(assets)
    used = {name for one in rows for name in one.settings}
    settings = [name for name in columns.SETTINGS if name in used]
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([*columns.FIELDS, *settings])
    for one in rows:
        own = [_cell(getattr(one, name)) for name in columns.FIELDS]
        writer.writerow([*own, *(_cell(one.settings.get(name)) for name in settings)])
    return len(rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value)
    if isinstance(value, str):
        return cells.escaped(value)
    return repr(value)
