"""The echo filter on scenes with stray echoes: the figures that the benchmark measures."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import fill_accuracy as fill  # noqa: E402


@pytest.mark.parametrize("scene", fill.SCENES)
def test_the_filter_finds_the_surface(scene: str) -> None:
    ours, faults = fill.right(scene, fill._filtered, 1000)
    median, _ = fill.right(scene, fill._median, 1000)
    assert ours >= (99.9 if scene == "clean" else 85)
    assert ours >= median - 1
    # What is not right is a fault rather than a wrong level.
    assert 100 - ours - faults <= 8
