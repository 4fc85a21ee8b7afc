"""A virtual board starts, sleeps, resets and crashes as the chip does."""

from __future__ import annotations

from pathlib import Path

import pytest
import serial
from virtual_kit import Bench, flash_file, read_file

from borne.virtual import SimClock, VirtualBoard

SLEEPER = """
import machine, time
memory = machine.RTC().memory()
print("*", machine.reset_cause(), machine.wake_reason(), len(memory), time.time())
machine.RTC().memory(memory + b"x")
if len(memory) < 2:
    machine.deepsleep(60_000)
"""


def test_deep_sleep_keeps_rtc_memory_and_says_why_it_woke(tmp_path: Path) -> None:
    with Bench(tmp_path, SLEEPER) as bench:
        lines = bench.run(300)
        # Power-on at 2000-01-01; then 60 s of sleep and 0.35 s of booting per wake.
        assert lines == ["1 0 0 1", "4 4 1 61", "4 4 2 121"]
        assert b"rst:0x5 (DEEPSLEEP_RESET)" in bench.board.printed
        assert bench.board.state == "prompt"


def test_power_cut_loses_rtc_memory_and_the_time_but_no_files(tmp_path: Path) -> None:
    with Bench(tmp_path, 'with open("kept", "w") as f:\n    f.write("yes")\n' + SLEEPER) as bench:
        assert bench.run(90) == ["1 0 0 1", "4 4 1 61"]
        bench.board.power_off()
        bench.board.forget_printed()
        assert bench.run(10) == ["1 0 0 1"]
    assert read_file(tmp_path / "flash.bin", "kept") == b"yes"


def test_sleeping_board_has_no_process(tmp_path: Path) -> None:
    with Bench(tmp_path, "import machine; machine.deepsleep(1_000_000)") as bench:
        bench.run(10)
        assert bench.board.state == "asleep"
        assert bench.board._life is None


def test_machine_reset_keeps_rtc_memory_as_v1_25(tmp_path: Path) -> None:
    main = """
import machine
memory = machine.RTC().memory()
print("*", machine.reset_cause(), memory)
if not memory:
    machine.RTC().memory(b"x")
    machine.reset()
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(10) == ["1 b''", "5 b'x'"]
        assert b"rst:0xc (SW_CPU_RESET)" in bench.board.printed


@pytest.mark.parametrize("ending", ["machine.soft_reset()", "raise SystemExit", "import sys; sys.exit(3)"])
def test_soft_reset_runs_main_again(tmp_path: Path, ending: str) -> None:
    main = (
        f"import machine\nprint('*', machine.reset_cause())\nif machine.reset_cause() == 1:\n    {ending}\n"
    )
    with Bench(tmp_path, main) as bench:
        assert bench.run(10) == ["1", "5"]
        assert b"MPY: soft reboot\r\n" in bench.board.printed


def test_watchdog_resets_a_board_that_sleeps_too_long(tmp_path: Path) -> None:
    main = """
import machine, time
print("*", machine.reset_cause())
if machine.reset_cause() == 1:
    watchdog = machine.WDT(timeout=5000)
    for _ in range(3):
        time.sleep(4)
        watchdog.feed()
    print("* fed")
    time.sleep(6)
    print("* too late")
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(30) == ["1", "fed", "3"]
        assert b"rst:0x8" in bench.board.printed


def test_watchdog_ends_a_loop_that_never_touches_its_hardware(tmp_path: Path) -> None:
    main = """
import machine
print("*", machine.reset_cause())
if machine.reset_cause() == 1:
    machine.WDT(timeout=5000)
    print("* armed")
    while True:
        pass
"""
    with Bench(tmp_path, main) as bench:
        bench.board.power_on()
        assert bench.board.wait_for(b"* armed\r\n")
        bench.board.hang()
        bench.clock.run_for(20)
        assert bench.lines() == ["1", "armed", "3"]


