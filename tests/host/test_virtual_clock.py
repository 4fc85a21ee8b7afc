"""Many boards under one simulated clock: repeatable, in order, and free while they sleep."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from virtual_kit import Bench, flash_file

from borne.virtual import SimClock, VirtualBoard, WallClock

MAIN = """
import machine, os, time
rtc = machine.RTC()
turn = len(rtc.memory())
rtc.memory(rtc.memory() + b"x")
pause = os.urandom(1)[0]
print("*", turn, time.time(), pause)
time.sleep_ms(pause)
print("*", time.ticks_ms())
machine.deepsleep(1000 * (10 + pause))
"""


def play(folder: Path, seconds: float) -> list[bytes]:
    clock = SimClock()
    boards = []
    for n in range(5):
        flash_file(folder / str(n), {"main.py": MAIN})
        boards.append(VirtualBoard(folder / str(n), clock=clock, entropy_seed=n))
    try:
        for board in boards:
            board.power_on()
        clock.run_for(seconds)
        return [board.printed for board in boards]
    finally:
        for board in boards:
            board.close()


def test_five_boards_are_repeatable(tmp_path: Path) -> None:
    first, second = play(tmp_path / "a", 1500), play(tmp_path / "b", 1500)
    assert first == second
    assert all(printed.count(b"rst:0x5") > 3 for printed in first)
    assert len(set(first)) == 5


class Sleeper:
    """A board that asks for the times in its list, and writes down when it was resumed."""

    def __init__(self, clock: SimClock, times: list[int], log: list[tuple[int, int]]) -> None:
        self._times = times
        self._log = log
        self._settled = True
        self.progress = 0
        self.number = clock.add(self)
        self.due_us: int | None = times.pop(0)

    def resume(self, at_us: int) -> None:
        assert self.due_us == at_us
        self._log.append((at_us, self.number))
        self.due_us = self._times.pop(0) if self._times else None

    def wait_until_settled(self, seconds: float) -> bool:
        return self._settled

    def hang(self) -> None:
        self._settled = True


def test_boards_resume_in_order_of_time_and_number() -> None:
    clock = SimClock(start=0)
    log: list[tuple[int, int]] = []
    Sleeper(clock, [50, 50, 100], log)
    Sleeper(clock, [10, 50, 70, 2_000_000], log)
    clock.run_until(1)
    assert log == [(10, 2), (50, 1), (50, 1), (50, 2), (70, 2), (100, 1)]
    assert clock.now == 1
    clock.run_until(2)
    assert log[-1] == (2_000_000, 2)


def test_a_board_that_would_be_next_anyway_need_not_stop() -> None:
    clock = SimClock(start=0)
    log: list[tuple[int, int]] = []
    first, second = Sleeper(clock, [10], log), Sleeper(clock, [100], log)
    passed: list[tuple[int, bool]] = []

    def ask(at_us: int) -> None:
        first.due_us = None
        passed.extend((due, clock.pass_to(first, due)) for due in (20, 99, 100, 101, 2_000_000))
        passed.append((-1, clock.pass_to(second, 20)))

    first.resume = ask  # type: ignore[method-assign]
    clock.step(1_000_000)
    # Board 1 goes before board 2 at the same time.
    assert passed == [(20, True), (99, True), (100, True), (101, False), (2_000_000, False), (-1, False)]
    assert clock.now_us == 100
    assert not clock.pass_to(first, 150)


def test_a_board_that_never_settles_is_told_to_give_up() -> None:
    clock = SimClock(start=0)
    log: list[tuple[int, int]] = []
    board = Sleeper(clock, [5], log)
    board._settled = False
    clock.run_until(1)
    assert log == [(5, 1)]


def test_sleeping_boards_cost_no_processor_time(tmp_path: Path) -> None:
    with Bench(tmp_path, "import machine; machine.deepsleep(10**9)") as bench:
        bench.run(10)
        before = time.process_time()
        bench.clock.run_for(900_000)
        assert time.process_time() - before < 0.05


def test_a_week_of_one_hour_wakes_takes_seconds(tmp_path: Path) -> None:
    with Bench(tmp_path, "import machine; machine.deepsleep(3600_000)") as bench:
        bench.run(7 * 86400)
        assert bench.board.boots == 168


def test_on_the_walls_clock_a_board_runs_by_itself(tmp_path: Path) -> None:
    flash_file(tmp_path, {"main.py": "import time\ntime.sleep(30)\nprint('* 30 s')\n"})
    with VirtualBoard(tmp_path, clock=WallClock(speed=200)) as board:
        board.power_on()
        assert board.wait_for(b"* 30 s", 20)


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_the_walls_clock_says_how_long_to_wait(speed: float) -> None:
    clock = WallClock(speed=speed, start=1000)
    wait = clock.seconds_until(1_060_000_000)
    assert wait is not None and 55 / speed < wait <= 60 / speed
    assert clock.seconds_until(0) == 0
