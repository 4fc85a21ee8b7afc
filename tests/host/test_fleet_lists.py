"""Lists as towns really send them: every form, every encoding, every slip of the pen."""

from __future__ import annotations

import datetime
import json

import pytest
from openpyxl import Workbook

from borne.errors import ListError
from borne.fleet import lists
from borne.fleet.importing import How, import_list
from borne.fleet.lists import cells, columns, town
from borne.fleet.lists.cells import CellError
from borne.fleet.registry import assets, scratch
from borne_node import settings as node_settings

HEAD = "asset;kind;latitude;longitude;street;depth_mm\n"
ROWS = "LAMP-1;light;48,8566;2,3522;Rue de l'Église;\nBIN-1;fill;48,8567;2,3523;Rue Noël;1500\n"


def planned(path, how=None, registry=None):
    return import_list(registry or scratch(), lists.read(path), how, dry_run=True)


def plan_of(tmp_path, text, how=None, encoding="utf-8", name="list.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return planned(path, how)


def refused(tmp_path, text, how=None, **more):
    plan = plan_of(tmp_path, text, how, **more)
    assert plan.refused
    return [str(one) for one in plan.refused]


def fatal(tmp_path, text, how=None, **more):
    with pytest.raises(ListError) as caught:
        plan_of(tmp_path, text, how, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "mac_roman"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings(tmp_path, encoding, newline):
    plan = plan_of(tmp_path, (HEAD + ROWS).replace("\n", newline), encoding=encoding)
    assert [(one.asset, one.kind, one.street) for one in plan.created] == [
        ("LAMP-1", "light", "Rue de l'Église"),
        ("BIN-1", "fill", "Rue Noël"),
    ]
    assert plan.created[1].settings == {"depth_mm": 1500}
    assert (plan.created[0].latitude, plan.created[0].longitude) == (48.8566, 2.3522)
    assert bool(plan.notes) == (not encoding.startswith("utf-8"))


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_separators(tmp_path, separator):
    text = (HEAD + ROWS).replace(",", ".").replace(";", separator)
    assert len(plan_of(tmp_path, text).created) == 2


def test_excels_own_hint_of_the_separator(tmp_path):
    assert len(plan_of(tmp_path, "sep=;\n" + HEAD + ROWS).created) == 2


def test_a_row_with_another_separator_is_named(tmp_path):
    said = refused(tmp_path, HEAD + "LAMP-1,light,48.8566,2.3522,Rue A,\n" + ROWS.split("\n")[1] + "\n")
    assert said == ["row 2: is separated by commas, the header by semicolons"]


def test_rows_count_as_a_spreadsheet_counts(tmp_path):
    text = 'asset;kind;street\nA;light;"two\nlines"\n\nB;light;x\nC;lihgt;x\n'
    assert refused(tmp_path, text) == [
        "row 2, street: holds a control character or a line break",
        "row 5, kind: 'lihgt' is unknown; did you mean 'light'?",
    ]


def test_too_many_and_too_few_cells(tmp_path):
    said = refused(tmp_path, "asset;kind\nA;light;x\nB\nC;light\n")
    assert said == ["row 2: has 3 cells, the header has 2", "row 3: has 1 cell, the header has 2"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("\ufeff\n\n", "is empty"),
        ('asset;kind\n"A;light\n', "never closed"),
        (b"asset;kind\nA\0\xff;light\n", "no text"),
        ("kind;street\nlight;x\n", 'say which with --map "HEADER=asset"'),
        ("asset;id;kind\nA;B;light\n", "the columns 'asset' and 'id' both hold asset"),
        ("asset;kind;lattitude\nA;light;1\n", "did you mean 'latitude'"),
        ("asset;kind\n", "has no rows"),
        (b"\xff\xfea\0s\0x", "begins as utf-16"),
    ],
)
def test_lists_that_are_none(tmp_path, content, says):
    assert says in fatal(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"asset;kind", "no Excel workbook"),
        ("a.xlsx", b"PK\x03\x04 torn", "no Excel workbook that can be read"),
        ("a.xls", b"\xd0\xcf\x11\xe0\xa1", "save it as .xlsx"),
        ("a.geojson", b"{", "is no JSON: line 1"),
        ("a.geojson", b"[1]", "no GeoJSON FeatureCollection"),
        ("a.geojson", b'{"type":"FeatureCollection","features":[]}', "no features"),
        ("a.geojson", b"\xff{", "not UTF-8"),
    ],
)
def test_files_that_are_no_lists(tmp_path, name, content, says):
    assert says in fatal(tmp_path, content, name=name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ListError, match="No such file"):
        lists.read(tmp_path / "none.csv")
    with pytest.raises(ListError, match="directory"):
        lists.read(tmp_path)