def test_a_busy_loop_on_the_ticks_ends(tmp_path: Path) -> None:
    main = """
import time
start = time.ticks_ms()
while time.ticks_diff(time.ticks_ms(), start) < 2000:
    pass
print("*", time.time())
"""
    with Bench(tmp_path, main) as bench:
        bench.board.power_on()
        assert bench.board.wait_until_settled()
        assert bench.lines() == []  # nobody runs the clock, so it stands
        assert bench.run(5) == ["3"]


def test_the_clock_stands_while_nobody_runs_it(tmp_path: Path) -> None:
    with Bench(tmp_path, "import time\nprint('* before')\ntime.sleep_ms(3000)\nprint('* after')\n") as bench:
        bench.board.power_on()
        assert bench.board.wait_until_settled()
        assert bench.lines() == ["before"]
        bench.clock.run_for(5)
        assert bench.lines() == ["before", "after"]


def test_boot_py_runs_first_and_an_error_in_it_is_only_printed(tmp_path: Path) -> None:
    files = {"boot.py": "print('* boot')\n1/0\n"}
    with Bench(tmp_path, "print('* main')", files=files) as bench:
        assert bench.run(1) == ["boot", "main"]
        printed = bench.board.printed
        assert b'Traceback (most recent call last):\r\n  File "boot.py", line 2, in <module>\r\n' in printed
        assert b"_board.py" not in printed


def test_main_sees_the_board_and_not_the_host(tmp_path: Path) -> None:
    main = """
import os, sys, machine
print("*", sys.path, os.listdir("/"), os.getcwd(), __name__)
print("*", machine.unique_id().hex(), os.uname().sysname)
print("*", sorted(name for name in globals() if not name.startswith("__")))
"""
    with Bench(tmp_path, main, mac=b"\x24\x0a\xc4\x01\x02\x03") as bench:
        assert bench.run(5) == [
            "['', '.frozen', '/lib'] ['main.py'] / __main__",
            "240ac4010203 esp32",
            "['machine', 'os', 'sys']",
        ]


def test_heap_is_what_the_board_has(tmp_path: Path) -> None:
    with Bench(tmp_path, "import gc; gc.collect(); print('*', gc.mem_free())", heap=120 * 1024) as bench:
        (free,) = bench.run(5)
        assert abs(int(free) - 120 * 1024) < 6 * 1024


def test_heap_is_limited(tmp_path: Path) -> None:
    main = "try:\n    bytearray(180 * 1024)\nexcept MemoryError:\n    print('* full')\n"
    with Bench(tmp_path, main) as bench:
        assert bench.run(5) == ["full"]


def test_time_is_the_esp32s(tmp_path: Path) -> None:
    main = """
import time, machine
machine.RTC().datetime((2026, 7, 14, 0, 12, 0, 0, 0))
print("*", time.time(), time.localtime(), isinstance(time.time(), int))
print("*", time.mktime((2000, 1, 1, 0, 0, 0, 0, 0)), time.gmtime(0))
print("*", time.ticks_add(2**30 - 1, 2), time.ticks_diff(1, 2**30 - 1))
time.sleep(1.5)
print("*", machine.RTC().datetime()[:7])
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(5) == [
            "837345600 (2026, 7, 14, 12, 0, 0, 1, 195) True",
            "0 (2000, 1, 1, 0, 0, 0, 5, 1)",
            "1 2",
            "(2026, 7, 14, 1, 12, 0, 1)",
        ]


def test_the_set_time_survives_deep_sleep(tmp_path: Path) -> None:
    main = """
import machine, time
if machine.reset_cause() == 1:
    machine.RTC().datetime((2026, 7, 14, 0, 12, 0, 0, 0))
    machine.deepsleep(3600_000)
print("*", time.localtime()[:5])
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(4000) == ["(2026, 7, 14, 13, 0)"]


