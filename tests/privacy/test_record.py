"""The data protection officer's documents: complete, true to the policy, nothing invented, refused when they drift."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from borne.cli.privacy import privacy
from borne.decoding.table import layouts
from borne.errors import SettingError, UserError
from borne.privacy.record import blocks, files, words
from borne.privacy.record.documents import Fleet, Record, documents
from borne_node import settings
from borne_node.privacy import policy

WIFI = {"wifi_ssid": "street", "mqtt_host": "broker"}
FACTS = {name: f"<{name}>" for name in words.facts()} | {"url": "https://ville.example/registre"}


def node(kind: str, **more: Any) -> dict[str, Any]:
    given = {"name": f"{kind}-1", "kind": kind, **WIFI, **more}
    return dict(settings.validate(given))


EVERY = (
    node("parking", bays=8),
    node("parking", bays=1, profile="bay"),
    node("parking", bays=1, profile="day"),
    node("light"),
    node("fill", depth_mm=1200),
)
LIVE = node("parking", bays=2, profile="live")
REPORT = {
    "policy_sha256": policy.digest().hex(),
    "attacks": [{"attack": "leak", "bound": "0", "measured": "0 whole", "held": True}],
}


def made(fleet: Fleet, language: str = "en") -> dict[str, Record]:
    return {one.name: one for one in documents(fleet, language)}


def text(record: Record) -> str:
    return blocks.markdown(record.blocks)


def test_every_document_is_there_in_both_languages() -> None:
    for language in words.LANGUAGES:
        found = made(Fleet(EVERY, FACTS), language)
        assert set(found) == {
            *("article30", "dpia", "anonymity", "retention", "dictionary"),
            *("notice-zone", "notice-bay", "notice-day", "notice-light", "notice-fill"),
        }
        for one in found.values():
            assert policy.digest().hex()[:16] in text(one)


def test_what_only_a_person_knows_is_listed_and_never_invented() -> None:
    page = text(made(Fleet(EVERY))["article30"])
    for name in words.facts():
        assert words.Words("en").fact(name) in page
    assert page.count("[[TO BE FILLED IN]]") >= 2 * len(words.facts())
    assert "[[" not in text(made(Fleet(EVERY, FACTS))["article30"])
    assert "<controller>, <contact>" in text(made(Fleet(EVERY, FACTS))["notice-zone"])


def test_figures_come_from_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    page = text(made(Fleet(EVERY))["anonymity"])
    assert "2 h are 8 windows, epsilon 8" in page
    assert "below 11 nothing is said" in page
    table = tuple(row._replace(epsilon=(1, 2)) if row.profile == "zone" else row for row in policy.TABLE)
    monkeypatch.setattr("borne.privacy.record.documents._rows", table)
    monkeypatch.setattr(policy, "TABLE", table)
    assert "2 h are 8 windows, epsilon 4" in text(made(Fleet(EVERY))["anonymity"])


def test_a_live_profile_says_plainly_that_it_is_not_anonymous() -> None:
    english, french = (made(Fleet((LIVE,), FACTS), language) for language in words.LANGUAGES)
    assert "NOT ANONYMOUS" in text(english["notice-live"]) and "is NOT anonymous" in text(
        english["notice-live"]
    )
    assert "PAS ANONYME" in text(french["notice-live"])
    assert "cannot be told" not in text(english["notice-live"])
    assert "personal data" in text(english["dpia"]) and "données personnelles" not in text(english["dpia"])


def test_the_dictionary_has_every_bit_of_the_ports_in_use() -> None:
    grid = made(Fleet(EVERY))["dictionary"].grids["dictionary"]
    covered: dict[int, set[int]] = {}
    for port, bits, *_ in grid.rows:
        first, last = map(int, bits.split("-"))
        covered.setdefault(int(port), set()).update(range(first, last + 1))
    for port in (1, 2, 3, 10, 11, 20, 94):
        assert covered[port] == set(range(8 * layouts()[port].size))
    assert 12 not in covered


def test_every_text_of_the_table_is_translated() -> None:
    french = words.Words("fr")
    for layout in layouts().values():
        for one in (*layout.fields, *(each for more in layout.variants.values() for each in more)):
            assert french.field(one.text) and french.field(one.privacy)
            assert not one.mechanism or french.field(one.mechanism)


def test_both_languages_have_the_same_phrases_with_the_same_blanks() -> None:
    for phrase in words._all()["phrases"].values():
        assert set(phrase) == set(words.LANGUAGES)
        blanks = [sorted(re.findall(r"{\w+}", phrase[language])) for language in words.LANGUAGES]
        assert blanks[0] == blanks[1]
        assert phrase["en"].count("|") == phrase["fr"].count("|")


def test_another_policy_is_refused(tmp_path: Path) -> None:
    ours = policy.digest().hex()
    assert documents(Fleet(EVERY), "en", ours[:8].upper())
    for hash_ in ("0" * 8, ours[:6], ours[:-1] + ("0" if ours[-1] != "0" else "1")):
        with pytest.raises(UserError, match="policy"):
            files.write(Fleet(EVERY), tmp_path, ["en"], hash_)
    with pytest.raises(UserError, match="another policy"):
        documents(Fleet(EVERY, report={**REPORT, "policy_sha256": "00"}), "en")
    assert not list(tmp_path.iterdir())


def test_the_attack_report_stands_in_the_annex() -> None:
    assert "| leak | 0 | 0 whole | holds |" in text(made(Fleet(EVERY, report=REPORT))["dpia"])
    assert "No attack report" in text(made(Fleet(EVERY))["dpia"])


def test_files_of_all_three_forms(tmp_path: Path) -> None:
    found = files.write(Fleet((*EVERY, LIVE), FACTS, REPORT), tmp_path, words.LANGUAGES)
    assert len(found) == 2 * (11 * 2 + 2)
    for path in found:
        data = path.read_bytes()
        if path.suffix == ".pdf":
            assert data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF")
        elif path.suffix == ".csv":
            rows = list(csv.reader(io.StringIO(data.decode())))
            assert len(rows) > 4 and len({len(row) for row in rows}) == 1
        else:
            assert data.startswith(b"# ")


def test_a_notice_is_one_page_of_a5_with_a_code() -> None:
    for language in words.LANGUAGES:
        for name, one in made(Fleet((*EVERY, LIVE), FACTS), language).items():
            if name.startswith("notice"):
                data = blocks.pdf(one.blocks, one.title, one.paper)
                assert data.count(b"/Type /Page\n") == 1, name
                assert b"[0 0 419.53 595.28]" in data
                assert any(isinstance(block, blocks.Code) for block in one.blocks)


def test_settings_are_read_in_three_shapes_and_checked(tmp_path: Path) -> None:
    one, several, lines = (tmp_path / name for name in ("one.json", "list.json", "lines.ndjson"))
    one.write_bytes(settings.canonical(EVERY[0]))
    several.write_text(json.dumps([dict(each) for each in EVERY[:2]]))
    lines.write_bytes(b"\n".join(settings.canonical(each) for each in EVERY))
    assert len(files.read(files.settings([one, several, lines])).nodes) == 8
    one.write_text('{"name": "x", "kind": "rocket"}')
    with pytest.raises(SettingError, match="one.json: kind: must be one of"):
        files.read(files.settings([one]))
    lines.write_bytes(settings.canonical(EVERY[0]) + b"\n{")
    with pytest.raises(SettingError, match="line 2: is no JSON"):
        files.read(files.settings([lines]))
    with pytest.raises(UserError, match="No such file"):
        files.read(files.settings([tmp_path / "none.json"]))


def test_facts_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="facts: mayor is unknown"):
        documents(Fleet(EVERY, {"mayor": "x"}), "en")
    facts = tmp_path / "facts.toml"
    facts.write_text("controller = 3")
    with pytest.raises(UserError, match="controller is no text"):
        files.read([], facts)


def test_the_command_names_its_files_and_what_is_missing(tmp_path: Path) -> None:
    given = tmp_path / "settings.json"
    given.write_bytes(settings.canonical(EVERY[0]))
    done = CliRunner().invoke(privacy, ["record", str(given), "-o", str(tmp_path / "out"), "--lang", "fr"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "fr" / "notice-zone.pdf").is_file()
    assert "to be filled in: controller" in done.output


def test_paper_has_the_letters_of_names() -> None:
    import pypdfium2

    text = "Cœur de l’Aÿ – 5 €, Łódź, Češky Šumperk, ﬁn, Ağrı"
    (page,) = pypdfium2.PdfDocument(blocks.pdf([blocks.Paragraph(text)], text))
    found = page.get_textpage().get_text_range()
    assert found.split() == [
        "Cœur",
        "de",
        "l’Aÿ",
        "–",
        "5",
        "€,",
        "Lódz,",
        "Cešky",
        "Šumperk,",
        "fin,",
        "Agri",
    ]


def test_a_name_that_no_pdf_can_show_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    fleet = Fleet(EVERY, {"controller": "Δήμος Αθηναίων"})
    with pytest.raises(UserError, match="a PDF has no letter 'Δ' .*in Latin letters"):
        files.write(fleet, tmp_path / "out", ["en"])
    assert not (tmp_path / "out").exists()


def test_a_fleet_is_documented_from_its_list_and_from_what_its_nodes_were_told(tmp_path: Path) -> None:
    from borne.fleet.model import Asset
    from borne.fleet.registry import Stamp, assets, nodes, open_registry

    registry, at = tmp_path / "r.sqlite", Stamp(1_800_000_000)
    made = open_registry(str(registry))
    with made.writing() as db:
        told = node("parking", bays=6)
        assets.add(db, [Asset("P", "parking", site="S", settings={"bays": 1, "profile": "bay"})], at)
        assets.add(db, [Asset("F", "fill", site="S", settings={"depth_mm": 1200})], at)
        assets.add(db, [Asset("L", "light", site="other")], at)
        nodes.reserve(db, nodes.get(db, "P"), "240ac4010203", None, None, at)
        standing = nodes.get(db, "P")
        nodes.provisioned(db, standing, settings.canonical(told).decode(), "ab" * 32, "0.1.0", at)
    made.close()

    def notices(*arguments: str) -> set[str]:
        folder = tmp_path / f"out{len(arguments)}"
        command = ["record", "-o", str(folder), "--registry", str(registry), "--lang", "en", *arguments]
        done = CliRunner().invoke(privacy, command)
        assert done.exit_code == 0, done.output
        return {path.stem for path in (folder / "en").glob("notice-*.pdf")}

    # The list says `bay` by now, the node on the street still runs `zone`.
    assert notices("--site", "S") == {"notice-zone", "notice-fill"}
    assert notices() == {"notice-zone", "notice-fill", "notice-light"}
    wrong = CliRunner().invoke(privacy, ["record", "x.json", "--site", "S", "-o", str(tmp_path / "none")])
    assert isinstance(wrong.exception, UserError) and "or of the fleet" in str(wrong.exception)
    assert not (tmp_path / "none").exists()


def test_a_notice_says_what_the_sensors_of_this_fleet_measure() -> None:
    from borne_node import sensors

    overhead = node("parking", bays=8, sensor="vl53l1x", floor_mm=2500)
    (notice,) = (one for one in made(Fleet((EVERY[0], overhead), FACTS)).values() if one.paper == "A5")
    assert "magnetic sensor or whether a car stands under each sensor" in text(notice)
    for kind, setting in (("parking", "sensor"), ("light", "presence"), ("fill", "sensor")):
        for name in sensors.choices(kind, setting):
            assert all(words.Words(one).measured(kind, name) for one in words.LANGUAGES), name


def test_the_dictionary_says_which_fields_this_fleet_fills() -> None:
    def filled(*nodes: dict[str, Any]) -> set[str]:
        grid = made(Fleet(nodes))["dictionary"].grids["dictionary"]
        column = grid.head.index("collected here")
        return {f"{row[0]} {row[2]}" for row in grid.rows if row[column] == "yes"}

    bare, metered = node("light"), node("light", lamp="pzem004t", lamp_w=60)
    assert {"20 presence", "20 lux_class"} <= filled(bare)
    assert not {"20 lamp", "20 dimming", "20 energy"} & filled(bare)
    assert {"20 lamp", "20 dimming", "20 energy"} <= filled(bare, metered)
    follows = node("light", lamp="pzem004t", lamp_w=60, dimmer="pwm")
    assert {"20 lamp", "20 dimming", "20 energy"} & filled(follows) == {"20 lamp"}

    bays = node("parking", bays=3, profile="day", withheld_bays=[2])
    assert {one for one in filled(bays) if one.startswith("13 share")} == {"13 share_1", "13 share_3"}
    assert "94 tilt" not in filled(node("fill", depth_mm=1200))
    assert {"94 tilt", "94 fire", "1 battery"} <= filled(node("fill", depth_mm=1200, tilt="lis3dh"))
    assert "| tilt | whether the container leans or lies | no |" in text(
        made(Fleet((node("fill", depth_mm=1200),)))["anonymity"]
    )