def test_columns_in_french_and_by_map(tmp_path):
    text = "N°;Genre;Latitude WGS84;Longitude WGS84;Nombre de places;Places réservées;Gestionnaire;Voirie\n"
    text += "P 1;Stationnement;48.1;2.1;6;2,5;x;Rue A\n"
    plan = plan_of(tmp_path, text, How(mapping={"voirie": "street"}))
    (one,) = plan.created
    assert (one.kind, one.street, one.settings) == ("parking", "Rue A", {"bays": 6, "withheld_bays": [2, 5]})
    assert one.node_name == "P-1"
    assert plan.notes == ["not read: Gestionnaire"]


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"Lampe": "asset"}, "has no column 'Lampe'"),
        ({"asset": "aset"}, "'aset' is no field; did you mean 'asset'?"),
        ({"asset": ""}, "no column is the asset's number"),
    ],
)
def test_maps_that_are_wrong(tmp_path, mapping, says):
    assert says in fatal(tmp_path, HEAD + ROWS, How(mapping=mapping))


def test_each_listed_setting_has_a_form_that_its_check_takes():
    forms = {name: cells.form(name) for name in columns.SETTINGS}
    assert {forms[name] for name in ("bays", "depth_mm", "offset_mm", "refractory_s", "antenna_dbi")} == {
        "whole"
    }
    assert forms["withheld_bays"] == "list"
    assert forms["ntp_host"] == "text"
    # A flag that no list names: what the node's own check takes decides.
    assert not next(row for row in node_settings._ROWS if row[0] == "mqtt_tls")[1](True)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("A;light;48.1;2.1;=B2&C2;", "street: is a formula (=B2&C2): copy the column and paste it as values"),
        (";light;48.1;2.1;;", "asset: is empty"),
        ("---;light;48.1;2.1;;", "asset: '---' is no number of an asset"),
        ("A;;48.1;2.1;;", "kind: is missing: parking, light or fill"),
        ("A;light;48°51'N;2.1;;", 'latitude: "48°51\'N" is no number of degrees such as 48.85661'),
        ("A;light;652381;2.1;;", "latitude: 652381 lies outside -90 to 90 degrees (WGS 84)"),
        ("A;light;48.1;;;", "longitude: is missing, and the other is not"),
        ("A;light;0;0;;", "latitude: 0, 0 lies in the Atlantic"),
        ("A;fill;48.1;2.1;;", "depth_mm: is missing"),
        ("A;fill;48.1;2.1;;1 500", "depth_mm: '1 500' is no whole number; leave the unit and spaces out"),
        ("A;fill;48.1;2.1;;150cm", "depth_mm: '150cm' is no whole number"),
        ("A;fill;48.1;2.1;;12", "depth_mm: must lie between 300 and 5000"),
        ("A;light;48.1;2.1;;1500", "depth_mm: is a setting of a fill node only"),
        ("A;light;48.1;2.1;Rue de l'Ã‰glise;", 'should be "Rue de l\'Église"'),
        ("A" * 41 + ";light;48.1;2.1;;", "asset: is longer than 40 bytes"),
    ],
)
def test_cells_that_are_refused(tmp_path, row, says):
    (said,) = refused(tmp_path, HEAD + row + "\n")
    assert said.startswith("row 2, ") and says in said


