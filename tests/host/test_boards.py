from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from borne import boards, wiring
from borne.boards import BoardError

ROOT = Path(__file__).parents[2]
MINIMAL = {
    "title": "Test board",
    "chip": "esp32",
    "flash_mb": 4,
    "image": "ESP32_GENERIC",
    "image_version": "1.25.0",
    "image_date": "20250415",
    "sources": ["nowhere"],
    "pins": {"i2c_sda": 21, "i2c_scl": 22},
}


def refusal(**changes):
    content = {**MINIMAL, **changes}
    content["pins"] = {name: pad for name, pad in content["pins"].items() if pad is not ...}
    with pytest.raises(BoardError) as caught:
        boards.parse("mine", {name: value for name, value in content.items() if value is not ...})
    return str(caught.value)


@pytest.mark.parametrize("name", boards.names())
def test_every_board_file_is_consistent(name):
    board = boards.load(name)
    assert board.name == name
    few = {"m5stack-atom-sx1276": ["parking", "light"], "esp32-c3-devkitm": ["parking", "fill"]}
    few["esp32-c3-supermini"] = few["esp32-c3-devkitm"]
    assert wiring.kinds(board) == few.get(name, list(wiring.KINDS))


def test_the_boards_that_are_promised():
    assert boards.names() == [
        "esp32-c3-devkitm",
        "esp32-c3-supermini",
        "esp32-devkitc",
        "esp32-s3-devkitc",
        "feather-esp32s3-rfm95",
        "heltec-v2",
        "heltec-v21",
        "heltec-v3",
        "lilygo-t3-s3",
        "m5stack-atom-sx1276",
        "m5stack-coreink-sx1276",
        "ttgo-lora32-v21",
        "ttgo-t-beam-v11",
        "xiao-esp32s3-sx1262",
    ]


# Out of the files that the boards' own sources name, read a second time: chip, then SCK, MISO, MOSI, CS, RESET.
@pytest.mark.parametrize(
    ("name", "chip", "lines"),
    [
        ("ttgo-lora32-v21", "sx1276", (5, 19, 27, 18, 23)),
        ("ttgo-t-beam-v11", "sx1276", (5, 19, 27, 18, 23)),
        ("heltec-v2", "sx1276", (5, 19, 27, 18, 14)),
        ("heltec-v21", "sx1276", (5, 19, 27, 18, 14)),
        ("heltec-v3", "sx1262", (9, 11, 10, 8, 12)),
        ("lilygo-t3-s3", "sx1262", (5, 3, 6, 7, 8)),
        ("xiao-esp32s3-sx1262", "sx1262", (7, 8, 9, 41, 42)),
        ("m5stack-coreink-sx1276", "sx1276", (18, 34, 23, 14, 26)),
        ("feather-esp32s3-rfm95", "sx1276", (36, 37, 35, 10, 11)),
    ],
)
def test_radio_lines(name, chip, lines):
    board = boards.load(name)
    assert board.radio is not None
    assert board.radio.chip == chip
    names = ("lora_sck", "lora_miso", "lora_mosi", "lora_cs", "lora_reset")
    assert tuple(board.pins.wired()[line] for line in names) == lines
    assert ("lora_busy" in board.pins.wired()) == (chip == "sx1262")


@pytest.mark.parametrize("name", boards.names())
def test_no_board_uses_what_would_keep_it_from_starting(name):
    """Independent of the checks in boards.py: the pads that datasheets warn of, for each chip."""
    board = boards.load(name)
    used = board.pins.wired()
    flash = {"esp32": {6, 7, 8, 11}, "esp32s3": set(range(26, 33)), "esp32c3": set(range(11, 18))}[board.chip]
    console = {"esp32": {1, 3}, "esp32s3": {19, 20, 43, 44}, "esp32c3": {18, 19, 20, 21}}[board.chip]
    # Pads that choose boot mode or flash voltage, where a sensor's level at reset could brick the start.
    boot = {"esp32": {0, 2, 12}, "esp32s3": {0, 45, 46}, "esp32c3": {2, 8, 9}}[board.chip]
    assert not set(used.values()) & (flash | console | boot)
    assert len(set(used.values())) == len(used)


