"""Every row of borne_node/sensors.py is whole: a driver, a simulated chip that can fail, a test of the two."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from borne.virtual import silicon
from borne_node import sensors, settings

ROOT = Path(__file__).parents[2]
# Drivers that are no sensor's: what a bus, a line, a radio or several sensors share.
SHARED = {"frames", "registers", "axp192", "max17048", "pulses", "lora", "sx126x", "sx127x", "tca9548a"}
NAMES = [row[0] for row in sensors.TABLE]
METHODS = {
    "magnetometer": ("start", "poll", "next", "standby"),
    "ranger": ("start", "ping", "stop"),
    "light": ("read",),
    "presence": ("read",),
    "meter": ("read",),
    "accelerometer": ("read",),
}


def missing(name: str, chip: str) -> list[str]:
    """What a row's sensor lacks, as file names."""
    wanted = (
        f"firmware/borne_node/chips/{name}.py",
        f"host/borne/virtual/silicon/{name}.py",
        f"tests/firmware/test_{name}.py",
    )
    return [f"{path}: for {chip}" for path in wanted if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", NAMES)
def test_a_row_has_driver_silicon_and_test(name: str) -> None:
    _, role, chip, bus, nearest, farthest = sensors.row(name)
    assert missing(name, chip) == []
    driver = getattr(import_module(f"borne_node.chips.{name}"), chip)
    simulated = getattr(import_module(f"borne.virtual.silicon.{name}"), chip)
    assert [method for method in METHODS[role] if not hasattr(driver, method)] == []
    assert issubclass(simulated, silicon.Chip) and "silent" in simulated.MODES
    assert (bus == sensors.I2C) == issubclass(simulated, silicon.I2cChip)
    assert (bus == sensors.UART) == hasattr(driver, "baudrate") == hasattr(simulated, "feed")
    if bus == sensors.UART:
        assert driver.baudrate == simulated.baudrate
    if role == "ranger":
        assert (driver.nearest_mm, driver.farthest_mm, hasattr(driver, "celsius")) == (
            nearest,
            farthest,
            True,
        )


def test_every_driver_has_a_row() -> None:
    drivers = {path.stem for path in (ROOT / "firmware/borne_node/chips").glob("*.py")} - {"__init__"}
    assert drivers - SHARED == set(NAMES)


def test_every_setting_of_the_table_has_a_default_and_a_role() -> None:
    assert set(sensors.SLOTS) == set(settings.KINDS)
    for kind, slots in sensors.SLOTS.items():
        for setting, roles, _ in slots:
            assert setting in settings.names_of(kind)
            assert sensors.choices(kind, setting), (kind, setting)
            assert set(roles) <= set(METHODS)


def test_a_missing_part_is_named() -> None:
    assert missing("nothing", "NOTHING") == [
        "firmware/borne_node/chips/nothing.py: for NOTHING",
        "host/borne/virtual/silicon/nothing.py: for NOTHING",
        "tests/firmware/test_nothing.py: for NOTHING",
    ]
