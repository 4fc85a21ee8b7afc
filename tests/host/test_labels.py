"""Labels of nodes: read back from the rendered picture by an independent decoder, at the printer's resolution."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pypdfium2
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageFilter
from typer import Typer
from typer.testing import CliRunner

from borne.cli.fleet.label import label as command
from borne.errors import SettingError, UserError
from borne.fleet import nodes as exchange
from borne.fleet.labels import artwork, notices, sheets, short, tr005
from borne.fleet.labels.stock import STOCKS, Stock, named
from borne.fleet.model import Asset, Node

# The example of TR005-1.0.0.
EXAMPLE = "LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122:OAABBCCDDEEFF:SYYWWNNNNNN:PFOOBAR:CAF2C"


def lamp(number: int = 412, **more: object) -> Node:
    asset = Asset(f"LAMP-{number:04}", "light", street="Rue de la République", site="Centre", **more)  # type: ignore[arg-type]
    return Node(asset, f"LAMP-{number:04}", f"70b3d57ed00{number:05x}", "70b3d57ed0000001")


def by_wifi(name: str = "BIN-7") -> Node:
    return Node(Asset(name, "fill", link="wifi", settings={"depth_mm": 1200}), name)


def pictures(document: bytes, dpi: int) -> list[Image.Image]:
    with pypdfium2.PdfDocument(document) as pages:
        return [page.render(scale=dpi / 72).to_pil() for page in pages]


def codes(picture: Image.Image) -> list[str]:
    return [one.text for one in zxingcpp.read_barcodes(picture)]


def words(document: bytes) -> str:
    with pypdfium2.PdfDocument(document) as pages:
        return "\n".join(page.get_textpage().get_text_range() for page in pages)


@pytest.mark.parametrize("stock", STOCKS.values(), ids=STOCKS)
def test_each_label_of_a_sheet_is_read_back_at_print_resolution(stock: Stock) -> None:
    count = stock.count + 2 if stock.columns else 3
    fleet = [lamp(number) if number % 5 else by_wifi(f"BIN-{number}") for number in range(count)]
    printed = pictures(sheets.pdf([artwork.draw(one, stock) for one in fleet], stock), 300)
    assert len(printed) == (2 if stock.columns else 3)
    for number, node in enumerate(fleet):
        page, place = divmod(number, stock.count)
        x, y = stock.place(place)
        box = [round(mm / 25.4 * 300) for mm in (x, y, x + stock.width, y + stock.height)]
        assert codes(printed[page].crop(tuple(box))) == [tr005.text_of(node)]  # type: ignore[arg-type]


@pytest.mark.parametrize("stock", STOCKS.values(), ids=STOCKS)
def test_labels_lie_on_the_page_and_leave_their_edges_free(stock: Stock) -> None:
    for number in range(stock.count):
        x, y = stock.place(number)
        assert x >= 0 and x + stock.width <= stock.page[0] + 1e-9
        assert y >= 0 and y + stock.height <= stock.page[1] + 1e-9
    for node in (lamp(), by_wifi(), Node(Asset("A" * 40, "light"), "a", "0" * 16)):
        try:
            drawn = artwork.draw(node, stock)
        except SettingError as error:
            assert "does not fit" in str(error)
            continue
        picture = Image.open(io.BytesIO(sheets.png(drawn, stock))).convert("L")
        ink = ImageChops.invert(picture).getbbox()
        edge = (stock.edge - 0.2) / 25.4 * 300
        assert ink is not None
        assert ink[0] >= edge and ink[1] >= edge
        assert ink[2] <= picture.width - edge and ink[3] <= picture.height - edge


def test_sheets_are_those_of_avery() -> None:
    # Margins of Avery's own templates, in mm, as far as they are published: left, top.
    assert (round(STOCKS["L7160"].left, 1), round(STOCKS["L7160"].top, 2)) == (7.2, 15.15)
    assert (round(STOCKS["L7163"].left, 2), round(STOCKS["L7163"].top, 2)) == (4.65, 15.15)
    assert {name: stock.count for name, stock in STOCKS.items() if stock.columns} == {
        "L4731": 189,
        "L7651": 65,
        "L4778": 48,
        "L4773": 24,
        "L7160": 21,
        "L7161": 18,
        "L7163": 14,
        "L4776": 12,
    }


def test_a_sheet_of_which_some_labels_are_gone_goes_on_after_them() -> None:
    stock = named("l7160")
    drawn = [artwork.draw(lamp(number), stock) for number in range(3)]
    first, second = pictures(sheets.pdf(drawn, stock, start=20), 100)
    x, y = (round(mm / 25.4 * 100) for mm in stock.place(19))
    assert first.crop((0, 0, first.width, y)).convert("L").getextrema() == (255, 255)
    assert first.crop((0, y, x, first.height)).convert("L").getextrema() == (255, 255)
    assert len(codes(first.resize((first.width * 2, first.height * 2)))) == 2
    assert second.crop((0, 0, second.width // 3, second.height // 7)).convert("L").getextrema()[0] == 0
    with pytest.raises(SettingError, match=r"start: 22 is no label of L7160, which has 21 a sheet"):
        sheets.pdf(drawn, stock, start=22)


def test_a_shift_moves_everything_and_nothing_else() -> None:
    stock = named("L7163")
    drawn = [artwork.draw(lamp(), stock)]
    there, moved = (
        pictures(sheets.pdf(drawn, stock, shift=by), 254)[0].convert("L") for by in ((0.0, 0.0), (2.0, -1.0))
    )
    boxes = [ImageChops.invert(one).getbbox() for one in (there, moved)]
    assert boxes[0] and boxes[1]
    assert boxes[1][0] - boxes[0][0] == pytest.approx(20, abs=1)
    assert boxes[1][1] - boxes[0][1] == pytest.approx(-10, abs=1)


@pytest.mark.parametrize("stock", STOCKS.values(), ids=STOCKS)
@pytest.mark.parametrize("node", [lamp(), by_wifi()], ids=["lorawan", "wifi"])
def test_a_phone_reads_it_from_as_far_as_we_say(stock: Stock, node: Node) -> None:
    """As a phone's video sees it: two pixels a module, out of focus by half a pixel, grey, turned by 7 degrees."""
    drawn = artwork.draw(node, stock)
    printed = Image.open(io.BytesIO(sheets.png(drawn, stock, 900))).convert("L")
    pixels_a_mm = 1920 / (1.349 * drawn.reach_mm)
    assert 2 <= drawn.module * pixels_a_mm <= 2.2
    seen = Image.new("L", (printed.width + 400, printed.height + 400), 255)
    seen.paste(printed, (200, 200))
    seen = seen.rotate(7, Image.Resampling.BICUBIC, fillcolor=255)
    scale = pixels_a_mm * 25.4 / 900
    seen = seen.resize((round(seen.width * scale), round(seen.height * scale)), Image.Resampling.BOX)
    seen = seen.filter(ImageFilter.GaussianBlur(0.5)).point(lambda level: 60 + level * 0.55)
    assert codes(seen) == [tr005.text_of(node)]


