"""Board files: chip, MicroPython image, and which pin does what. boards/README.md documents every name."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from borne.errors import BoardError
from borne.shipping import shipped


class Chip(NamedTuple):
    """What a chip's pads can do.

    Sources: ESP-IDF Programming Guide, "GPIO & RTC GPIO" of each chip; datasheets, sections "Strapping Pins"
    and "ADC". `bootloader` is the flash offset of the second-stage bootloader, `image_id` the chip id in an
    image's header (ESP-IDF esp_app_format.h, esp_chip_id_t).
    """

    title: str
    image_id: int
    bootloader: int
    pads: frozenset[int]
    input_only: frozenset[int]
    flash: frozenset[int]
    strapping: frozenset[int]
    console: frozenset[int]
    adc1: frozenset[int]
    rtc: frozenset[int]


def _pads(*spans: tuple[int, int]) -> frozenset[int]:
    return frozenset(pad for low, high in spans for pad in range(low, high + 1))


CHIPS: Final[Mapping[str, Chip]] = {
    "esp32": Chip(
        title="ESP32",
        image_id=0,
        bootloader=0x1000,
        pads=_pads((0, 19), (21, 23), (25, 27), (32, 39)),
        input_only=_pads((34, 39)),
        flash=_pads((6, 11)),
        strapping=frozenset({0, 2, 5, 12, 15}),
        console=frozenset({1, 3}),
        adc1=_pads((32, 39)),
        rtc=frozenset({0, 2, 4}) | _pads((12, 15), (25, 27), (32, 39)),
    ),
    "esp32s3": Chip(
        title="ESP32-S3",
        image_id=9,
        bootloader=0,
        pads=_pads((0, 21), (26, 48)),
        input_only=frozenset(),
        flash=_pads((26, 32)),
        strapping=frozenset({0, 3, 45, 46}),
        console=frozenset({19, 20, 43, 44}),
        adc1=_pads((1, 10)),
        rtc=_pads((0, 21)),
    ),
    "esp32c3": Chip(
        title="ESP32-C3",
        image_id=5,
        bootloader=0,
        pads=_pads((0, 21)),
        input_only=frozenset(),
        # 11 is the flash's supply (VDD_SPI), 12 to 17 are its lines.
        flash=_pads((11, 17)),
        strapping=frozenset({2, 8, 9}),
        console=_pads((18, 21)),
        adc1=_pads((0, 4)),
        # GPIO 0 to 5 could wake the chip, but MicroPython 1.25 has no call for it (ports/esp32/modesp32.c: ext0, ext1).
        rtc=frozenset(),
    ),
}

# What drives its pad; everything else only listens.
_OUTPUTS: Final = frozenset(
    {
        *("i2c_sda", "i2c_scl", "uart_tx", "led", "sensor_power", "dimmer", "battery_enable"),
        *("lora_sck", "lora_mosi", "lora_cs", "lora_reset", "lora_tcxo_enable"),
    }
)

Pad = Annotated[int, Field(ge=0, le=48)]
UsbId = Annotated[str, Field(pattern="^[0-9a-f]{4}:[0-9a-f]{4}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Pins(_Table):
    """GPIO number of each function; None where the board has it not wired."""

    i2c_sda: Pad | None = None
    i2c_scl: Pad | None = None
    uart_rx: Pad | None = None
    uart_tx: Pad | None = None
    pir: Pad | None = None
    dimmer: Pad | None = None
    battery_adc: Pad | None = None
    battery_enable: Pad | None = None
    led: Pad | None = None
    sensor_power: Pad | None = None
    lora_sck: Pad | None = None
    lora_miso: Pad | None = None
    lora_mosi: Pad | None = None
    lora_cs: Pad | None = None
    lora_reset: Pad | None = None
    lora_busy: Pad | None = None
    lora_dio0: Pad | None = None
    lora_dio1: Pad | None = None
    lora_dio2: Pad | None = None
    lora_tcxo_enable: Pad | None = None

    def wired(self) -> dict[str, int]:
        """Name to GPIO number of what the board has, in the order above."""
        return {name: pad for name, pad in self if pad is not None}


class Battery(_Table):
    """`divider`: cell voltage over the voltage at the ADC pad. `pmu`: the chip on the I2C bus that manages the power
    instead, measures the cell, and switches the radio's supply. `gauge`: the chip on that bus that only measures it.
    """

    divider: Annotated[float, Field(ge=1, le=20)] | None = None
    pmu: Annotated[str, Field(pattern="^axp192$")] | None = None
    gauge: Annotated[str, Field(pattern="^max17048$")] | None = None


class Radio(_Table):
    """The LoRa chip and what this board does differently with it.

    `tcxo_mv`: supply that the chip's DIO3 gives the TCXO (SX126x datasheet 13.3.6), None for a crystal.
    `dio2_switch`: DIO2 drives the antenna switch (SX126x datasheet 13.3.5).
    `mhz`: lowest and highest frequency that its antenna path is built for, None where nothing is known.
    `external`: it is no part of the board and is wired to it by whoever builds the node.
    """

    chip: Annotated[str, Field(pattern="^(sx1262|sx1276)$")]
    tcxo_mv: Annotated[int, Field(ge=1600, le=3300)] | None = None
    dio2_switch: bool = False
    mhz: Annotated[tuple[int, int], Field(strict=False)] | None = None
    external: bool = False


class Power(_Table):
    """What the board draws: `sleep_ua` in deep sleep, all of it; `awake_ma` with the CPU running and no radio on;
    `tx_ma` and `rx_ma` more while the LoRa chip sends (at +14 dBm) or listens.
    """

    sleep_ua: Annotated[float, Field(gt=0, strict=False)]
    awake_ma: Annotated[float, Field(gt=0, strict=False)]
    tx_ma: Annotated[float, Field(gt=0, strict=False)]
    rx_ma: Annotated[float, Field(gt=0, strict=False)]


class Board(_Table):
    """One board. `name` is the file's name without its ending."""

    name: str
    title: Annotated[str, Field(min_length=1)]
    chip: str
    flash_mb: Annotated[int, Field(ge=2, le=32)]
    image: Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")]
    image_variant: Annotated[str, Field(pattern=r"^[A-Z0-9_]+$")] | None = None
    image_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    image_date: Annotated[str, Field(pattern=r"^\d{8}$")]
    usb: Annotated[tuple[UsbId, ...], Field(strict=False)] = ()
    flash_pins: Annotated[tuple[int, ...], Field(strict=False)] | None = None
    sources: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    pins: Pins
    battery: Battery | None = None
    radio: Radio | None = None
    power: Power | None = None

    @property
    def silicon(self) -> Chip:
        return CHIPS[self.chip]

    @property
    def flash_bytes(self) -> int:
        return self.flash_mb << 20

    @property
    def image_file(self) -> str:
        """Name of the MicroPython image as the project publishes it."""
        variant = f"-{self.image_variant}" if self.image_variant else ""
        return f"{self.image}{variant}-{self.image_date}-v{self.image_version}.bin"

    @property
    def image_url(self) -> str:
        """Where the project publishes that image."""
        return f"https://micropython.org/resources/firmware/{self.image_file}"

    @property
    def image_page(self) -> str:
        return f"https://micropython.org/download/{self.image}/"

    @model_validator(mode="after")
    def _consistent(self) -> Board:
        # A ValueError here reaches the caller as a BoardError: see load.
        if self.chip not in CHIPS:
            raise ValueError(f"chip: {unknown(self.chip, CHIPS)}")
        taken: dict[int, str] = {}
        for name, pad in self.pins.wired().items():
            if pad in taken:
                raise ValueError(f"pins.{name}: GPIO {pad} is also {taken[pad]}")
            taken[pad] = name
            problem = self._pad_problem(name, pad)
            if problem:
                raise ValueError(f"pins.{name}: GPIO {pad} {problem}")
        divided = self.battery is not None and self.battery.divider is not None
        if (self.pins.battery_adc is not None) != divided:
            raise ValueError("battery.divider and pins.battery_adc belong together")
        if self.pins.battery_enable is not None and not divided:
            raise ValueError("pins.battery_enable: is of use with pins.battery_adc")
        for name in ("pmu", "gauge"):
            others = divided or (self.battery and self.battery.pmu and self.battery.gauge)
            if self.battery and getattr(self.battery, name) and (others or self.pins.i2c_sda is None):
                raise ValueError(f"battery.{name}: measures the cell itself, over pins.i2c_sda and i2c_scl")
        if (self.pins.lora_cs is None) != (self.radio is None):
            raise ValueError("radio.chip and pins.lora_cs belong together")
        for name in self._missing():
            raise ValueError(f"pins.{name}: is missing")
        return self

    def _missing(self) -> Iterator[str]:
        """Functions that others are of no use without."""
        wired = self.pins.wired()
        groups = [{"i2c_sda", "i2c_scl"}, {"uart_rx", "uart_tx"}]
        if self.radio is not None:
            busy = {"lora_busy"} if self.radio.chip.startswith("sx126") else set()
            groups.append({"lora_sck", "lora_miso", "lora_mosi", "lora_cs", "lora_reset"} | busy)
        for group in groups:
            if group & wired.keys():
                yield from sorted(group - wired.keys())

    def _pad_problem(self, name: str, pad: int) -> str | None:
        chip = self.silicon
        flash = chip.flash if self.flash_pins is None else frozenset(self.flash_pins)
        if pad not in chip.pads:
            return f"does not exist on an {chip.title}"
        if pad in flash:
            return "carries the flash or PSRAM"
        if pad in chip.console:
            return "is the console that flashing and provisioning need"
        if name in _OUTPUTS and pad in chip.input_only:
            return f"is input-only on an {chip.title}"
        if name == "battery_adc" and pad not in chip.adc1:
            return "is not on ADC1; ADC2 does not work beside Wi-Fi"
        if name == "pir" and pad not in chip.rtc:
            return "is no RTC pad and cannot wake the chip"
        return None

    def strapping(self) -> dict[str, int]:
        """Functions on strapping pads: allowed, but what is wired there must not pull the pad at reset."""
        return {name: pad for name, pad in self.pins.wired().items() if pad in self.silicon.strapping}

    def node_json(self) -> bytes:
        """board.json of the node: one flat object, names sorted, no name for what is not wired."""
        flat: dict[str, Any] = {"board": self.name, "chip": self.chip, **self.pins.wired()}
        if self.battery and self.battery.divider:
            flat["battery_divider"] = self.battery.divider
        elif self.battery and self.battery.pmu:
            flat["pmu"] = self.battery.pmu
        elif self.battery and self.battery.gauge:
            flat["gauge"] = self.battery.gauge
        if self.radio:
            flat["radio"] = self.radio.chip
            flat["radio_dio2_switch"] = self.radio.dio2_switch
            if self.radio.tcxo_mv is not None:
                flat["radio_tcxo_mv"] = self.radio.tcxo_mv
            if self.radio.mhz is not None:
                flat["radio_low_mhz"], flat["radio_high_mhz"] = self.radio.mhz
        return json.dumps(flat, sort_keys=True, separators=(",", ":")).encode()


