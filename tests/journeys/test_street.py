"""The main job, by its command: bare boards are flashed, provisioned, sense, anonymise, send, and are decoded."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-c", "from borne.cli import main; main()", "street"]
MARK = "BORNE_TEST_STREET"
# Six hours: every kind has released something, the container its first window. A minute on a busy computer.
SHORT = ["--seed", "7", "--days", "0.25", "--nodes", "3"]
LIMIT_S = 280.0


class Run:
    """One run of the command, with a mark in its environment by which whatever it starts can be found."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.folder = folder
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {MARK: self.mark, "TMPDIR": str(folder), "PYTHONUTF8": "1"},
        )

    def end(self) -> tuple[int, str, str]:
        with self.process:
            output, errors = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, output, errors

    def interrupt_after(self, line: str) -> tuple[int, str]:
        assert self.process.stdout
        for text in self.process.stdout:
            if line in text:
                self.process.send_signal(signal.SIGINT)
                code, _, errors = self.end()
                return code, errors
        raise AssertionError(f"{line!r} was never printed: {self.end()}")

    def left_over(self) -> list[object]:
        """Processes that outlive the run, and files in the folder for temporary ones."""
        return [*self._processes(), *self.folder.iterdir()]

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except psutil.Error:
                continue


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The lines of one run, after checking that it went well and left nothing."""
    run = Run(tmp_path_factory.mktemp("street"), "--plain", *SHORT)
    code, output, errors = run.end()
    assert (code, errors) == (0, "")
    assert run.left_over() == []
    return output.splitlines()


def test_the_same_seed_plays_the_same_street(plain: list[str], tmp_path: Path) -> None:
    code, output, errors = Run(tmp_path, "--plain", *SHORT).end()
    assert (code, errors) == (0, "")
    assert output.splitlines() == plain


def test_every_board_is_flashed_and_provisioned(plain: list[str]) -> None:
    ready = [line for line in plain if "flashed and verified; provisioned and read back" in line]
    assert [line.split()[0] for line in ready] == ["parking-01", "light-02", "fill-03"]


def test_every_node_reports_its_health_and_the_settings_it_was_given(plain: list[str]) -> None:
    health = [line for line in plain if "  health " in line]
    assert {name for line in health if (name := line.split()[3])} == {"parking-01", "light-02", "fill-03"}
    assert all("settings as provisioned" in line for line in health)


def test_every_kind_releases_values_with_units_and_marks(plain: list[str]) -> None:
    text = "\n".join(plain)
    assert re.search(r"parking-01  parking zone  occupied ~\d bays, bays ok 8 bays", text)
    assert re.search(r"light-02    light         presence ~\d+ triggers, lux class \d+-\d+ lx", text)
    assert re.search(r"fill-03     fill          level", text)
    assert not [line for line in plain if "not decoded" in line or "  fault " in line]


def test_the_summary_is_near_the_truth(plain: list[str]) -> None:
    """Bounds that a wrong sensor breaks and the noise does not: it is at most 3 on average over so many windows."""
    errors = dict(re.findall(r"(occupied|presence|lux class|level): off by ([\d.]+)", "\n".join(plain)))
    assert float(errors["occupied"]) < 1.5
    assert float(errors["presence"]) < 8
    assert float(errors["lux class"]) < 0.5


def test_json_has_one_object_a_report_with_the_same_keys(tmp_path: Path) -> None:
    arguments = ["--json", "--seed", "3", "--days", "0.05", "--nodes", "2", "--keep", str(tmp_path / "kept")]
    (tmp_path / "tmp").mkdir()
    run = Run(tmp_path / "tmp", *arguments)
    code, output, errors = run.end()
    assert (code, errors) == (0, "")
    assert run.left_over() == []
    found = [json.loads(line) for line in output.splitlines()]
    assert len({tuple(one) for one in found}) == 1
    assert {one["name"] for one in found} == {"parking-01", "light-02"}
    zone = [one for one in found if one["port"] == 10]
    assert zone[-1]["marks"] == {"occupied": "noised"}
    assert zone[-1]["place"] == "1 rue des Lilas"
    assert zone[-1]["values"]["bays_ok"] == {"value": 8, "unit": "bays"}
    flash = (tmp_path / "kept" / "parking-01" / "flash.bin").read_bytes()
    assert len(flash) == 4 * 1024 * 1024
    assert (
        flash[0x1000] == 0xE9
    )  # ESP-IDF, "App Image Format": the magic of the bootloader that esptool wrote


@pytest.mark.parametrize("line", ["street of 3 nodes", "  health "], ids=["while flashing", "while running"])
def test_ctrl_c_ends_it_and_leaves_nothing(tmp_path: Path, line: str) -> None:
    run = Run(tmp_path, "--plain", "--days", "30")
    code, errors = run.interrupt_after(line)
    assert code == 130
    assert "Traceback" not in errors
    assert run.left_over() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nodes", "0"], "nodes: 0 is not between 1 and 50"),
        (["--nodes", "51"], "nodes: 51 is not between 1 and 50"),
        (["--days", "0"], "days: 0 is not more than 0"),
        (["--svg", "no/such/folder/x.svg"], "svg: there is no folder no/such/folder"),
        (["--keep", "."], "keep: the folder . is not empty"),
    ],
)
def test_mistakes_get_one_line_and_code_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    code, _, errors = Run(tmp_path, *arguments).end()
    assert (code, errors.count("\n")) == (2, 1)
    assert words in errors