def test_labels_for_the_street_are_read_at_arms_length() -> None:
    for name in ("L4773", "L7160", "L7161", "L7163", "L4776", "DK-22205", "DK-22212"):
        drawn = artwork.draw(lamp(), STOCKS[name])
        assert drawn.module >= artwork.ARM_MM and drawn.reach_mm >= 500
        assert drawn.error in "QH"


def test_a_dirty_label_is_still_read() -> None:
    stock = named("L7160")
    picture = Image.open(io.BytesIO(sheets.png(artwork.draw(lamp(), stock), stock))).convert("L")
    # A splash over a quarter of the code's width and height, away from the finder patterns.
    picture.paste(255, (200, 150, 290, 240))
    assert codes(picture) == [tr005.text_of(lamp())]


@pytest.mark.parametrize("dpi", [150, 203, 300, 600])
def test_a_single_label_as_png_has_its_real_size(dpi: int) -> None:
    stock = named("L7160")
    picture = Image.open(io.BytesIO(sheets.png(artwork.draw(lamp(), stock), stock, dpi)))
    assert picture.width == pytest.approx(63.5 / 25.4 * dpi, abs=2)
    assert picture.info["dpi"][0] == pytest.approx(dpi, abs=1)
    assert codes(picture.convert("L")) == [tr005.text_of(lamp())]


