"""What is wired to a board to make a node of it: which pin of which part goes to which pin of the board."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from borne.boards import Board, unknown
from borne.errors import BoardError
from borne_node import sensors


class Part(NamedTuple):
    """`pins`: what is printed at the part's pin -> function of the board file, or "3V3", "5V", "GND"."""

    name: str
    title: str
    pins: Mapping[str, str]
    note: str = ""


class Wire(NamedTuple):
    """One row: `gpio` is None for the supply. `hint` is what to mind at that pad."""

    part: str
    pin: str
    function: str
    gpio: int | None
    hint: str = ""


_SUPPLIES: Final = ("3V3", "5V", "GND")
_POWER: Final = {"VCC": "3V3", "GND": "GND"}
_FIVE: Final = {"VCC": "5V", "GND": "GND"}
_I2C: Final = {"SDA": "i2c_sda", "SCL": "i2c_scl"}
_UART: Final = {"TX": "uart_rx", "RX": "uart_tx"}
_PULSE: Final = {"TRIG": "uart_tx", "ECHO": "uart_rx"}
# Sources: pin descriptions, supplies and I2C addresses in the datasheets of QMC5883L, MMC5603NJ, TCA9548A (Texas
# Instruments SCPS207), VEML7700 (Vishay 84286), BH1750FVI, INA226 (SBOS547), LIS3DH, VL53L1X, MB7389 (MaxBotix, HRXL
# MaxSonar WR), HC-SR04, JSN-SR04T, HLK-LD2410, PZEM-004T V3.0 and DFRobot SEN0311 (A02YYUW); HC-SR501 and AM312 name
# their pins alike.
PARTS: Final[Mapping[str, Part]] = {
    part.name: part
    for part in (
        Part("qmc5883l", "QMC5883L magnetometer", {**_POWER, **_I2C}, "I2C address 0x0D"),
        Part(
            "tca9548a", "TCA9548A multiplexer", {**_POWER, **_I2C}, "I2C address 0x70; from the second bay on"
        ),
        Part("veml7700", "VEML7700 light sensor", {**_POWER, **_I2C}, "I2C address 0x10"),
        Part("pir", "presence sensor", {**_POWER, "OUT": "pir"}, "high, 3.3 V, while it sees somebody"),
        Part("a02yyuw", "A02YYUW distance sensor", {**_POWER, **_UART}, "TX and RX are crossed"),
        Part("mmc5603", "MMC5603 magnetometer", {**_POWER, **_I2C}, "I2C address 0x30"),
        Part("hc_sr04", "HC-SR04 distance sensor", {**_FIVE, **_PULSE}, "ECHO has 5 V: divide it to 3.3 V"),
        Part("jsn_sr04t", "JSN-SR04T distance sensor", {**_POWER, **_PULSE}, "mode 0: no resistor at R27"),
        Part(
            "mb7389",
            "MB7389 distance sensor",
            {"V+": "3V3", "GND": "GND", "5": "uart_rx"},
            "its pin 5 is the serial output",
        ),
        Part("vl53l1x", "VL53L1X distance sensor", {**_POWER, **_I2C}, "I2C address 0x29"),
        Part("bh1750", "BH1750 light sensor", {**_POWER, **_I2C}, "I2C address 0x23: ADDR to GND"),
        Part(
            "ld2410",
            "LD2410 presence radar",
            {**_FIVE, **_UART, "OUT": "pir"},
            "TX and RX are crossed; all its outputs have 3.3 V",
        ),
        Part(
            "ina226",
            "INA226 power meter",
            {**_POWER, **_I2C},
            "I2C address 0x40; its shunt in the lamp's supply",
        ),
        Part(
            "pzem004t",
            "PZEM-004T power meter",
            {**_FIVE, **_UART},
            "TX and RX are crossed; mains: for a qualified electrician",
        ),
        Part("lis3dh", "LIS3DH accelerometer", {**_POWER, **_I2C}, "I2C address 0x18: SDO to GND"),
    )
}
_NO_CHIP: Final = "none"

# The firmware carries no annotations (MicroPython parses and drops them at a price); here are its types.
_choices: Callable[[str, str], tuple[str, ...]] = sensors.choices