def names() -> list[str]:
    """Names of the boards that come with borne, sorted."""
    return sorted(path.stem for path in shipped("boards").glob("*.toml"))


def load(name_or_path: str | Path) -> Board:
    """The board of this name, or out of one's own file when a path ending in .toml is given.

    Raises BoardError: unknown (with the nearest name), not readable, or at odds with itself.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = names()
        if str(name_or_path) not in known:
            said = unknown(str(name_or_path), known)
            raise BoardError(f"board {said}{'' if said.endswith('?') else ';'} `borne boards` lists them")
        path = shipped("boards") / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoardError(f"{path}: no TOML: {error}") from None
    return parse(path.stem, content)


def parse(name: str, content: Mapping[str, Any]) -> Board:
    """A board out of the content of its file. Raises BoardError that names the field."""
    if "name" in content:
        raise BoardError(f"board {name}: name: is the file's name and does not stand in it")
    try:
        return Board(name=name, **content)
    except ValidationError as error:
        raise BoardError(f"board {name}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        tables: dict[str, type[_Table]] = {"pins": Pins, "battery": Battery, "radio": Radio, "power": Power}
        table = tables.get(str(first["loc"][0]), Board)
        return f"{where}: {unknown(str(first['loc'][-1]), table.model_fields)}"
    if first["type"] == "missing":
        return f"{where}: is missing"
    reason = first["msg"].removeprefix("Value error, ")
    return f"{where}: {reason}" if where else reason


def unknown(given: str, known: Iterable[str]) -> str:
    """'X is unknown; did you mean Y?', or what there is where nothing is near."""
    choices = list(known)
    small = {choice.lower(): choice for choice in choices}
    near = [small[one] for one in difflib.get_close_matches(given.lower(), small, n=1, cutoff=0.5)]
    return f"{given!r} is unknown; " + (
        f"did you mean {near[0]!r}?" if near else f"there is: {', '.join(choices)}"
    )