def test_a_png_too_coarse_for_its_modules_is_refused() -> None:
    stock = named("L4731")
    with pytest.raises(SettingError, match="dpi: 72 gives 0.7 dots a module"):
        sheets.png(artwork.draw(lamp(), stock), stock, 72)


def test_an_svg_draws_the_same_code() -> None:
    drawn = artwork.draw(Node(Asset("A&B<1>", "light"), "a", "0" * 16), named("L7160"))
    text = sheets.svg(drawn)
    found = re.search(r'd="([^"]+)"', text)
    assert found
    dark = set()
    for x, y, width, height in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)", found[1]):
        dark |= {(int(x) + i, int(y) + j) for i in range(int(width)) for j in range(int(height))}
    picture = Image.new("L", (len(drawn.matrix) + 8, len(drawn.matrix) + 8), 255)
    for x, y in dark:
        picture.putpixel((x + 4, y + 4), 0)
    assert codes(picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST)) == [
        drawn.code
    ]
    assert "A&amp;B&lt;1&gt;" in text and 'width="63.5mm"' in text


def test_people_read_asset_short_code_and_dev_eui() -> None:
    stock = named("L7160")
    text = words(sheets.pdf([artwork.draw(lamp(), stock)], stock))
    for line in (
        "LAMP-0412",
        short.code(lamp()),
        "70B3D57ED000019C",
        "light",
        "Rue de la République",
        "Centre",
    ):
        assert line in text
    assert "BIN-7" in words(sheets.pdf([artwork.draw(by_wifi(), stock)], stock))


def test_a_long_number_is_set_in_several_lines_and_never_cut() -> None:
    asset = "PARKING-RUE-DE-LA-REPUBLIQUE-CENTRE-VILLE-0412"
    stock = named("L7651")
    drawn = artwork.draw(Node(Asset(asset, "parking"), "a", "0" * 16), named("L7160"))
    assert "".join(one.text for one in drawn.texts if one.style == "B" and one.font == "Helvetica") == asset
    lines = [one for one in drawn.texts if one.font == "Helvetica" and one.style == "B"]
    assert [one.text for one in lines] == ["PARKING-RUE-DE-LA-", "REPUBLIQUE-CENTRE-", "VILLE-0412"]
    assert min(one.size for one in lines) > 1.9
    with pytest.raises(SettingError, match="does not fit L7651"):
        artwork.draw(Node(Asset(asset * 8, "parking"), "a", "0" * 16), stock)


def test_a_small_label_leaves_a_long_number_to_people() -> None:
    stock = named("L4731")
    node = Node(Asset("LAMP-NORTH-0412", "light"), "a", "70b3d57ed0051234")
    drawn = artwork.draw(node, stock)
    assert drawn.code == tr005.text_of(node, with_asset=False) and tr005.parse(drawn.code).asset is None
    picture = Image.open(io.BytesIO(sheets.png(drawn, stock, 600))).convert("L")
    assert codes(picture) == [drawn.code]
    assert "".join(one.text for one in drawn.texts).startswith("LAMP-NORTH-0412")
    with pytest.raises(SettingError, match="a code of .* modules does not fit L4731: take a larger label"):
        artwork.draw(Node(Asset("B", "fill", link="wifi"), "B" * 60), stock)