def parts(kind: str, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """What a node of this kind is built of: of each of its settings that name a sensor, the one that is among
    `chosen`, or else the default. Raises BoardError: no such kind, or a sensor that it cannot have.
    """
    if kind not in sensors.SLOTS:
        raise BoardError(f"kind: {unknown(kind, sensors.SLOTS)}")
    choices = [_choices(kind, setting) for setting, _, _ in sensors.SLOTS[kind]]
    able = [name for names in choices for name in names if name != _NO_CHIP]
    for name in chosen:
        if name not in able:
            raise BoardError(f"sensor: for a {kind} node {unknown(name, able)}")
    names = [next((name for name in chosen if name in of), of[0]) for of in choices]
    switch = ["tca9548a"] if kind == "parking" and "i2c_sda" in PARTS[names[0]].pins.values() else []
    return tuple(name for name in [*names, *switch] if name != _NO_CHIP)


KINDS: Final[Mapping[str, tuple[str, ...]]] = {kind: parts(kind) for kind in sensors.SLOTS}
_RADIO: Final = {
    "SCK": "lora_sck",
    "MISO": "lora_miso",
    "MOSI": "lora_mosi",
    "NSS": "lora_cs",
    "RESET": "lora_reset",
    "BUSY": "lora_busy",
    "DIO0": "lora_dio0",
    "DIO1": "lora_dio1",
    "DIO2": "lora_dio2",
}


def kinds(board: Board) -> list[str]:
    """The kinds of node that this board has the pins for."""
    wired = board.pins.wired()
    return [kind for kind in KINDS if lacking(wired, kind) is None]


def chosen(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The sensors that a node's settings name."""
    slots = sensors.SLOTS[settings["kind"]]
    return tuple(
        settings[setting] for setting, _, _ in slots if settings.get(setting) not in (None, _NO_CHIP)
    )


def lacking(wired: Collection[str], kind: str, given: Sequence[str] = ()) -> str | None:
    """What a board with these functions lacks to be such a node, None where it lacks nothing. Raises BoardError."""
    for name in parts(kind, given):
        for function in _functions(PARTS[name]):
            if function not in wired:
                return f"has no {function} for the {PARTS[name].title}"
    return None


def check(board: Board, settings: Mapping[str, Any]) -> None:
    """Raises BoardError where the board cannot be the node of these settings."""
    problem = lacking(board.pins.wired(), settings["kind"], chosen(settings))
    if problem:
        able = ", ".join(kinds(board)) or "none"
        raise BoardError(f"board {board.name} {problem}; kinds that it has the pins for: {able}")


def of_kind(board: Board, kind: str, chosen: Sequence[str] = ()) -> list[Wire]:
    """Every wire of a node of this kind, with these sensors in place of the default ones. Raises BoardError."""
    return of_parts(board, parts(kind, chosen))


def of_parts(board: Board, names: tuple[str, ...]) -> list[Wire]:
    """Every wire of these parts, by their names in PARTS. Raises BoardError."""
    wires: list[Wire] = []
    for name in names:
        if name not in PARTS:
            raise BoardError(f"sensor: {unknown(name, PARTS)}")
        wires += _wires(board, PARTS[name])
    return wires


def of_radio(board: Board) -> list[Wire]:
    """The wires of a radio that is no part of the board; none where it is."""
    if board.radio is None or not board.radio.external:
        return []
    wired = board.pins.wired()
    pins = {**_POWER, **{pin: function for pin, function in _RADIO.items() if function in wired}}
    return _wires(board, Part(board.radio.chip, f"{board.radio.chip.upper()} radio", pins))


def _functions(part: Part) -> Iterator[str]:
    return (function for function in part.pins.values() if function not in _SUPPLIES)


def _wires(board: Board, part: Part) -> list[Wire]:
    wired = board.pins.wired()
    for function in _functions(part):
        if function not in wired:
            able = ", ".join(kinds(board)) or "none"
            raise BoardError(
                f"board {board.name} has no {function} for the {part.title}; kinds that it has the pins for: {able}"
            )
    return [
        Wire(part.title, pin, function, wired.get(function), _hint(board, function))
        for pin, function in part.pins.items()
    ]


def _hint(board: Board, function: str) -> str:
    pad = board.pins.wired().get(function)
    if function == "3V3" and board.pins.sensor_power is not None:
        return f"or the supply that GPIO {board.pins.sensor_power} switches"
    if pad is None:
        return ""
    if pad in board.silicon.strapping:
        return "read at reset: nothing may pull it the other way then"
    return "input-only" if pad in board.silicon.input_only else ""


def notes(names: tuple[str, ...]) -> list[str]:
    """What else to know of these parts, one line each."""
    return [f"{PARTS[name].title}: {PARTS[name].note}" for name in names if PARTS[name].note]
