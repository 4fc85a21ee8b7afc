"""Lux of the drivers over the simulated chips: the figures that the benchmark measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import light_accuracy as light  # noqa: E402


@pytest.mark.parametrize("scene", light.SCENES)
@pytest.mark.parametrize("chip", light.CHIPS)
def test_lux_is_right_within_the_chip_s_steps(chip: str, scene: str) -> None:
    worst, mean, right = light.read(chip, scene)
    # A BH1750 counts in steps of half a lux at best.
    assert worst <= (30 if (chip, scene) == ("bh1750", "night, dark") else 10)
    assert mean <= 6 and right >= 97