def test_letters_that_the_fonts_lack() -> None:
    drawn = artwork.draw(Node(Asset("LAMPĀ-1", "light", street="улица"), "a", "0" * 16), named("L7160"))
    assert drawn.texts[0].text == "LAMPA-1"
    with pytest.raises(SettingError, match="not in Latin-1"):
        artwork.draw(Node(Asset("ЛАМПА", "light"), "a", "0" * 16), named("L7160"))


def test_the_standards_own_example_agrees_with_its_checksum() -> None:
    scanned = tr005.parse(EXAMPLE)
    assert scanned == tr005.Scanned("1122334455667788", "aabbccddeeff0011", "AABB1122", "YYWWNNNNNN")
    with pytest.raises(SettingError, match="checksum does not agree"):
        tr005.parse(EXAMPLE.replace("YYWW", "YYWV"))


def test_a_code_says_what_the_standard_wants() -> None:
    assert tr005.text_of(lamp()) == "LW:D0:70B3D57ED0000001:70B3D57ED000019C:00000000:SLAMP-0412"
    assert tr005.text_of(lamp(), "fff10a0b").split(":")[4] == "FFF10A0B"
    assert tr005.text_of(lamp(), checksum=True).startswith(tr005.text_of(lamp()) + ":C")
    assert tr005.text_of(by_wifi("BIN 7/é")) == "urn:ngsi-ld:Device:BIN%207%2F%C3%A9"


@given(st.text(min_size=1, max_size=12), st.booleans())
def test_any_asset_survives_the_alphabet(asset: str, checksum: bool) -> None:
    node = Node(Asset(asset, "light"), "n", "0123456789abcdef")
    text = tr005.text_of(node, checksum=checksum)
    # ISO/IEC 18004, table 5: what the alphanumeric mode has.
    assert re.fullmatch(r"[0-9A-Z $%*+\-./:]+", text)
    assert text.count(":") == 5 + checksum
    assert tr005.parse(text).asset == asset.upper()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://example.org", "is no label of a LoRaWAN device"),
        ("LW:D1:1122334455667788:AABBCCDDEEFF0011:AABB1122", "is no label of a LoRaWAN device"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011", "is no label of a LoRaWAN device"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF001:AABB1122", "DevEUI 'AABBCCDDEEFF001' is not 16"),
        ("LW:D0:11223344556677XX:AABBCCDDEEFF0011:AABB1122", "JoinEUI"),
        ("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB", "ProfileID"),
    ],
)
def test_what_is_no_label_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingError, match=re.escape(reason)):
        tr005.parse(text)


def test_nodes_without_what_a_label_needs() -> None:
    with pytest.raises(SettingError, match="LAMP-1: its node has no DevEUI yet"):
        tr005.text_of(Node(Asset("LAMP-1", "light"), "LAMP-1"))
    with pytest.raises(SettingError, match="profile_id: 'FFF1' is not 8"):
        tr005.text_of(lamp(), "FFF1")
    with pytest.raises(SettingError, match="'L7161O' is unknown; did you mean L7161"):
        named("L7161O")


@given(st.integers(0, 2**64 - 1), st.integers(0, 7), st.integers(0, 7), st.sampled_from(short.ALPHABET))
def test_a_short_code_finds_every_slip(number: int, one: int, other: int, letter: str) -> None:
    code = short.code(Node(Asset("A", "light"), "n", f"{number:016x}")).replace("-", "")
    assert short.parse(f" {code[:2].lower()} {code[2:]}").replace("-", "") == code
    typed = list(code)
    typed[one] = letter
    swapped = list(code)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    for wrong in ("".join(typed), "".join(swapped)):
        if wrong != code:
            with pytest.raises(SettingError, match="a character is wrong"):
                short.parse(wrong)


@pytest.mark.parametrize("text", ["K7QX-2MT", "K7QX-2MT0", "", "K7QX-2MTDD"])
def test_a_short_code_of_the_wrong_form(text: str) -> None:
    with pytest.raises(SettingError):
        short.parse(text)