def test_duplicates_name_both_rows(tmp_path):
    text = "asset;kind\nA 1;light\nA/1;light\nA 1;light\n"
    assert refused(tmp_path, text) == [
        "row 3, asset: 'A/1' and 'A 1' would both be node A-1",
        "row 4, asset: 'A 1' stands in row 2 already",
    ]


@pytest.mark.parametrize(
    ("board", "link", "region", "says"),
    [
        ("esp32-devkit", "wifi", "", "board: 'esp32-devkit' is unknown; did you mean 'esp32-devkitc'?"),
        ("esp32-devkitc", "lorawan", "", "board: esp32-devkitc has no LoRa radio"),
        ("esp32-c3-devkitm", "wifi", "", "board: esp32-c3-devkitm has no pir for the presence sensor"),
        ("ttgo-lora32-v21", "lorawan", "EU433", "region: EU433 lies at 433.05 to 434.79 MHz"),
        ("ttgo-lora32-v21", "lorawan", "EU86", "region: 'EU86' is unknown; did you mean 'EU868'?"),
        ("ttgo-lora32-v21", "zigbee", "", "link: 'zigbee' is unknown"),
    ],
)
def test_boards_that_cannot(tmp_path, board, link, region, says):
    text = f"asset;kind;board;link;region\nA;light;{board};{link};{region}\n"
    (said,) = refused(tmp_path, text)
    assert says.split(" lies")[0] in said


def test_boards_that_can(tmp_path):
    text = (
        "asset;kind;board;link;region\nA;light;ttgo-lora32-v21;LoRaWAN;eu868\nB;light;esp32-devkitc;Wi-Fi;\n"
    )
    one, other = plan_of(tmp_path, text).created
    assert (one.link, one.region, other.link, other.region) == ("lorawan", "EU868", "wifi", None)


def test_swapped_and_stray_places(tmp_path):
    text = "asset;kind;lat;lon\n" + "".join(f"A{n};light;48.85{n};2.35{n}\n" for n in range(6))
    text += "S;light;2.3522;48.8566\nL;light;45.76;4.83\n"
    said = refused(tmp_path, text)
    assert said[0] == "row 8, lat: 2.3522, 48.8566: latitude and longitude are swapped"
    assert said[1].startswith("row 9, lat: 45.76, 4.83 lies 391 km from the middle of all assets")
    assert said[1].endswith("give the town's box with --box")


def test_the_towns_box(tmp_path):
    how = How(box=town.box("48.8,2.2,48.9,2.5"))
    text = "asset;kind;lat;lon\nA;light;48.85;2.35\nB;light;48.95;2.35\nC;light;2.35;48.85\n"
    assert refused(tmp_path, text, how) == [
        "row 3, lat: 48.95, 2.35 lies outside the town's box 48.8,2.2,48.9,2.5",
        "row 4, lat: 2.35, 48.85 lies outside the town's box 48.8,2.2,48.9,2.5; latitude and longitude are swapped",
    ]


@pytest.mark.parametrize("text", ["", "1,2,3", "a,b,c,d", "48.9,2.2,48.8,2.5", "1,2,3,999", "nan,1,2,3"])
def test_boxes_that_are_none(text):
    with pytest.raises(ListError, match=r"^box: "):
        town.box(text)


