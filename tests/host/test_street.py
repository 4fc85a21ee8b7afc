"""The street's bookkeeping: what is counted, compared with the truth, and shown. The play itself is a journey."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from borne import boards
from borne.decoding import SUPPRESSED, encode
from borne.decoding.listen import Heard, hear
from borne.errors import BoardError, UserError
from borne.virtual import street, world
from borne.virtual.silicon import Bus
from borne.virtual.street import Ended, Event, Passed, Progress, Radio, Ready, Reported, Summary, nodes
from borne.virtual.street.picture import Picture, words
from borne.virtual.street.summary import Tally, noise_error
from borne.virtual.world import START, Asset, Container, LampPost, ParkingRow
from borne_node import settings as node_settings
from borne_node.privacy import policy
from borne_node.report import schema

SEED = 7
DAY = 86_400
HOUR = 3_600
PARKING, LIGHT, FILL = world.assets(SEED, 3)
assert isinstance(PARKING, ParkingRow)
assert isinstance(LIGHT, LampPost)
assert isinstance(FILL, Container)


def tally(asset: Asset, end: int = START + DAY, **changes: object) -> Tally:
    given = nodes.settings(asset, "127.0.0.1", 1883) | changes
    return Tally(asset, node_settings.validate(given), START, end)


def heard(asset: Asset, port: int, start: int, values: tuple[object, ...]) -> Heard:
    window = start // schema.row(port)[1] % (1 << schema.row(port)[2])
    return hear(f"borne/v1/{asset.name}/up/{port}", encode(port, window, values))


# settings and chips


@pytest.mark.parametrize("asset", world.assets(SEED, 30), ids=lambda asset: asset.name)
def test_the_settings_of_every_asset_are_valid(asset: Asset) -> None:
    complete = node_settings.validate(nodes.settings(asset, "127.0.0.1", 1883))
    assert complete["kind"] == asset.kind
    assert complete["mqtt_user"] == complete["name"] == asset.name


def test_a_row_of_bays_hangs_behind_a_switch() -> None:
    board = boards.load("esp32-devkitc")
    chips = nodes.wiring(SEED, PARKING, board, START).i2c[0]
    assert Bus(chips).scan(START * 1_000_000) == [0x70]
    one = ParkingRow(SEED, "parking-01", "", 1)
    assert Bus(nodes.wiring(SEED, one, board, START).i2c[0]).scan(START * 1_000_000) == [0x0D]


def test_the_presence_sensor_shows_the_triggers_of_the_street() -> None:
    pin = boards.load("esp32-devkitc").pins.pir
    assert pin is not None
    source = nodes.wiring(SEED, LIGHT, boards.load("esp32-devkitc"), START).pins[pin]
    now, end, rises = START * 1_000_000, (START + DAY) * 1_000_000, []
    while (edge := source.next_edge(now)) is not None and edge < end:
        if source.level(edge):
            rises.append(edge / 1_000_000)
        now = edge
    assert rises == pytest.approx(LIGHT.triggers(START, START + DAY), abs=0.001)


def test_the_ranger_measures_the_container() -> None:
    chip = nodes.wiring(SEED, FILL, boards.load("esp32-devkitc"), START).uart[1]
    chip.output(START * 1_000_000)
    frames = chip.output((START + 2) * 1_000_000)
    assert frames[0] == 0xFF
    assert abs((frames[1] << 8 | frames[2]) - FILL.distance(START + 0.3)) < 25


def test_a_board_without_the_pin_makes_no_light_node() -> None:
    board = boards.load("esp32-devkitc")
    bare = board.model_copy(update={"pins": board.pins.model_copy(update={"pir": None})})
    with pytest.raises(BoardError, match="presence"):
        nodes.wiring(SEED, LIGHT, bare, START)


def test_addresses_are_local_and_differ() -> None:
    macs = {nodes.mac(SEED, asset) for asset in world.assets(SEED, 50)}
    assert len(macs) == 50
    assert all(mac[0] == 0x02 and len(mac) == 6 for mac in macs)


# the summary


def test_the_mean_of_the_noise_is_that_of_the_law() -> None:
    """Against the sum of the series, for epsilon 1 and the sensitivities 1 and 2."""
    for kind, profile, p in (("parking", "zone", 2.718281828**-1), ("light", "light", 2.718281828**-0.5)):
        weights = [(abs(k), p ** abs(k)) for k in range(-200, 201)]
        expected = sum(k * weight for k, weight in weights) / sum(weight for _, weight in weights)
        assert noise_error(policy.row(kind, profile)) == pytest.approx(expected, rel=1e-6)


def test_true_counts_have_no_error() -> None:
    book = tally(PARKING)
    for start in range(START, START + DAY, 900):
        count = PARKING.mean_count(start, start + 900)
        if count == int(count):
            book.add(start + 960, heard(PARKING, 10, start, (int(count), 8)))
    (measure,) = book.line().measures
    assert len(measure.pairs) > 20
    assert measure.error == pytest.approx(0, abs=1e-9)


def test_a_wrong_count_is_off_by_what_it_is_wrong() -> None:
    book = tally(PARKING)
    quiet = next(
        start for start in range(START, START + DAY, 900) if PARKING.mean_count(start, start + 900) == 0
    )
    book.add(quiet + 960, heard(PARKING, 10, quiet, (3, 8)))
    (measure,) = book.line().measures
    assert measure.error == 3


def test_what_was_withheld_is_counted_and_not_compared() -> None:
    book = tally(PARKING)
    book.add(START + 960, heard(PARKING, 10, START, (SUPPRESSED, None)))
    book.add(START + 1860, heard(PARKING, 10, START + 900, (None, 0)))
    (measure,) = book.line().measures
    assert (measure.pairs, measure.suppressed, measure.unknown, measure.error) == ((), 1, 1, None)


def test_a_report_that_comes_twice_counts_once() -> None:
    book = tally(PARKING)
    for received in (960, 1860):
        book.add(START + received, heard(PARKING, 10, START, (2, 8)))
    line = book.line()
    assert len(line.measures[0].pairs) == 1
    assert (line.frames, line.bytes) == (2, 6)


def test_faults_health_and_rubbish_are_told_apart() -> None:
    book = tally(FILL)
    book.add(START + 9, hear(f"borne/v1/{FILL.name}/up/30", b"\0"))
    book.add(START + 9, heard(FILL, 2, START, ("fill", None, "no answer")))
    line = book.line()
    assert (line.frames, line.undecodable, line.faults) == (2, 1, 1)


def test_only_windows_that_lie_in_the_run_as_a_whole_are_counted() -> None:
    # The run starts at 3h UTC: blocks of 4 h begin at 4, 8, 12, 16 and 20h, the last ends at midnight.
    assert tally(FILL).line().windows == 5
    # 16 hours of day, and the night from 22h to 6h, which ends after the run.
    assert tally(LIGHT).line().windows == 16
    assert tally(PARKING).line().windows == 95


def test_quarters_of_four_hours_are_compared_in_points() -> None:
    book = tally(PARKING, profile="bay", bays=2)
    start = START - START % (4 * HOUR)
    book.asset = ParkingRow(SEED, PARKING.name, "", 2)
    book.add(
        start + 4 * HOUR + 60, heard(PARKING, 11, start, (4, SUPPRESSED, None, None, None, None, None, None))
    )
    (measure,) = book.line().measures
    # Swept, and empty for most of it: told to be full.
    truth = 100 * book.asset.occupied_share(0, start, start + 4 * HOUR)
    assert truth < 75 and measure.suppressed == 1
    assert abs(measure.error - (100 - truth)) < 0.01


def test_light_is_compared_with_what_an_ideal_node_counts() -> None:
    start = START + 9 * HOUR
    book = tally(LIGHT)
    count = LIGHT.presences(start, start + HOUR, 30)
    book.add(start + HOUR + 9, heard(LIGHT, 20, start, (count + 2, 10, None, None, None)))
    presence, lux = book.line().measures
    assert (presence.error, presence.released_total, presence.true_total) == (2, count + 2, count)
    assert lux.error is not None


@pytest.mark.parametrize(("hour", "number", "error"), [(9, 10, 0), (9, 3, 6), (20, 2, 0)])
def test_a_class_of_light_is_right_when_it_occurred_in_the_window(hour: int, number: int, error: int) -> None:
    start = START + hour * HOUR
    book = tally(LIGHT)
    book.add(start + HOUR + 9, heard(LIGHT, 20, start, (SUPPRESSED, number, None, None, None)))
    assert book.line().measures[1].error == pytest.approx(error, abs=1)


def test_a_level_in_steps_is_off_by_less_than_half_a_step() -> None:
    book = tally(FILL)
    for start in range(START + HOUR, START + 21 * HOUR, 4 * HOUR):
        levels = sorted(FILL.level(t) for t in range(start, start + 4 * HOUR, HOUR))
        book.add(start + 4 * HOUR + 60, heard(FILL, 94, start, (round(levels[1] / 5) * 5, 12, None, None, 3)))
    (measure,) = book.line().measures
    assert len(measure.pairs) == 5
    assert measure.error is not None
    assert measure.error <= 2.5


# the picture


def some_events() -> Iterator[Event]:
    rng = random.Random(1)
    for asset in (PARKING, LIGHT, FILL):
        yield Progress(asset.name, "flash", 0.4)
    for asset in (PARKING, LIGHT, FILL):
        yield Ready(asset, "ESP32-D0WDQ6", "02:00:00:00:00:01", 3_764_288, "0.1.0", "fb578d02")
    books = {asset.name: tally(asset) for asset in (PARKING, LIGHT, FILL)}

    def reported(asset: Asset, port: int, start: int, received: int, *values: object) -> Reported:
        message = heard(asset, port, start, values)
        books[asset.name].add(received, message)
        return Reported(asset, received, message)

    for start in range(START, START + DAY, HOUR):
        yield reported(PARKING, 10, start, start + 960, rng.randrange(9), 8)
        yield reported(LIGHT, 20, start, start + HOUR, SUPPRESSED, 10, None, None, None)
        yield reported(FILL, 94, start, start + HOUR, 35, 12, None, None, 3)
        yield Passed(start + HOUR)
    yield Reported(FILL, START + DAY, hear(f"borne/v1/{FILL.name}/up/99", b"\0"))
    yield Ended(Summary(SEED, 1.0, tuple(book.line() for book in books.values())))


def shown(width: int, events: Iterator[Event], count: int | None = None, rows: int = 3) -> str:
    picture = Picture(world.assets(SEED, rows), 1)
    for number, _ in enumerate(picture.watch(events), 1):
        if number == count:
            break
    console = Console(width=width, height=24, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(picture)
    return captured.get()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("count", [3, 6, 40, None])
def test_the_picture_fits_its_terminal(width: int, count: int | None) -> None:
    text = shown(width, some_events(), count)
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text  # nothing is cut off
    assert all(asset.name in text for asset in (PARKING, LIGHT, FILL))


def test_the_picture_marks_what_the_gate_did() -> None:
    text = shown(120, some_events(), 60)
    assert "occupied ~" in text
    assert "presence suppressed" in text
    assert "level ≈35 %" in text
    assert "lamp" not in text  # nothing measures it yet


def test_a_long_street_is_cut_to_the_terminal_until_it_ends() -> None:
    assert "and 32 more" in shown(80, iter(()), rows=50)


def test_the_words_are_plain_and_complete() -> None:
    *_, ended = some_events()
    assert isinstance(ended, Ended)
    text = "\n".join(words(ended.summary))
    assert text.isascii()
    assert all(asset.name in text for asset in (PARKING, LIGHT, FILL))
    assert "epsilon 1 per vehicle and window" in text
    assert "24 suppressed" in text


def test_the_hash_of_the_settings_is_compared_and_not_printed() -> None:
    picture = Picture(world.assets(SEED, 3), 1)
    health = (3900, 20, "power on", 0, 1, 0, "00112233", "fb578d02", 0)
    right = Reported(FILL, START, hear(f"borne/v1/{FILL.name}/up/1", encode(1, None, health)))
    wrong = Reported(PARKING, START, hear(f"borne/v1/{PARKING.name}/up/1", encode(1, None, health)))
    for _ in picture.watch(some_events()):
        pass
    ready = Ready(PARKING, "", "", 0, "", "00000000")
    assert list(picture.watch([ready])) == [ready]
    assert "settings as provisioned" in str(picture.line(right))
    assert "settings not as provisioned" in str(picture.line(wrong))
    assert "fb578d02" not in str(picture.line(right))


def test_lines_for_a_pipe() -> None:
    picture = Picture(world.assets(SEED, 3), 1)
    lines = [line for event in picture.watch(some_events()) if (line := picture.line(event)) is not None]
    assert lines[0].startswith(
        "parking-01  ESP32-D0WDQ6, MAC 02:00:00:00:00:01: 3764288 bytes flashed and verified"
    )
    assert lines[3].startswith("Mon 2027-03-15 03:16  parking-01  parking zone  occupied ~")
    assert "not decoded: port 99" in lines[-2]
    assert picture.opening(SEED) == "street of 3 nodes, seed 7, 1 day from Mon 2027-03-15 03:00 UTC"


def test_the_svg_is_the_same_twice(tmp_path: Path) -> None:
    files = []
    for name in ("one.svg", "two.svg"):
        picture = Picture(world.assets(SEED, 3), 1)
        for _ in picture.watch(some_events()):
            pass
        picture.save(tmp_path / name)
        files.append((tmp_path / name).read_text())
    assert files[0] == files[1]
    assert "borne&#160;street" in files[0]


def test_an_svg_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="svg: .*nowhere"):
        Picture(world.assets(SEED, 3), 1).save(tmp_path / "nowhere" / "x.svg")


# refusals


@pytest.mark.parametrize(
    ("days", "count", "words"),
    [
        (1, 0, "nodes: 0"),
        (1, 51, "nodes: 51"),
        (0, 3, "days: 0"),
        (-1, 3, "days: -1"),
        (1e9, 3, "days"),
        (float("nan"), 3, "days"),
    ],
)
def test_what_cannot_be_played_is_refused(days: float, count: int, words: str) -> None:
    with pytest.raises(UserError, match=words):
        next(street.play(SEED, days, count))


def test_a_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    with pytest.raises(UserError, match="not empty"):
        next(street.play(folder=tmp_path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps("x"))
    with pytest.raises(UserError, match="keep"):
        next(street.play(folder=path))


# LoRaWAN


def test_all_report_by_lorawan_but_the_first_lamp() -> None:
    assets = world.assets(SEED, 6)
    by_link = street.links(assets)
    assert by_link["light-02"] == "wifi"
    assert {by_link[asset.name] for asset in assets if asset.name != "light-02"} == {"lorawan"}
    assert set(street.links(assets, "wifi").values()) == {"wifi"}
    assert set(street.links(assets, "lorawan").values()) == {"lorawan"}
    assert street.links(assets[:1]) == {"parking-01": "lorawan"}
    with pytest.raises(UserError, match="link: 'zigbee' is unknown"):
        street.links(assets, "zigbee")


def test_without_a_network_server_all_report_by_wifi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pamoja", None)
    monkeypatch.setitem(sys.modules, "pamoja._native", None)
    monkeypatch.delitem(sys.modules, "borne.virtual.air.server", raising=False)
    monkeypatch.delitem(sys.modules, "borne.virtual.air.session", raising=False)
    street.is_available.cache_clear()
    try:
        assert set(street.links(world.assets(SEED, 3)).values()) == {"wifi"}
        with pytest.raises(UserError, match="link: LoRaWAN needs pamoja-gateway"):
            street.links(world.assets(SEED, 3), "lorawan")
    finally:
        street.is_available.cache_clear()


@pytest.mark.parametrize("asset", world.assets(SEED, 3), ids=lambda asset: asset.name)
def test_the_radio_settings_of_every_kind_are_valid(asset: Asset) -> None:
    eui = nodes.dev_eui(SEED, asset)
    complete = node_settings.validate(nodes.radio_settings(asset, eui))
    assert complete["dev_eui"] == eui and int(eui[:2], 16) & 3 == 2


def test_the_radio_hangs_on_the_pins_of_its_board() -> None:
    board = boards.load("ttgo-lora32-v21")
    chip = nodes.radio(board)
    wiring = nodes.with_radio(nodes.wiring(SEED, PARKING, board, START), board, chip)
    assert wiring.spi == {1: {18: chip}}
    assert list(wiring.outputs) == [23] and wiring.i2c
    with pytest.raises(BoardError, match="has no LoRa radio"):
        nodes.radio(boards.load("esp32-devkitc"))


def test_the_picture_shows_the_air() -> None:
    radio = Radio(sf=9, snr=1.5, frames=100, heard=97, joins=2, airtime_s=12.34, duty=0.042)
    one = Reported(PARKING, START, heard(PARKING, 10, START, (2, 8)), radio)
    for width in (80, 120):
        text = shown(width, iter([one]), rows=3)
        assert all(part in text for part in ("SF9", "12.3", "4.2%")), width
    assert (Picture(world.assets(SEED, 3), 1).line(one) or "").endswith("3 B, SF9")
    line = replace(tally(PARKING).line(), radio=radio)
    told = "\n".join(words(Summary(SEED, 2.0, (line,), ("parking-01: 40 s of an hour",))))
    assert "joined 2 times, 97 of 100 frames heard, SF9 in the end, 6.2 s of airtime a day" in told
    assert "fullest hour 4.2% of the law's limit" in told
    assert "against the law: parking-01: 40 s of an hour" in told