def test_a_node_is_found_by_whatever_names_it() -> None:
    fleet = [lamp(1), lamp(2), by_wifi()]
    for node in fleet:
        code = short.code(node)
        names = [
            node.asset.asset.lower(),
            node.name,
            code,
            code.lower().replace("-", " "),
            tr005.text_of(node),
        ]
        for name in [*names, *([node.dev_eui] if node.dev_eui else [])]:
            assert short.find(name, fleet) == [node]
    assert short.find("LAMP-9999", fleet) == []


def test_ten_thousand_nodes_have_ten_thousand_codes() -> None:
    assert len({short.code(lamp(number)) for number in range(10_000)}) == 10_000


def test_notices_are_those_of_the_profiles_in_use() -> None:
    parking = Node(Asset("P-1", "parking", settings={"bays": 8}), "P-1", "0" * 16)
    made = notices.notices([parking, parking, lamp(), by_wifi()], "fr", {"controller": "Ville de Test"})
    assert set(made) == {"zone", "light", "fill"}
    for name, document in made.items():
        assert "Ville de Test" in words(document), name
        assert len(pictures(document, 40)) == 1
    assert set(notices.notices([Node(Asset("F-1", "fill"), "F-1", "0" * 16)], "en", {})) == {"fill"}
    wrong = Asset("P-2", "parking", settings={"bays": 99})
    with pytest.raises(SettingError, match="P-2: bays: must lie between"):
        notices.notices([Node(wrong, "P-2", "0" * 16)], "en", {})


# --- the command ---

APP = Typer()
APP.command()(command)


def run(*arguments: str | Path, nodes: list[Node]) -> tuple[int, str, BaseException | None]:
    text = "\n".join(json.dumps(exchange.as_json(node)) for node in nodes)
    given = ["--nodes", "-", *(str(one) for one in arguments)]
    result = CliRunner().invoke(APP, given, input=text)
    return result.exit_code, result.stderr, result.exception


def test_the_command_prints_a_sheet_and_says_how_it_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "labels.pdf"
    code, said, _ = run("-o", out, "--start", 20, nodes=[lamp(1), lamp(2), lamp(3)])
    assert code == 0
    assert "3 labels L7160 on 2 sheets; the last one goes on with --start 2; QR modules of 0.85 mm" in said
    assert tr005.text_of(lamp(2)) in codes(pictures(out.read_bytes(), 300)[0])


def test_the_command_writes_pictures_and_notices(tmp_path: Path) -> None:
    odd = Node(Asset("../é x", "light"), "n", "0" * 16)
    for kind in ("png", "svg"):
        code, said, _ = run(
            "-o", tmp_path / kind, "--format", kind, "--notice", "--lang", "fr", nodes=[lamp(1), odd]
        )
        assert code == 0 and "notice-light.fr.pdf; who is responsible is left open in them: --facts" in said
        names = {path.name for path in (tmp_path / kind).iterdir()}
        assert names == {f"LAMP-0001.{kind}", f"___x.{kind}", "notice-light.fr.pdf"}
    assert not list(tmp_path.parent.glob("*.png"))


