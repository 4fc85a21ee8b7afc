"""The line between a host and a virtual board, and what can go wrong on it."""

from __future__ import annotations

import os
import select
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from virtual_kit import Bench

from borne.virtual.line import Fault, Line


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    line = Line(tmp_path / "tty")
    yield line
    line.close()


def open_port(line: Line) -> int:
    host = os.open(line.port, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(host, termios.TCSANOW)
    return host


def happens(line: Line) -> bool:
    return bool(select.select([line.fileno()], [], [], 5)[0])


def settle(line: Line) -> None:
    """Take note of what happened so far, such as the port being opened."""
    line.read()


def test_bytes_pass_both_ways(line: Line) -> None:
    host = open_port(line)
    settle(line)
    os.write(host, b"to the board\x03\r\n")
    assert happens(line)
    assert line.read() == (b"to the board\x03\r\n", False)
    line.write(b"to the host\r\n")
    assert os.read(host, 100) == b"to the host\r\n"
    os.close(host)


def test_a_hang_up_is_seen_and_a_second_host_too(line: Line) -> None:
    for _ in range(3):
        host = open_port(line)
        assert line.connected
        os.write(host, b"x")
        assert happens(line)
        os.close(host)
        data, hung_up = line.read()
        while not hung_up:
            assert happens(line)
            more, hung_up = line.read()
            data += more
        assert data == b"x"
        assert not line.connected


def test_an_idle_line_wakes_nobody(line: Line) -> None:
    settle(line)
    assert select.select([line.fileno()], [], [], 0) == ([], [], [])


def test_what_nobody_hears_is_lost(line: Line) -> None:
    line.write(b"into the void")
    host = open_port(line)
    os.set_blocking(host, False)
    with pytest.raises(BlockingIOError):
        os.read(host, 100)
    os.close(host)


def test_a_slow_host_gets_everything(line: Line) -> None:
    host = open_port(line)
    sent = os.urandom(300_000)
    line.write(sent)
    got = bytearray()
    while len(got) < len(sent):
        got += os.read(host, 65536)
        line.read()
    assert got == sent
    os.close(host)


def test_a_cut_cable_hangs_up_at_the_host(line: Line) -> None:
    host = open_port(line)
    line.fault(cut_after=10)
    line.write(b"0123456789 and more")
    assert line.is_gone
    assert not line.connected
    with pytest.raises(OSError):
        while os.read(host, 100):
            pass
        raise OSError  # Linux gives what was sent before and then an end of file
    os.close(host)
    assert line.read() == (b"", True)
    line.write(b"nowhere")
    host = os.open(line.replug(), os.O_RDWR | os.O_NOCTTY)
    line.write(b"again")
    assert os.read(host, 100) == b"again"
    os.close(host)


def test_faults_are_repeatable_and_hit_at_their_rate() -> None:
    data = bytes(100_000)
    dropped = Fault(drop=0.01, seed=1).apply(data)
    assert dropped == Fault(drop=0.01, seed=1).apply(data)
    assert 98_500 < len(dropped) < 99_500
    flipped = Fault(flip=0.01, seed=1).apply(data)
    assert len(flipped) == len(data)
    assert 500 < sum(byte != 0 for byte in flipped) < 1500
    assert all(byte.bit_count() <= 1 for byte in flipped)


def test_a_fault_counts_what_passed() -> None:
    fault = Fault(cut_after=5)
    assert fault.apply(b"abc") == b"abc"
    assert not fault.is_cut
    assert fault.apply(b"defg") == b"de"
    assert fault.is_cut


def test_a_board_answers_after_its_cable_was_pulled(tmp_path: Path) -> None:
    with Bench(tmp_path, "print('* main')") as bench:
        assert bench.run(5) == ["main"]
        board = bench.board
        # The prompt goes where nobody listens yet; it must not use up what the cable lets through.
        assert board.wait_for(b">>> ")
        host = os.open(board.port, os.O_RDWR | os.O_NOCTTY)
        board.line.fault(cut_after=3)
        os.write(host, b"\r\n")
        assert board.wait_for(b">>> \r\n")
        assert board.line.is_gone
        os.close(host)
        host = os.open(board.replug(), os.O_RDWR | os.O_NOCTTY)
        board.forget_printed()
        os.write(host, b"print(6 * 7)\r\n")
        assert board.wait_for(b"42\r\n")
        os.close(host)
