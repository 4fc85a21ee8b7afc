"""A list into the registry: planned as a whole, then written as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import sqlalchemy as sql

from borne.errors import BorneError, ListError
from borne.fleet import checks
from borne.fleet.lists import cells, columns, town
from borne.fleet.lists.cells import CellError
from borne.fleet.lists.sheet import Problem, Row, Sheet
from borne.fleet.model import Asset
from borne.fleet.registry import assets as table
from borne.fleet.registry import pending
from borne.fleet.registry.store import Registry, Stamp

Progress = Callable[[int], None]

_PLACE: Final = ("latitude", "longitude")


@dataclass
class Plan:
    """What an import does. `unchanged` counts rows, `absent` assets of the registry that the list does not have."""

    created: list[Asset] = field(default_factory=list)
    changed: list[tuple[Asset, Asset]] = field(default_factory=list)
    unchanged: int = 0
    refused: list[Problem] = field(default_factory=list)
    absent: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def changes_nothing(self) -> bool:
        return not (self.created or self.changed or self.refused)


@dataclass(frozen=True)
class How:
    """`mapping`: header to field. `defaults`: fields of rows that say nothing of them. `box`: the town's."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    box: town.Box | None = None


def import_list(
    registry: Registry,
    sheet: Sheet,
    how: How | None = None,
    *,
    dry_run: bool = False,
    stamp: Stamp | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Plan, and write what is planned unless a row is refused or `dry_run`.

    `progress` gets the number of each thousandth row. Raises ListError (the list as a whole), RegistryError.
    """
    how = how or How()
    if dry_run:
        with registry.reading() as db:
            return _Planner(db, sheet, how, progress).plan()
    with registry.writing() as db:
        plan = _Planner(db, sheet, how, progress).plan()
        if not plan.refused:
            table.add(db, plan.created, stamp or Stamp())
            table.change(db, plan.changed, stamp or Stamp())
            for old, new in plan.changed:
                if old.settings != new.settings:
                    pending.overtaken(db, new.asset, new.settings, stamp or Stamp())
    return plan


class _Refused(Exception):
    """A row is refused for what stands, or does not stand, in a field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(field, reason)
        self.field = field
        self.reason = reason


class _Planner:
    def __init__(self, db: sql.Connection, sheet: Sheet, how: How, progress: Progress | None) -> None:
        self._sheet = sheet
        self._fields, ignored = columns.assign(sheet.headers, how.mapping)
        self._headers = {name: sheet.headers[number] for number, name in self._fields.items()}
        self._defaults = _defaults(how.defaults)
        self._box = how.box
        self._progress = progress
        self._known = {one.asset: one for one in table.find(db)}
        self._names = {one.node_name: one.asset for one in self._known.values()}
        self._rows_of: dict[str, int] = {}
        self._places: list[tuple[int, town.Place]] = []
        self._plan = Plan(notes=[sheet.note] if sheet.note else [])
        if ignored:
            self._plan.notes.append(f"not read: {', '.join(ignored)}")

    def plan(self) -> Plan:
        for row in self._sheet.rows:
            if self._progress and row.number % 1000 == 0:
                self._progress(row.number)
            if not row.is_blank:
                self._take(row)
        if not self._rows_of and not self._plan.refused:
            raise ListError(f"{self._sheet.source}: has no rows below its header")
        self._check_places()
        self._plan.absent = sum(asset not in self._rows_of for asset in self._known)
        self._plan.refused.sort(key=lambda problem: problem.row)
        return self._plan

    def _take(self, row: Row) -> None:
        if row.broken:
            self._refuse(row.number, "", row.broken)
            return
        given = self._values(row)
        if given is None:
            return
        try:
            asset = self._asset(row.number, given)
        except _Refused as refusal:
            self._refuse(row.number, self._header(refusal.field), refusal.reason)
            return
        old = self._known.get(asset.asset)
        if old is None:
            self._plan.created.append(asset)
        elif asset == old:
            self._plan.unchanged += 1
        else:
            self._plan.changed.append((old, asset))

    def _values(self, row: Row) -> dict[str, Any] | None:
        """Field to value of a row's cells; None when one of them is refused."""
        values: dict[str, Any] = {}
        fine = True
        for number, name in self._fields.items():
            try:
                values[name] = cells.value(name, row.cells[number] if number < len(row.cells) else None)
            except CellError as error:
                self._refuse(row.number, self._sheet.headers[number], str(error))
                fine = False
        return values if fine else None

    def _asset(self, number: int, given: dict[str, Any]) -> Asset:
        """The asset of a row, checked. Raises _Refused."""
        name = given["asset"]
        if not name:
            raise _Refused("asset", "is empty")
        if name in self._rows_of:
            raise _Refused("asset", f"{name!r} stands in row {self._rows_of[name]} already")
        self._rows_of[name] = number
        asset = self._merged(given)
        other = self._names.setdefault(asset.node_name, asset.asset)
        if other != asset.asset:
            raise _Refused("asset", f"{asset.asset!r} and {other!r} would both be node {asset.node_name}")
        try:
            checks.check(asset)
        except BorneError as error:
            what, _, reason = str(error).partition(": ")
            raise _Refused(what, reason) from None
        self._note_place(number, asset)
        return asset

    def _merged(self, given: dict[str, Any]) -> Asset:
        """What the row says over what the registry has; a column that the list lacks leaves that as it is."""
        old = self._known.get(given["asset"])
        for name, value in self._defaults.items():
            if given.get(name) is None and (name in given or old is None):
                given[name] = value
        if given.get("kind") is None and (old is None or "kind" in given):
            raise _Refused("kind", "is missing: parking, light or fill")
        if given.get("link", "") is None:
            given["link"] = Asset.link
        own = {name: value for name, value in given.items() if name in columns.FIELDS}
        more = {name: value for name, value in given.items() if name not in columns.FIELDS}
        settings = {**(old.settings if old else {}), **more}
        own["settings"] = {name: value for name, value in settings.items() if value is not None}
        return replace(old, **own) if old else Asset(**own)

    def _note_place(self, number: int, asset: Asset) -> None:
        if (asset.latitude is None) != (asset.longitude is None):
            raise _Refused(_PLACE[asset.latitude is not None], "is missing, and the other is not")
        if asset.latitude is not None and asset.longitude is not None:
            if asset.latitude == asset.longitude == 0:
                raise _Refused("latitude", "0, 0 lies in the Atlantic")
            self._places.append((number, (asset.latitude, asset.longitude)))

    def _header(self, field: str) -> str:
        return self._headers.get(field, field)

    def _check_places(self) -> None:
        standing = list(self._standing())
        if self._box is None and not standing:
            complaint = town.turned(place for _, place in self._places)
            if complaint:
                self._refuse(self._places[0][0], self._header("latitude"), complaint)
                return
        bounds = self._box or town.around([*standing, *(place for _, place in self._places)])
        if bounds is None:
            return
        for number, place in self._places:
            complaint = bounds.complaint(place)
            if complaint:
                self._refuse(number, self._header("latitude"), complaint)

    def _standing(self) -> Iterator[town.Place]:
        for one in self._known.values():
            if one.asset not in self._rows_of and one.latitude is not None and one.longitude is not None:
                yield one.latitude, one.longitude

    def _refuse(self, row: int, column: str, reason: str) -> None:
        self._plan.refused.append(Problem(row, column, reason))


def _defaults(given: Mapping[str, str]) -> dict[str, Any]:
    """Raises ListError."""
    found = {}
    for name, text in given.items():
        try:
            found[name] = cells.value(name, text)
        except CellError as error:
            raise ListError(f"{name}: {error}") from None
    return found