def test_the_command_takes_those_that_are_named(tmp_path: Path) -> None:
    fleet = [lamp(number) for number in range(1, 6)]
    code, said, _ = run("LAMP-0002", short.code(lamp(4)), "-o", tmp_path / "a.pdf", nodes=fleet)
    assert code == 0 and said.startswith("2 labels")
    _, _, error = run("LAMP-002", "-o", tmp_path / "b.pdf", nodes=fleet)
    assert isinstance(error, SettingError) and "did you mean LAMP-0002" in str(error)
    _, _, error = run("--site", "Center", "-o", tmp_path / "b.pdf", nodes=fleet)
    assert isinstance(error, SettingError) and "did you mean Centre" in str(error)
    assert not (tmp_path / "b.pdf").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--stock", "L99"], "stock: 'L99' is unknown"),
        (["--start", "0"], "start: 0 is no label"),
        (["--shift", "1"], "shift: '1' is not two lengths"),
        (["--shift", "nan,0"], "shift"),
        (["--profile-id", "xyz"], "profile_id"),
        (["--nodes", "/does/not/exist"], "No such file"),
        (["--notice", "--facts", "/does/not/exist"], "No such file"),
        (["--format", "png", "--dpi", "72", "--stock", "L4731"], "dpi: 72"),
    ],
)
def test_wrong_inputs_are_one_line_and_write_nothing(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    _, _, error = run("-o", tmp_path / "out", *arguments, nodes=[lamp()])
    assert isinstance(error, UserError) and reason in str(error) and "\n" not in str(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no node"),
        ("[]", "there is no node"),
        ("[{]", "-: is no JSON"),
        ('{"asset": "A", "kind": "light", "name": "A"}\nnope', "-, line 2: is no JSON"),
        ("[3]", "-, node 1: is no JSON object"),
        ('{"asset": "A", "kind": "light"}', "-, node 1: name is missing"),
        ('{"asset": "A", "kind": "light", "name": "A", "app_key": "00"}', "app_key"),
        ('{"asset": "A", "kind": "light", "name": "A", "latitude": "45"}', "latitude is no number"),
        ('{"asset": "A", "kind": "light", "name": "A", "dev_eui": "12"}', "dev_eui: '12' is no EUI"),
    ],
)
def test_nodes_that_are_none(tmp_path: Path, text: str, reason: str) -> None:
    result = CliRunner().invoke(APP, ["-o", str(tmp_path / "out"), "--nodes", "-"], input=text)
    assert isinstance(result.exception, UserError) and reason in str(result.exception)
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 2**16), st.sampled_from(["zone", None]), st.floats(-90, 90))
def test_nodes_come_back_as_they_went(number: int, profile: str | None, latitude: float) -> None:
    node = lamp(number, profile=profile, latitude=latitude, settings={"bays": 3})
    (back,) = exchange.parse(json.dumps(exchange.as_json(node)), "test")
    assert exchange.as_json(back) == exchange.as_json(node)


def test_a_key_never_stands_on_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = "00112233445566778899AABBCCDDEEF7"
    monkeypatch.setenv("BORNE_APP_KEY", planted)
    node = Node(
        Asset("LAMP-1", "light", settings={"app_key": planted, "mqtt_password": planted}), "L", "0" * 16
    )
    made = b""
    for arguments in (["-o", "a.pdf"], ["-o", "png", "--format", "png"], ["-o", "svg", "--format", "svg"]):
        code, said, _ = run("-o", tmp_path / arguments[1], *arguments[2:], nodes=[node])
        assert code == 0
        made += said.encode()
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        made += path.read_bytes() + str(path).encode()
    document = (tmp_path / "a.pdf").read_bytes()
    made += words(document).encode() + "".join(codes(pictures(document, 300)[0])).encode()
    assert b"LAMP-1" in made
    assert planted.encode() not in made.upper() and bytes.fromhex(planted) not in made
    _, _, error = run("-o", tmp_path / "x", "--notice", nodes=[node])
    assert isinstance(error, SettingError) and planted not in str(error)


def test_the_page_states_the_sizes_that_are_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "labels.md").read_text()
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([\d.]+) x ([\d.]+) \| ([\d.]+) \| (\w) \| (\d+) cm \|", page, re.M
    )
    told = {}
    for names, *figures in rows:
        for name in re.findall(r"[A-Z0-9-]{5,}", names):
            told[name] = figures
    assert set(told) == set(STOCKS)
    for name, stock in STOCKS.items():
        drawn = artwork.draw(lamp(), stock)
        count = str(stock.count) if stock.columns else "tape"
        figures = [count, f"{stock.width:.1f}", f"{stock.height:.1f}", f"{drawn.module:.2f}", drawn.error]
        assert told[name] == [*figures, f"{drawn.reach_mm / 10:.0f}"]
