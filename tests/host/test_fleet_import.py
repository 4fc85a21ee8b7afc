"""The list into the registry and out again: all or nothing, twice is once, and the identity."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from borne.fleet import lists
from borne.fleet.exporting import write_csv
from borne.fleet.importing import How, import_list
from borne.fleet.lists import cells, text, town
from borne.fleet.lists.cells import CellError
from borne.fleet.model import Asset
from borne.fleet.registry import Stamp, assets, open_registry, scratch
from borne.fleet.registry.tables import assets as table
from borne.fleet.registry.tables import history

LIST = "asset;kind;street;site;depth_mm\nB;fill;Rue B;S;1500\nA;light;Rue A;S;\n"
AT = Stamp(1_800_000_000)


def sheet(content):
    return text.read("list.csv", content.encode())


def everything(registry):
    with registry.reading() as db:
        return list(assets.find(db))


def imported(registry, content, how=None, stamp=AT):
    return import_list(registry, sheet(content), how, stamp=stamp)


def exported(registry):
    out = io.StringIO()
    write_csv(everything(registry), out)
    return out.getvalue()


def test_created_then_unchanged_then_changed():
    registry = scratch()
    plan = imported(registry, LIST)
    assert (len(plan.created), len(plan.changed), plan.unchanged) == (2, 0, 0)
    before = everything(registry)
    assert [one.asset for one in before] == ["B", "A"]
    plan = imported(registry, LIST)
    assert plan.changes_nothing and plan.unchanged == 2
    plan = imported(registry, LIST.replace("1500", "1600"))
    assert [(old.settings, new.settings) for old, new in plan.changed] == [
        ({"depth_mm": 1500}, {"depth_mm": 1600})
    ]
    assert everything(registry)[0].settings == {"depth_mm": 1600}


def test_revisions_rise_with_what_a_node_is_told_only():
    registry = scratch()
    imported(registry, LIST)
    imported(registry, "asset;kind;latitude;longitude;depth_mm\nB;fill;48;2;1500\n")
    imported(registry, "asset;kind;depth_mm\nB;fill;1600\n")
    with registry.reading() as db:
        row = db.execute(table.select().where(table.c.asset == "B")).one()
    assert (row.revision, row.latitude) == (2, 48.0)


def test_history_says_what_changed_and_not_who():
    registry = scratch()
    imported(registry, LIST)
    imported(registry, LIST.replace("Rue B", "Rue C"), stamp=Stamp(AT.at + 5, "Ana"))
    with registry.reading() as db:
        rows = [tuple(row)[1:] for row in db.execute(history.select())]
    assert rows == [
        (1, None, AT.at, "created", "", None),
        (2, None, AT.at, "created", "", None),
        (1, None, AT.at + 5, "changed", "street", "Ana"),
    ]


def test_one_refused_row_writes_none():
    registry = scratch()
    plan = imported(registry, LIST + "C;fill;;;12\n")
    assert len(plan.refused) == 1 and everything(registry) == []


HERE = "asset;kind;latitude;longitude\nA;light;48.85;2.35\nB;light;48.86;2.36\n"
TURNED = "asset;kind;latitude;longitude\nA;light;2.35;48.85\nB;light;2.36;48.86\n"


def test_a_list_whose_coordinates_are_all_swapped():
    """It agrees with itself; what gives it away is where it lies, or what the registry knows."""
    registry = scratch()
    (refused,) = imported(registry, TURNED).refused
    assert (refused.row, refused.column) == (2, "latitude")
    assert "of the whole list are swapped: exchange the two headers" in refused.reason
    assert "--box=2.25,48.75,2.46,48.96" in refused.reason
    exchanged = How({"latitude": "longitude", "longitude": "latitude"})
    plan = import_list(registry, text.read("list.csv", TURNED.encode()), exchanged)
    assert [(one.latitude, one.longitude) for one in plan.created] == [(48.85, 2.35), (48.86, 2.36)]
    assert imported(registry, HERE).changes_nothing
    # A town that does lie there.
    there = How(box=town.box("2.25,48.75,2.46,48.96"))
    assert not import_list(scratch(), text.read("list.csv", TURNED.encode()), there).refused
    for latitude, longitude in ((6.5, 3.4), (-33.9, 151.2), (19.4, -99.1), (48.85, 2.35)):
        row = f"asset;kind;latitude;longitude\nA;light;{latitude};{longitude}\n"
        assert not imported(scratch(), row).refused


@pytest.mark.parametrize(
    ("columns", "row", "said"),
    [
        ("depth_mm", "0", "depth_mm: must lie between 300 and 5000"),
        (
            "depth_mm;offset_mm",
            "4400;200",
            "depth_mm: with offset_mm makes more than the 4500 mm the sensor sees",
        ),
        ("depth_mm;container", "1200;barrel", "container: must be one of: column, bin, wheels, igloo"),
        ("depth_mm;sensor", "1200;mb7389", "offset_mm: must be at least the 300 mm the sensor is blind for"),
    ],
)
def test_an_impossible_container_is_refused_in_one_line(columns, row, said):
    registry = scratch()
    plan = imported(registry, f"asset;kind;{columns}\nA;fill;{row}\n")
    assert [str(one) for one in plan.refused] == [f"row 2, {said}"]
    assert everything(registry) == []


def test_a_dry_run_writes_nothing():
    registry = scratch()
    plan = import_list(registry, sheet(LIST), dry_run=True)
    assert len(plan.created) == 2 and everything(registry) == []


def test_one_bad_row_of_100_000_is_named_and_none_is_written():
    rows = [f"A{n};light;48.{80000 + n % 7000};2.{30000 + n % 9000}" for n in range(100_000)]
    rows[77_777] = rows[77_777].replace("light", "lihgt")
    registry = scratch()
    plan = imported(registry, "\n".join(["asset;kind;latitude;longitude", *rows]) + "\n")
    assert len(plan.created) == 99_999
    assert [(one.row, one.column) for one in plan.refused] == [(77_779, "kind")]
    assert everything(registry) == []


def test_a_column_that_the_list_lacks_stays_and_an_empty_cell_clears():
    registry = scratch()
    imported(registry, LIST)
    imported(registry, "asset;street\nB;\n")
    one = everything(registry)[0]
    assert (one.kind, one.street, one.site, one.settings) == ("fill", None, "S", {"depth_mm": 1500})


def test_defaults_fill_what_the_row_does_not_say():
    registry = scratch()
    imported(registry, "asset;site\nA;\nB;Own\n", How(defaults={"site": "Lilas", "kind": "lampadaire"}))
    assert [(one.site, one.kind) for one in everything(registry)] == [("Lilas", "light"), ("Own", "light")]
    imported(registry, "asset;street\nB;x\n", How(defaults={"site": "Lilas"}))
    assert everything(registry)[1].site == "Own"


def test_a_node_name_that_an_asset_of_the_registry_has():
    registry = scratch()
    imported(registry, "asset;kind\nA 1;light\n")
    plan = imported(registry, "asset;kind\nA/1;light\n")
    assert str(plan.refused[0]) == "row 2, asset: 'A/1' and 'A 1' would both be node A-1"
    assert imported(registry, "asset;kind\nA 1;light\n").absent == 0
    assert imported(registry, "asset;kind\nC;light\n").absent == 1


def _is_clean(value):
    try:
        return cells.value("street", cells.escaped(value)) == value
    except CellError:
        return False


WORDS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=24
).filter(
    lambda one: one == one.strip() and len(one.encode()) <= 40 and not one.startswith("=") and _is_clean(one)
)
MAYBE = st.none() | WORDS
KINDS = {
    "fill": st.fixed_dictionaries(
        {"depth_mm": st.integers(300, 4000)}, optional={"offset_mm": st.integers(0, 400)}
    ),
    "light": st.fixed_dictionaries({}, optional={"refractory_s": st.integers(5, 600)}),
    "parking": st.fixed_dictionaries(
        {"bays": st.integers(6, 8)},
        optional={"withheld_bays": st.lists(st.integers(1, 6), unique=True, min_size=1).map(sorted)},
    ),
}


@st.composite
def listed(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    place = draw(st.none() | st.tuples(st.floats(48.0, 48.4), st.floats(2.0, 2.4)))
    return Asset(
        asset=draw(WORDS.filter(lambda one: any(letter.isalnum() for letter in one))),
        kind=kind,
        profile=draw(st.sampled_from(["bay", "zone"])) if kind == "parking" else None,
        board=draw(st.sampled_from([None, "ttgo-lora32-v21"])),
        link=draw(st.sampled_from(["lorawan", "wifi"])),
        region=None,
        network=draw(MAYBE),
        site=draw(MAYBE),
        street=draw(MAYBE),
        latitude=place[0] if place else None,
        longitude=place[1] if place else None,
        settings=draw(KINDS[kind]),
    )


LISTS = st.lists(listed(), min_size=1, max_size=12, unique_by=lambda one: one.node_name)


@settings(max_examples=150)
@given(LISTS)
def test_export_then_import_is_the_identity(some):
    registry = scratch()
    with registry.writing() as db:
        assets.add(db, some, AT)
    content = exported(registry)
    again = scratch()
    plan = imported(again, content)
    assert plan.refused == []
    assert everything(again) == some
    assert exported(again) == content
    assert imported(registry, content).changes_nothing


ANY_CELL = st.sampled_from(
    [
        "",
        "A",
        "B",
        "light",
        "fill",
        "48,1",
        "1500",
        "=A1",
        "'-3",
        "2,5",
        "Ã©",
        "\t",
        "1e9",
        "nan",
        "-",
        "x" * 200,
    ]
) | st.text(max_size=12)
HEADERS = st.lists(
    st.sampled_from(
        ["asset", "kind", "lat", "lon", "rue", "site", "profondeur", "bays", "board", "link", "notes"]
    ),
    unique=True,
    max_size=8,
).map(lambda some: ["asset", *(one for one in some if one != "asset")])


@settings(max_examples=250)
@given(
    HEADERS,
    st.lists(st.lists(ANY_CELL, max_size=9), min_size=1, max_size=8),
    st.sampled_from([";", ",", "\t"]),
)
def test_any_list_imports_in_full_or_says_exactly_why_not(headers, rows, separator):
    import csv

    from borne.errors import ListError

    out = io.StringIO()
    csv.writer(out, delimiter=separator).writerows([headers, *rows])
    registry = scratch()
    try:
        plan = imported(registry, out.getvalue())
    except ListError as error:
        assert str(error).startswith("list.csv: ") and "\n" not in str(error)
        assert everything(registry) == []
        return
    if plan.refused:
        assert everything(registry) == []
        lines = len(out.getvalue().splitlines()) + 1
        assert all(2 <= one.row <= lines and one.reason and "\n" not in one.reason for one in plan.refused)
    else:
        assert len(everything(registry)) == len(plan.created)
        assert imported(registry, out.getvalue()).changes_nothing


def borne(*arguments, registry):
    return subprocess.run(
        [sys.executable, "-m", "borne", "fleet", *map(str, arguments), "--registry", str(registry)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_commands(tmp_path):
    registry, path = tmp_path / "deep" / "registry.sqlite", tmp_path / "list.csv"
    path.write_text(LIST)
    dry = borne("import", path, "--dry-run", registry=registry)
    assert (dry.returncode, dry.stdout) == (0, "2 would be created, 0 would be changed, 0 unchanged\n")
    assert not registry.exists()
    assert borne("import", path, registry=registry).stdout == "2 created, 0 changed, 0 unchanged\n"
    assert registry.stat().st_mode & 0o777 == 0o600
    again = borne("import", path, "--json", registry=registry)
    assert json.loads(again.stdout)["unchanged"] == 2
    out = tmp_path / "out.csv"
    assert borne("export", "--kind", "fill", "-o", out, registry=registry).stdout == f"{out}: 1 assets\n"
    assert out.read_text().splitlines()[1].startswith("B,fill,,,lorawan,")


def test_what_the_command_says_of_a_bad_list(tmp_path):
    registry, path = tmp_path / "registry.sqlite", tmp_path / "list.csv"
    path.write_text(LIST + "C;fill;;;[red]12\n")
    done = borne("import", path, registry=registry)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "row 4, depth_mm: '[red]12' is no whole number; leave the unit and spaces out",
        f"borne: {path}: 1 cell refused; nothing was written",
    ]
    done = borne("import", path, "--map", "rue", registry=registry)
    assert done.returncode == 2 and "map: 'rue' is not of the form \"Header=field\"" in done.stderr
    assert borne("export", registry=tmp_path / "none.sqlite").returncode == 2


def test_the_registry_is_the_users_own(tmp_path):
    registry = open_registry(str(tmp_path / "r.sqlite"))
    imported(registry, LIST)
    assert len(everything(open_registry(str(tmp_path / "r.sqlite")))) == 2
    assert lists.read is not None


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_files_that_are_no_registry(tmp_path, content):
    path = tmp_path / "r.sqlite"
    path.write_bytes(content)
    done = borne("export", registry=path)
    assert "Traceback" not in done.stderr and done.returncode == (2 if content else 0)
    if content:
        why = "is no registry, or damaged; move it away, and `borne fleet restore` brings back a backup"
        assert done.stderr == f"borne: registry {path}: {why}\n"
