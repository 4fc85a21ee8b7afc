"""What becomes of an asset: its board's silicon, its settings, its secrets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from borne.boards import Board
from borne.errors import BoardError
from borne.virtual.silicon import I2cChip
from borne.virtual.silicon.a02yyuw import A02YYUW
from borne.virtual.silicon.axp192 import AXP192
from borne.virtual.silicon.hc_sr04 import HCSR04
from borne.virtual.silicon.jsn_sr04t import JSNSR04T
from borne.virtual.silicon.lora_air import Transceiver
from borne.virtual.silicon.max17048 import MAX17048
from borne.virtual.silicon.mb7389 import MB7389
from borne.virtual.silicon.pir import Pir
from borne.virtual.silicon.qmc5883l import QMC5883L
from borne.virtual.silicon.sx126x import SX126x
from borne.virtual.silicon.sx127x import SX127x
from borne.virtual.silicon.tca9548a import TCA9548A
from borne.virtual.silicon.veml7700 import VEML7700
from borne.virtual.wiring import Wiring
from borne.virtual.world import Asset, Container, LampPost, ParkingRow
from borne.virtual.world.chance import dice
from borne.virtual.world.container import AIR_C
from borne.virtual.world.light import HOLD_S

SSID = "rue-des-Lilas"
# What borne_node/hardware.py opens.
_I2C, _UART, _SPI = 0, 1, 1
# A lithium cell in the middle of its life; it does not run down within days.
_CELL_V = 3.9


_PULSED = {"hc_sr04": HCSR04, "jsn_sr04t": JSNSR04T}


def number_of(seed: int, asset: Asset, what: str) -> int:
    """A seed of 31 bits for one part of an asset."""
    return dice(seed, asset.name, what).getrandbits(31)


def mac(seed: int, asset: Asset) -> bytes:
    """Six bytes, locally administered (IEEE 802-2014, 8.2.2), so that no maker's address is used."""
    return bytes([0x02]) + dice(seed, asset.name, "mac").randbytes(5)


def wiring(seed: int, asset: Asset, board: Board, start: int) -> Wiring:
    """The chips of an asset's board from `start` on, fed by the street. Raises BoardError: a pin is missing."""
    made = _sensors(seed, asset, board, start)
    if board.battery is None or not (board.battery.pmu or board.battery.gauge):
        return made
    meter = AXP192 if board.battery.pmu else MAX17048
    return replace(made, i2c={_I2C: [*made.i2c.get(_I2C, ()), meter(lambda t: _CELL_V)]})


def _sensors(seed: int, asset: Asset, board: Board, start: int) -> Wiring:
    noise = partial(number_of, seed, asset)
    adc: dict[int, Callable[[float], float]] = {}
    if board.pins.battery_adc is not None and board.battery is not None:
        tap = _CELL_V / (board.battery.divider or 1)
        adc[board.pins.battery_adc] = lambda t: tap
    if isinstance(asset, Container):
        return replace(_ranger(asset, board, noise("ranger")), adc=adc, celsius=asset.celsius)
    if isinstance(asset, ParkingRow):
        return Wiring(i2c={_I2C: [_magnetometers(asset, noise)]}, adc=adc)
    if board.pins.pir is None:
        raise BoardError(f"{board.name}: has no pin for a presence sensor, so it makes no light node")
    presence = Pir(asset.motions(start), HOLD_S)
    light = VEML7700(asset.lux, noise("light"))
    return Wiring(i2c={_I2C: [light]}, pins={board.pins.pir: presence}, adc=adc)


def _ranger(asset: Container, board: Board, noise: int) -> Wiring:
    """On the UART, or with trigger and echo on its pins."""
    if asset.sensor in _PULSED:
        trigger, echo = board.pins.uart_tx, board.pins.uart_rx
        if trigger is None or echo is None:
            raise BoardError(f"{board.name}: has no pins for a ranger, so it makes no fill node")
        pulsed = _PULSED[asset.sensor](asset.distance, noise)
        pulsed.celsius = AIR_C
        return Wiring(outputs={trigger: pulsed.trigger}, pins={echo: pulsed})
    if asset.sensor == "mb7389":
        return Wiring(uart={_UART: MB7389(asset.distance, noise)})
    ranger = A02YYUW(asset.distance, noise)
    ranger.celsius = AIR_C
    return Wiring(uart={_UART: ranger})


def _magnetometers(asset: ParkingRow, noise: Callable[[str], int]) -> I2cChip:
    chips = [QMC5883L(partial(asset.field, bay), noise(f"bay {bay}")) for bay in range(asset.bays)]
    return chips[0] if asset.bays == 1 else TCA9548A([[chip] for chip in chips])


def radio(board: Board) -> Transceiver:
    """The LoRa chip of a board. Raises BoardError where it has none."""
    if board.radio is None:
        raise BoardError(f"{board.name}: has no LoRa radio")
    return SX127x() if board.radio.chip == "sx1276" else SX126x(tcxo=board.radio.tcxo_mv is not None)


def with_radio(wiring: Wiring, board: Board, chip: Transceiver) -> Wiring:
    """The same with a LoRa chip on its SPI bus and pins."""
    pins = board.pins
    if pins.lora_cs is None or pins.lora_reset is None:
        raise BoardError(f"{board.name}: has no pins for a LoRa chip")
    assert isinstance(chip, SX127x | SX126x)
    busy = {pins.lora_busy: chip} if isinstance(chip, SX126x) and pins.lora_busy is not None else {}
    return replace(
        wiring,
        spi={_SPI: {pins.lora_cs: chip}},
        outputs={**wiring.outputs, pins.lora_reset: chip.reset},
        pins={**wiring.pins, **busy},
    )


def dev_eui(seed: int, asset: Asset) -> str:
    """Locally administered, like the MAC."""
    return (bytes([0x02]) + dice(seed, asset.name, "dev_eui").randbytes(7)).hex()


def settings(asset: Asset, host: str, port: int) -> dict[str, Any]:
    """What provisioning writes to the asset's node, for a broker at host and port."""
    way = {"wifi_ssid": SSID, "mqtt_host": host, "mqtt_port": port, "mqtt_user": asset.name}
    return _settings(asset, way)


def radio_settings(asset: Asset, dev_eui: str) -> dict[str, Any]:
    """The same for a LoRaWAN node."""
    return _settings(asset, {"link": "lorawan", "dev_eui": dev_eui})


def _settings(asset: Asset, way: dict[str, Any]) -> dict[str, Any]:
    common: dict[str, Any] = {"name": asset.name, "kind": asset.kind, "place": asset.place} | way
    if isinstance(asset, ParkingRow):
        return common | {"bays": asset.bays}
    if isinstance(asset, LampPost):
        return common
    return common | {"sensor": asset.sensor, "depth_mm": asset.depth_mm, "offset_mm": asset.offset_mm}