def test_the_c3_has_its_own_pads():
    c3 = {"chip": "esp32c3", "image": "ESP32_GENERIC_C3"}
    assert "GPIO 22 does not exist on an ESP32-C3" in refusal(**c3, pins={"led": 22})
    assert "GPIO 12 carries the flash" in refusal(**c3, pins={"led": 12})
    assert "GPIO 20 is the console" in refusal(**c3, pins={"led": 20})
    assert "GPIO 19 is the console" in refusal(**c3, pins={"led": 19})
    assert "GPIO 4 is no RTC pad and cannot wake" in refusal(**c3, pins={"pir": 4})
    assert "GPIO 5 is not on ADC1" in refusal(**c3, pins={"battery_adc": 5}, battery={"divider": 2.0})
    assert boards.CHIPS["esp32c3"].bootloader == 0
    assert boards.CHIPS["esp32c3"].image_id == 5


def test_functions_that_are_of_no_use_alone():
    assert "pins.i2c_scl: is missing" in refusal(pins={"i2c_sda": 21})
    assert "pins.uart_tx: is missing" in refusal(pins={"uart_rx": 21})
    radio = {"lora_sck": 5, "lora_miso": 19, "lora_mosi": 27, "lora_cs": 18, "lora_reset": 23}
    assert "pins.lora_busy: is missing" in refusal(pins=radio, radio={"chip": "sx1262"})
    assert "pins.lora_reset: is missing" in refusal(
        pins={**radio, "lora_reset": ...}, radio={"chip": "sx1276"}
    )
    assert "usb" in refusal(usb=["10C4:EA60"])


def test_a_variant_is_part_of_the_images_name():
    board = boards.load("lilygo-t3-s3")
    assert board.image_file == "ESP32_GENERIC_S3-FLASH_4M-20250415-v1.25.0.bin"
    assert board.image_url == "https://micropython.org/resources/firmware/" + board.image_file
    assert board.image_page == "https://micropython.org/download/ESP32_GENERIC_S3/"


def test_image_file_is_named_as_micropython_publishes_it():
    assert boards.load("esp32-devkitc").image_file == "ESP32_GENERIC-20250415-v1.25.0.bin"
    assert boards.load("esp32-s3-devkitc").image_page == "https://micropython.org/download/ESP32_GENERIC_S3/"


def test_unknown_board_suggests_the_nearest():
    with pytest.raises(BoardError, match="'esp32-devkit' is unknown; did you mean 'esp32-devkitc'"):
        boards.load("esp32-devkit")


def test_unknown_board_that_resembles_none_lists_all():
    with pytest.raises(BoardError) as caught:
        boards.load("qqqqqq")
    for name in boards.names():
        assert name in str(caught.value)


def test_own_file_by_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text((ROOT / "boards" / "esp32-devkitc.toml").read_text())
    assert boards.load(path).name == "mine"
    assert boards.load(str(path)).pins == boards.load("esp32-devkitc").pins


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"chip = ", "no TOML"), (b"\xff\xfe", "no TOML"), (b'name = "x"', "name")],
)
def test_own_file_that_cannot_be_read(tmp_path, content, says):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BoardError, match=says):
        boards.load(path)


def test_misspelt_names_suggest_the_nearest_in_each_table():
    assert "'titel' is unknown; did you mean 'title'" in refusal(titel="x")
    assert "'i2c_sdl' is unknown; did you mean 'i2c_s" in refusal(pins={"i2c_sdl": 21})
    assert "did you mean 'divider'" in refusal(
        pins={"battery_adc": 35}, battery={"divider": 2.0, "dividr": 1.0}
    )
    assert "did you mean 'tcxo_mv'" in refusal(pins={"lora_cs": 5}, radio={"chip": "sx1262", "tcxo": 1800})


def test_chip_is_unknown():
    assert "chip: 'esp32s2' is unknown; did you mean 'esp32s3'" in refusal(chip="esp32s2")


