"""docs/lorawan.md names tests as evidence: every one of them exists, and every region is named."""

from __future__ import annotations

import re
from pathlib import Path

from borne_node.link.lorawan import regions

ROOT = Path(__file__).parents[2]


def test_every_named_test_exists() -> None:
    text = (ROOT / "docs/lorawan.md").read_text()
    named = set(re.findall(r"`(?:[\w./]*::)?(test_\w+)`", text))
    existing = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        existing |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE))
    assert len(named) >= 50
    assert named <= existing


def test_every_region_is_named() -> None:
    text = (ROOT / "docs/lorawan.md").read_text()
    for name in regions.NAMES:
        assert name.partition("-")[0] in text
