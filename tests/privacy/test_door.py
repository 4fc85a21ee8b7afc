"""The gate is the only door: the firmware keeps to it, and a bypass planted anywhere is seen by its rule."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from borne.privacy.attacks.laboratory import Patch
from borne.privacy.door import breaches

FIRMWARE = Path(__file__).parents[2] / "firmware"

BYPASSES = {
    "a sensor that imports the outbox": (
        Patch(
            "sense/fill.py",
            "def build(settings",
            "def build_(s):\n    from borne_node import outbox\n\n\ndef build(settings",
        ),
        "sense imports outbox",
    ),
    "a sensor that imports by a computed name": (
        Patch(
            "sense/fill.py",
            "def build(settings",
            "def leak(n):\n    return __import__(n)\n\n\ndef build(settings",
        ),
        "imports by a computed name",
    ),
    "a sensor that loads the outbox": (
        Patch(
            "sense/__init__.py",
            'return load("sense." + one[2]).build(settings, board, state)',
            'return load("out" + "box").Outbox("outbox")',
        ),
        "loads out",
    ),
    "a sensor that loads what it is told": (
        Patch("sense/__init__.py", 'load("sense." + one[2])', "load(one[2])"),
        "loads a computed name",
    ),
    "a node with the bench tool": (
        Patch(
            "app.py",
            "        from borne_node import sense\n",
            "        from borne_node.sense.probe import Probe\n",
        ),
        "imports the bench tool",
    ),
    "a node that tests itself": (
        Patch(
            "app.py",
            "        from borne_node import sense\n",
            "        from borne_node import selftest, sense\n",
        ),
        "imports the bench tool",
    ),
    "a sensor that loads the bench tool": (
        Patch("sense/__init__.py", 'load("sense." + one[2])', 'load("sense.probe")'),
        "loads sense.probe",
    ),
    "a sensor that prints what it read": (
        Patch(
            "sense/parking.py",
            "            value = self._sample[axis]\n",
            "            value = self._sample[axis]\n            print(value)\n",
        ),
        "print has no place in _add",
    ),
    "a link that knows the gate": (
        Patch(
            "link/wifi.py", "from borne_node.compat", "import borne_node.privacy.gate\nfrom borne_node.compat"
        ),
        "link imports privacy.gate",
    ),
    "a report that is not of the gate": (
        Patch(
            "app.py",
            "        gate = self.open_gate()\n        due",
            "        self.keep(0, 10, codec.encode(10, 0, (1, 1)))\n        gate = self.open_gate()\n        due",
        ),
        "encodes a report in pass_gate",
    ),
    "a reading that goes to the outbox": (
        Patch(
            "app.py",
            "        released, until, due = self.pass_gate(reading)\n",
            "        self.unsaved.append(reading)\n        released, until, due = self.pass_gate(reading)\n",
        ),
        "hands a reading on in wake",
    ),
    "a reading that is printed": (
        Patch(
            "app.py",
            "            reading = fault\n",
            "            reading = fault\n        print('borne: %s' % reading)\n",
        ),
        "prints reading",
    ),
    "released values made outside the gate": (
        Patch(
            "commands.py",
            "from borne_node.report import codec, schema\n",
            "from borne_node.privacy.gate import Released\nfrom borne_node.report import codec, schema\n",
        ),
        "imports Released",
    ),
    "a command that looks into the gate": (
        Patch(
            "commands.py",
            "    bits = schema.row(port)[2]\n",
            "    bits = schema.row(port)[2] + node.open_gate()._counts[0]\n",
        ),
        "reaches into _counts",
    ),
    "a sensor fault that carries a value": (
        Patch(
            "sense/echo.py",
            'SensorFault(ranger.name, "out of range")',
            'SensorFault(ranger.name, "at %d" % echo)',
        ),
        "a SensorFault carries echo",
    ),
    "a generator of 32 bits": (
        Patch("privacy/noise.py", "from borne_node.errors", "import random\n\nfrom borne_node.errors"),
        "imports random",
    ),
    "a file of samples": (
        Patch(
            "sense/light.py",
            "def build(settings",
            "def save(sample):\n    open('samples', 'ab').write(sample)\n\n\ndef build(settings",
        ),
        "writes a file",
    ),
    "an error's whole text on the console": (
        Patch(
            "rescue.py",
            'print("borne: failed wake %d: %s" % (failed, reason))',
            'print("borne: failed wake %d: %s" % (failed, error))',
        ),
        "prints error",
    ),
    "a health report with a measured value": (
        Patch(
            "health.py",
            "from borne_node.privacy import policy",
            "from borne_node.privacy import gate, policy",
        ),
        "health imports privacy.gate",
    ),
}


def planted(folder: Path, patch: Patch) -> Path:
    shutil.copytree(FIRMWARE, folder / "firmware", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "firmware" / "borne_node" / patch.file
    text = path.read_text()
    assert patch.old in text
    path.write_text(text.replace(patch.old, patch.new, 1))
    return folder / "firmware"


def test_the_gate_is_the_only_door() -> None:
    assert [str(one) for one in breaches(FIRMWARE)] == []


@pytest.mark.parametrize("name", BYPASSES)
def test_a_planted_bypass_is_seen(tmp_path: Path, name: str) -> None:
    patch, what = BYPASSES[name]
    found = breaches(planted(tmp_path, patch))
    assert what in [one.what for one in found], found
    assert all(one.file == patch.file and one.line for one in found)


def test_a_tree_without_a_gate_is_a_breach(tmp_path: Path) -> None:
    assert breaches(tmp_path)[0].what == "there is no gate"


def test_the_gate_can_be_read_in_one_sitting() -> None:
    files = (FIRMWARE / "borne_node" / "privacy").glob("*.py")
    assert sum(len(file.read_text().splitlines()) for file in files) < 500
