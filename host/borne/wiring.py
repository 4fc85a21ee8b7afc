"""What is wired to a board to make a node of it: which pin of which part goes to which pin of the board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from borne.boards import Board, unknown
from borne.errors import BoardError


class Part(NamedTuple):
    """`pins`: what is printed at the part's pin -> function of the board file, or "3V3", "GND"."""

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


_POWER: Final = {"VCC": "3V3", "GND": "GND"}
_I2C: Final = {"SDA": "i2c_sda", "SCL": "i2c_scl"}
# Sources: pin descriptions and I2C addresses in the datasheets of QMC5883L, TCA9548A (Texas Instruments SCPS207),
# VEML7700 (Vishay 84286) and DFRobot SEN0311 (A02YYUW); HC-SR501 and AM312 name their pins alike.
PARTS: Final[Mapping[str, Part]] = {
    part.name: part
    for part in (
        Part("qmc5883l", "QMC5883L magnetometer", {**_POWER, **_I2C}, "I2C address 0x0D"),
        Part(
            "tca9548a", "TCA9548A multiplexer", {**_POWER, **_I2C}, "I2C address 0x70; from the second bay on"
        ),
        Part("veml7700", "VEML7700 light sensor", {**_POWER, **_I2C}, "I2C address 0x10"),
        Part("pir", "presence sensor", {**_POWER, "OUT": "pir"}, "high, 3.3 V, while it sees somebody"),
        Part("a02yyuw", "A02YYUW distance sensor", {**_POWER, "TX": "uart_rx", "RX": "uart_tx"}, "crossed"),
    )
}
# What the firmware's sensors of each kind read (borne_node.sense).
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "parking": ("qmc5883l", "tca9548a"),
    "light": ("veml7700", "pir"),
    "fill": ("a02yyuw",),
}
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
    return [
        kind
        for kind, names in KINDS.items()
        if all(function in wired for name in names for function in _functions(PARTS[name]))
    ]


def of_kind(board: Board, kind: str) -> list[Wire]:
    """Every wire of a node of this kind. Raises BoardError: no such kind, or the board lacks a pin."""
    if kind not in KINDS:
        raise BoardError(f"kind: {unknown(kind, KINDS)}")
    return of_parts(board, KINDS[kind])


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
    return (function for function in part.pins.values() if function not in _POWER.values())


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