def test_an_erased_filesystem_is_made_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    flash_file(tmp_path / "erased", vfs=b"")
    with VirtualBoard(tmp_path / "erased", clock=SimClock()) as board:
        board.power_on()
        assert board.wait_for(b"Performing initial setup\r\n")
        assert board.wait_until_settled()
    assert read_file(tmp_path / "erased" / "flash.bin", "boot.py").startswith(
        b"# This file is executed on every boot"
    )
    flash_file(tmp_path / "damaged", vfs=b"what once was a filesystem" * 1000)
    with VirtualBoard(tmp_path / "damaged", clock=SimClock()) as board:
        board.power_on()
        assert board.wait_for(b"The filesystem appears to be corrupted")
        with serial.Serial(board.port, timeout=5) as line:
            line.write(b"\x03")
            assert line.read_until(b">>> ").endswith(b">>> ")


def test_nothing_interrupts_a_board_before_it_has_its_files(tmp_path: Path) -> None:
    """ports/esp32/main.c runs _boot.py without interrupts: a host that knocks early finds a whole board."""
    flash_file(tmp_path, vfs=b"")
    with VirtualBoard(tmp_path, clock=SimClock()) as board, serial.Serial(board.port, timeout=5) as line:
        board.power_on()
        while b">>>" not in board.printed:
            line.write(b"\x03")
            board.wait_for(b">>>", 0.001)
        assert board.wait_until_settled()
    assert b"KeyboardInterrupt" not in board.printed.partition(b"Performing initial setup")[0]
    assert b"# This file is executed on every boot" in read_file(tmp_path / "flash.bin", "boot.py")


def test_ctrl_c_amid_calls_to_the_hardware_leaves_the_board_able_to_go_on(tmp_path: Path) -> None:
    """It may come between a question and its answer, or when the answer is there but not read.

    Some dozens only: MicroPython's unix port raises out of its signal handler, and one in thousands hits its allocator.
    """
    main = """
from machine import ADC, Pin
read = ADC(Pin(34)).read_u16
for n in range(40):
    try:
        print("*", n)
        while True:
            read()
    except KeyboardInterrupt:
        pass
"""
    flash_file(tmp_path, {"main.py": main})
    with VirtualBoard(tmp_path) as board, serial.Serial(board.port, timeout=5) as line:
        board.power_on()
        for n in range(40):
            assert board.wait_for(b"* %d\r\n" % n)
            line.write(b"\x03")
        assert board.wait_for(b">>> ")


def test_empty_flash_prints_what_the_rom_prints(tmp_path: Path) -> None:
    with VirtualBoard(tmp_path, clock=SimClock()) as board:
        board.power_on()
        assert board.state == "invalid"
        assert b"invalid header: 0xffffffff\r\n" in board.printed


def test_image_of_another_chip_does_not_start(tmp_path: Path) -> None:
    flash_file(tmp_path, {"main.py": "print('* runs')"}, chip="esp32s3")
    with VirtualBoard(tmp_path, chip="esp32c3", clock=SimClock()) as board:
        board.power_on()
        assert board.state == "invalid"
        assert b"mismatch chip ID, expected 5, found 9" in board.printed


@pytest.mark.parametrize(("chip", "name"), [("esp32s3", "mcu_temperature"), ("esp32c3", "mcu_temperature")])
def test_other_chips_boot(tmp_path: Path, chip: str, name: str) -> None:
    main = f"import esp32, os\nprint('*', hasattr(esp32, '{name}'), hasattr(esp32, 'raw_temperature'), os.uname()[4])\n"
    with Bench(tmp_path, main, chip=chip) as bench:
        assert bench.run(5) == [f"True False Generic {chip.upper()} module with {chip.upper()}"]


def test_a_crash_is_a_reset_with_a_note(tmp_path: Path) -> None:
    main = """
import machine, uctypes
print("*", machine.reset_cause())
if machine.reset_cause() == 1:
    uctypes.bytearray_at(8, 1)[0]
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(10) == ["1", "5"]
        assert any("crashed by signal 11" in note for note in bench.board.notes)
        assert b"Guru Meditation" in bench.board.printed


def test_unknown_chip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="esp8266"):
        VirtualBoard(tmp_path, chip="esp8266")


def test_closed_board_refuses(tmp_path: Path) -> None:
    board = VirtualBoard(tmp_path, clock=SimClock())
    board.close()
    board.close()
    with pytest.raises(RuntimeError, match="closed"):
        board.power_on()