def test_missing_and_wrongly_typed_names_are_named():
    assert "flash_mb: is missing" in refusal(flash_mb=...)
    assert "flash_mb" in refusal(flash_mb="4")
    assert "pins.i2c_sda" in refusal(pins={"i2c_sda": "21"})
    assert "image_version" in refusal(image_version="latest")


@pytest.mark.parametrize(
    ("pins", "says"),
    [
        ({"i2c_sda": 21, "i2c_scl": 21}, "pins.i2c_scl: GPIO 21 is also i2c_sda"),
        ({"uart_tx": 34}, "pins.uart_tx: GPIO 34 is input-only"),
        ({"i2c_sda": 39, "i2c_scl": 22}, "GPIO 39 is input-only"),
        ({"led": 6}, "GPIO 6 carries the flash"),
        ({"uart_rx": 11}, "GPIO 11 carries the flash"),
        ({"led": 24}, "GPIO 24 does not exist on an ESP32"),
        ({"led": 1}, "is the console"),
        ({"battery_adc": 4}, "not on ADC1"),
        ({"pir": 5}, "no RTC pad"),
        ({"led": 99}, "pins.led"),
    ],
)
def test_pads_that_cannot_do_it(pins, says):
    battery = {"divider": 2.0} if "battery_adc" in pins else ...
    assert says in refusal(pins=pins, battery=battery)


def test_input_only_pads_may_be_inputs():
    board = boards.parse("mine", {**MINIMAL, "pins": {"uart_rx": 34, "uart_tx": 17, "pir": 36}})
    assert board.pins.wired() == {"uart_rx": 34, "uart_tx": 17, "pir": 36}


def test_flash_pins_of_a_package_replace_those_of_the_chip():
    assert "carries the flash" in refusal(flash_pins=[6, 7, 8, 11, 16, 17], pins={"uart_rx": 16})
    assert boards.parse("mine", {**MINIMAL, "flash_pins": [16, 17], "pins": {"led": 9}}).pins.led == 9


def test_halves_that_belong_together():
    assert "battery.divider and pins.battery_adc" in refusal(pins={"battery_adc": 35})
    assert "battery.divider and pins.battery_adc" in refusal(battery={"divider": 2.0})
    assert "radio.chip and pins.lora_cs" in refusal(pins={"lora_cs": 18})
    assert "pins.battery_enable: is of use with" in refusal(pins={"battery_enable": 5})
    assert "battery.gauge: measures the cell itself" in refusal(pins={}, battery={"gauge": "max17048"})


def test_a_board_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        boards.load("esp32-devkitc").chip = "esp32s3"


def test_node_json_is_flat_and_holds_only_what_is_wired():
    board = boards.load("ttgo-lora32-v21")
    flat = json.loads(board.node_json())
    assert flat["board"] == "ttgo-lora32-v21"
    assert flat["chip"] == "esp32"
    assert flat["i2c_sda"] == 21
    assert flat["battery_divider"] == 2.0
    assert flat["radio"] == "sx1276"
    assert "lora_busy" not in flat
    assert not any(isinstance(value, dict | list) for value in flat.values())
    assert board.node_json() == boards.load("ttgo-lora32-v21").node_json()


def test_readme_documents_every_name_and_every_strapping_pad_in_use():
    readme = (ROOT / "boards" / "README.md").read_text()
    documented = set(re.findall(r"`(\w+)`", readme))
    for model in (boards.Board, boards.Pins, boards.Battery, boards.Radio, boards.Power):
        assert set(model.model_fields) - {"name", "pins", "battery", "radio", "power"} <= documented
    for name in boards.names():
        for function, pad in boards.load(name).strapping().items():
            assert f"| {name} | `{function}` | {pad} |" in readme


def test_readme_shows_the_node_json_that_is_made():
    readme = (ROOT / "boards" / "README.md").read_text()
    shown = re.search(r"```json\n(.*?)\n```", readme, re.DOTALL)
    assert shown is not None
    assert shown[1].encode() == boards.load("esp32-devkitc").node_json()


def test_every_file_cites_its_sources():
    for path in (ROOT / "boards").glob("*.toml"):
        assert tomllib.loads(path.read_text())["sources"]
