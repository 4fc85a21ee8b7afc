"""borne decode as a process: one report, pipes, files, formats, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

FILL = "30 0a3bd0"


def decode(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "import sys; from borne.cli import main; sys.argv[0] = 'borne'; main()",
        "decode",
    ]
    return subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, timeout=60)


def test_one_report() -> None:
    done = decode("30", "0a3bd0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "port 30, fill, window 10 of 14400 s"
    assert "35 %" in done.stdout and "21 °C" in done.stdout


def test_one_report_as_json() -> None:
    done = decode("30", "CjvQ", "--to", "ndjson")
    assert json.loads(done.stdout)["level"] == 35


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("30", "0a3b"), "port 30, byte 2: must have 3 bytes"),
        (("31", "0a3bd0"), "port 31: is no port of format version 2"),
        (("158", "0a3bd0"), "port 158: is of format version 3, this decoder knows version 2"),
        (("30", "zzz"), "neither hex nor base64"),
        (("30", "zzz", "--from", "hex"), "is no hex"),
        (("thirty", "0a3bd0"), "'thirty' is no port"),
        (("300", "0a3bd0"), "'300' is no port"),
        (("30",), "Give the bytes in hex"),
        (("nowhere.ndjson",), "nowhere.ndjson: No such file"),
        (("-", "--to", "parquet"), "Parquet needs a file"),
        (("-", "-o", "/nonexistent/out"), "/nonexistent/out: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(arguments: tuple[str, ...], said: str) -> None:
    done = decode(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("borne: ") and len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_a_pipe_names_bad_lines_and_goes_on() -> None:
    done = decode("-", stdin=f"{FILL}\n30 zz\n\n{FILL}\n")
    assert done.returncode == 2
    assert done.stdout.count("level 35 %") == 2
    assert done.stderr.splitlines() == [
        "borne: line 2: 'zz' is neither hex nor base64",
        "borne: 1 lines did not decode, 2 reports did",
    ]


def test_strict_stops_at_the_first_bad_line() -> None:
    done = decode("-", "--strict", stdin=f"{FILL}\n30 zz\n{FILL}\n")
    assert (done.returncode, done.stdout.count("level")) == (2, 1)
    assert done.stderr == "borne: line 2: 'zz' is neither hex nor base64\n"


def test_bytes_alone_with_their_port() -> None:
    done = decode("30", "-", "--to", "csv", stdin="0a3bd0\n01f7f3\n")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


def test_a_file_to_parquet(tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.parquet"
    source.write_text(f"{FILL}\n" * 100 + "30 zz\n")
    done = decode(str(source), "--to", "parquet", "-o", str(target))
    assert done.returncode == 2 and "line 101" in done.stderr
    assert pq.read_table(target)["fill_level"].to_pylist() == [35] * 100


def test_a_live_pipe_is_answered_line_by_line() -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from borne.cli import main; sys.argv[0] = 'borne'; main()",
        "decode",
    ]
    with subprocess.Popen(
        [*command, "-", "--to", "ndjson"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for level in (35, 35, 35):
            process.stdin.write(f"{FILL}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["level"] == level
        process.stdin.close()
        assert process.wait(60) == 0
