# micropython only
import hashlib
import json
import os

import vfs
from bus import FakeBoard, FakeI2C, FakePin
from clock import FakeClock
from disk import FlashDisk
from silicon.a02yyuw import A02YYUW
from silicon.ina226 import INA226
from silicon.pir import Pir
from silicon.tca9548a import TCA9548A
from silicon.veml7700 import VEML7700
from silicon.vl53l1x import VL53L1X

from borne_node import selftest, settings


def lux():
    return VEML7700(lambda t: 137.0)


def fresh_disk():
    """littlefs in RAM as the working folder."""
    disk = FlashDisk(16)
    vfs.VfsLfs2.mkfs(disk)
    if "selftest" in os.listdir("/"):
        vfs.umount("/selftest")
    vfs.mount(disk, "/selftest")
    os.chdir("/selftest")


BASE = {"name": "n", "wifi_ssid": "s", "mqtt_host": "h"}


class Nvs:
    """Says which records are there; reading one is what a self-test must never do."""

    def __init__(self, *there):
        self._there = there

    def has(self, name):
        return name in self._there


def board(*chips, millivolts=3900, secrets=(), names=(), **more):
    clock = FakeClock()
    made = FakeBoard(clock, i2c=FakeI2C(chips, clock), pin=FakePin(Pir([]), clock), nvs=Nvs(*secrets), **more)
    made.names = {"battery_divider": 2.0, "i2c_sda": 1}
    made.names.update(names)
    made.battery_uv = lambda: millivolts * 500
    return made


def run(on, given=None, kind=None):
    """The checks by name, as (ok, detail)."""
    lines = []
    fresh_disk()
    if given:
        settings.save(settings.validate(dict(BASE, **given)))
    selftest.print = lambda line: lines.append(json.loads(line))
    selftest.run(on, kind)
    return {name: (ok, detail) for name, ok, detail in lines}


def test_a_lamp_post_with_all_its_sensors():
    given = {"kind": "light", "lamp": "ina226", "lamp_w": 40}
    found = run(board(lux(), INA226(lambda t: (24.0, 1.0)), secrets=("wifi_pw.a",)), given)
    assert found["settings"] == (
        True,
        hashlib.sha256(settings.canonical(settings.validate(dict(BASE, **given)))).digest().hex(),
    )
    assert found["secrets"] == (True, "present, not read: wifi_password")
    assert found["radio"] == (None, "this board has none")
    assert found["battery"] == (True, "3900 mV")
    assert found["bus"] == found["sensor"] == (True, "veml7700 answers")
    assert found["bus of lamp"] == found["lamp"] == (True, "ina226 answers")
    assert found["presence"][0] is None
    # What was measured is nobody's business.
    assert not any("137" in detail for _, detail in found.values())


def test_a_silent_meter_does_not_hide_the_light_sensor():
    found = run(board(lux()), {"kind": "light", "lamp": "ina226", "lamp_w": 40})
    assert found["sensor"][0] is True
    assert found["lamp"] == (False, "INA226: no answer")


def test_bays_behind_the_switch_and_without_it():
    given = {"kind": "parking", "bays": 2, "sensor": "vl53l1x", "floor_mm": 2500}
    chips = [[VL53L1X(lambda t: 1800.0)], [VL53L1X(lambda t: 1800.0)]]
    assert run(board(TCA9548A(chips)), given)["sensor"] == (True, "vl53l1x answers in 2 bays")
    found = run(board(*chips[0]), given)
    assert found["bus"] == (False, "bay 1: TCA9548A: no answer; bay 2: TCA9548A: no answer")


def test_a_uart_has_no_bus_to_ask():
    found = run(board(uart=A02YYUW(lambda t: 700.0)), kind="fill")
    assert "bus" not in found
    assert found["sensor"] == (True, "a02yyuw answers")
    assert found["settings"] == (None, "not provisioned")


def test_what_lies_on_the_bus_is_told_before_anything_is_known():
    assert run(board(lux()))["bus"] == (None, "I2C: 0x10")
    assert run(board())["bus"] == (None, "I2C: nothing answers")
    assert run(board(), kind="teapot")["sensor"][0] is None


def test_secrets_that_the_settings_need():
    lora = {"kind": "light", "link": "lorawan", "dev_eui": "70b3d57ed0123456"}
    lora.update({"wifi_ssid": None, "mqtt_host": None})
    given = {name: value for name, value in dict(BASE, **lora).items() if value is not None}
    for there, ok in (((), False), (("lw_app_key.b",), False), (("lw_app_key.a",), True)):
        on = board(lux(), secrets=there)
        nvs_only = selftest._secrets(on.nvs, settings.validate(given))
        assert nvs_only[0] is ok, there
    tls = {"kind": "light", "mqtt_tls": True, "mqtt_user": "u"}
    found = run(board(lux(), secrets=("wifi_pw.a",)), tls)
    assert found["secrets"] == (False, "missing in slot a: mqtt_ca, mqtt_password")
    assert run(board(lux()), {"kind": "light"})["secrets"] == (True, "none, for an open Wi-Fi network")


def test_a_link_that_the_board_has_no_radio_for():
    assert selftest._radio(board(), {"link": "lorawan"}) == (False, "this board has none")


def test_a_board_file_without_the_sensors_pins():
    on = board(lux())

    def i2c():
        raise KeyError("i2c_sda")

    on.i2c = i2c
    assert run(on, {"kind": "light"})["sensor"] == (False, "veml7700: this board has no pin i2c_sda")


def test_damaged_settings_are_a_failure_that_names_the_field():
    fresh_disk()
    with open(settings.FILE, "w") as file:
        file.write('{"kind":"light"}')
    lines = []
    selftest.print = lambda line: lines.append(json.loads(line))
    selftest.run(board(lux()))
    assert lines[0] == ["settings", False, "name: is missing"]
