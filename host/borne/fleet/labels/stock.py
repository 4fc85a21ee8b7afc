"""Label sheets and tapes: how large their labels are, and where they stand on the page."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final

from borne.errors import SettingError

A4_MM: Final = (210.0, 297.0)  # ISO 216


@dataclass(frozen=True)
class Stock:
    """Labels of one size; lengths in mm. A tape has one label a page, as long as `height`, and no columns.

    left, top       of the first label on the page
    across, down    from a label to its neighbour
    edge            of each label, on which nothing is printed: what a sheet may be shifted in the printer, and what a
                    tape printer cannot reach
    """

    name: str
    about: str
    columns: int
    rows: int
    width: float
    height: float
    across: float
    down: float
    edge: float = 1.5

    @property
    def page(self) -> tuple[float, float]:
        return A4_MM if self.columns else (self.width, self.height)

    @property
    def count(self) -> int:
        return self.columns * self.rows or 1

    @property
    def left(self) -> float:
        return (A4_MM[0] - self.width - (self.columns - 1) * self.across) / 2 if self.columns else 0.0

    @property
    def top(self) -> float:
        return (A4_MM[1] - self.height - (self.rows - 1) * self.down) / 2 if self.columns else 0.0

    def place(self, number: int) -> tuple[float, float]:
        """Upper left corner of label `number` of a page, from 0, row by row."""
        row, column = divmod(number, max(self.columns, 1))
        return self.left + column * self.across, self.top + row * self.down


# Number, size and gap of the labels as Avery states them on the pack; its A4 sheets are cut symmetrically, which gives
# the margins. gLabels' avery-iso-templates.xml differs by at most 0.6 mm for 7160, 7161 and 8651; its 7163 is not
# symmetrical. Brother tape of 62 mm: printed 58.9 mm wide, fed by at least 3 mm (QL Series Command Reference, raster;
# gLabels, brother-other-templates.xml).
_STOCKS: Final = (
    Stock("L4731", "mini, removable", 7, 27, 25.4, 10.0, 27.94, 10.0, edge=0.4),
    Stock("L7651", "mini", 5, 13, 38.1, 21.2, 40.64, 21.2, edge=1.0),
    Stock("L4778", "weatherproof film", 4, 12, 45.7, 21.2, 48.26, 21.2, edge=1.0),
    Stock("L4773", "weatherproof film", 3, 8, 63.5, 33.9, 66.04, 33.9),
    Stock("L7160", "paper", 3, 7, 63.5, 38.1, 66.04, 38.1),
    Stock("L7161", "paper", 3, 6, 63.5, 46.6, 66.04, 46.6),
    Stock("L7163", "paper", 2, 7, 99.1, 38.1, 101.6, 38.1),
    Stock("L4776", "weatherproof film", 2, 6, 99.1, 42.3, 101.6, 42.3),
    Stock("DK-22205", "62 mm paper tape", 0, 0, 62.0, 36.0, 0.0, 0.0, edge=3.0),
    Stock("DK-22212", "62 mm film tape, for outdoors", 0, 0, 62.0, 36.0, 0.0, 0.0, edge=3.0),
)
STOCKS: Final = {stock.name: stock for stock in _STOCKS}


def named(name: str) -> Stock:
    """A stock by its name; hyphens and case do not count. Raises SettingError."""
    found = {key.replace("-", ""): stock for key, stock in STOCKS.items()}
    wanted = name.upper().replace("-", "").replace(" ", "")
    if wanted in found:
        return found[wanted]
    near = difflib.get_close_matches(wanted, found, n=1)
    hint = f"; did you mean {found[near[0]].name}?" if near else f"; known are {', '.join(STOCKS)}"
    raise SettingError(f"stock: {name!r} is unknown{hint}")