def workbook(path, *rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_excel(tmp_path):
    path = workbook(
        tmp_path / "a.xlsx",
        ["Numéro", "Type", "Lat", "Lon", "Profondeur", None],
        [412, "benne", 48.85, 2.35, 1500.0],
        [None, None, None],
        ["B", "benne", "48,85", "2,35", "1500"],
    )
    one, other = planned(path).created
    assert (one.asset, one.latitude, one.settings) == ("412", 48.85, {"depth_mm": 1500})
    assert (other.asset, other.latitude, other.settings) == ("B", 48.85, {"depth_mm": 1500})


def test_what_excel_does_to_cells(tmp_path):
    path = workbook(
        tmp_path / "a.xlsx",
        ["asset", "kind", "street", "withheld_bays", "bays"],
        [datetime.date(2024, 3, 12), "parking", "", None, 6],
        ["B", "parking", "=A2", None, 6],
        ["C", "parking", "", 2.5, 6],
        ["D", "parking", True, None, 6],
        ["E", "parking", "", datetime.time(2, 5), 6],
        ["F", "parking", "", datetime.timedelta(hours=30), 6],
        [1.5, "parking", "", None, 6],
        ["G", "parking", "", None, 6, "beyond"],
    )
    said = [str(one) for one in planned(path).refused]
    assert (
        said[0]
        == "row 2, asset: is a date for Excel (2024-03-12 00:00:00): format the column as text and type it again"
    )
    assert said[1].startswith("row 3, street: is a formula (=A2)")
    assert (
        said[2]
        == "row 4, withheld_bays: is the number 2.5 for Excel: format the column as text and type 2,5 again"
    )
    assert said[3].startswith("row 5, street: is true or false")
    assert said[4].startswith("row 6, withheld_bays: is a date for Excel (02:05:00)")
    assert said[5].startswith("row 7, withheld_bays: is a d")
    assert said[6].startswith("row 8, asset: is the number 1.5 for Excel")
    assert said[7] == "row 9: has a cell beyond the header's 5"


def test_the_first_sheet_that_holds_something(tmp_path):
    book = Workbook()
    sheet = book.create_sheet("Lampadaires")
    sheet.append(["asset", "kind"])
    sheet.append(["A", "light"])
    book.save(tmp_path / "a.xlsx")
    plan = planned(tmp_path / "a.xlsx")
    assert plan.created[0].asset == "A" and plan.notes == ["read from its sheet 'Lampadaires'"]


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def geojson(path, *features, **more):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return path


def point(*coordinates):
    return {"type": "Point", "coordinates": coordinates}


def test_geojson(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature(point(2.35, 48.85), id="A", type="lampadaire", rue="Rue A"),
        feature(None, id="B", type="stationnement", bays=4, withheld_bays=[1, 2]),
        feature(point(2.35, 48.85, 35.0), id="C", type="light"),
    )
    one, other, third = planned(path).created
    assert (one.latitude, one.longitude, one.street) == (48.85, 2.35, "Rue A")
    assert (other.latitude, other.settings) == (None, {"bays": 4, "withheld_bays": [1, 2]})
    assert third.latitude == 48.85


def test_geojson_that_is_refused(tmp_path):
    path = geojson(
        tmp_path / "a.geojson",
        feature({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}, id="A"),
        feature(point("2", "48"), id="B"),
        {"type": "Feature"},
        feature(point(2, 48), id={"x": 1}, kind="light"),
    )
    said = [str(one) for one in planned(path).refused]
    assert said[0] == "row 1: is no Point but 'LineString': an asset stands at one place"
    assert said[1] == "row 2: its coordinates are not [longitude, latitude]"
    assert said[2] == "row 3: is no feature with properties"
    assert said[3] == "row 4, id: is no text and no number"
    with pytest.raises(ListError, match="not WGS 84"):
        lists.read(
            geojson(tmp_path / "b.geojson", feature(point(1, 2)), crs={"properties": {"name": "EPSG:2154"}})
        )


def test_a_cell_error_quotes_little():
    with pytest.raises(CellError) as caught:
        cells.value("street", "x" * 5000)
    assert len(str(caught.value)) < 100


def test_assets_of_the_registry_count_for_the_middle(tmp_path):
    registry = scratch()
    path = tmp_path / "a.csv"
    path.write_text("asset;kind;lat;lon\n" + "".join(f"A{n};light;48.85{n};2.35{n}\n" for n in range(6)))
    import_list(registry, lists.read(path))
    path.write_text("asset;kind;lat;lon\nB;light;2.35;48.85\n")
    assert "swapped" in str(planned(path, registry=registry).refused[0])
    with registry.reading() as db:
        assert len(list(assets.find(db))) == 6
