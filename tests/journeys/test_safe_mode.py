"""A node that cannot work, on a virtual board: what it says, how long it is reachable, when it tries again."""

from __future__ import annotations

from pathlib import Path

from virtual_kit import VFS_SIZE, flash_file

from borne import boards
from borne.flashing import node
from borne.virtual import SimClock, VirtualBoard

NEW = node.node_files(boards.load("esp32-devkitc"))
SETTINGS = b'{"depth_mm":1500,"kind":"fill","mqtt_host":"h","name":"n","version":1,"wifi_ssid":"s"}'
SAFE = b"borne: safe mode: 3 wakes failed in a row"


def place(folder: Path, clock: SimClock, **files: bytes) -> VirtualBoard:
    content = (
        NEW | {"settings.json": SETTINGS} | {path.replace("__", "/"): data for path, data in files.items()}
    )
    flash_file(folder, vfs=node.filesystem(content, VFS_SIZE))
    return VirtualBoard(folder, clock=clock)


def broken(code: str) -> dict[str, bytes]:
    """The firmware with a link that fails like that; a .py is found before the .mpy of the same name."""
    return {"borne_node__sense__fill.py": f"def build(*_):\n    {code}\n".encode()}


def test_exceptions_then_an_hour_of_rest_then_another_try(tmp_path: Path) -> None:
    clock = SimClock()
    with place(tmp_path, clock, **broken("raise MemoryError")) as board:
        board.power_on()
        clock.run_for(170)
        assert board.printed.count(b"borne: failed wake") == 3
        assert SAFE in board.printed
        clock.run_for(3_000)
        assert board.printed.count(b"borne: failed wake") == 3
        clock.run_for(1_000)
        assert board.printed.count(b"borne: failed wake") == 4
        assert board.state == "asleep"


def test_a_node_that_hangs_is_found_by_its_watchdog_and_stays_reachable(tmp_path: Path) -> None:
    clock = SimClock()
    with place(
        tmp_path, clock, **broken("import time\n    while True:\n        time.sleep_ms(500)")
    ) as board:
        board.power_on()
        clock.run_for(3 * 190)
        assert board.printed.count(b"rst:0x8") == 3
        assert SAFE in board.printed
        assert board.printed.count(b"waiting 300 s for a host") == 1
        clock.run_for(310)
        assert board.state == "asleep"
        assert b"resting for an hour" in board.printed


def test_pulled_plugs_count_too_and_settings_that_are_repaired_end_it(tmp_path: Path) -> None:
    clock = SimClock()
    with place(tmp_path, clock, **broken("import time\n    time.sleep(100)")) as board:
        for _ in range(3):
            board.power_on()
            clock.run_for(30)
            board.power_off()
        board.power_on()
        clock.run_for(10)
        assert SAFE in board.printed


def test_a_module_that_does_not_load(tmp_path: Path) -> None:
    clock = SimClock()
    with place(tmp_path, clock, **{"borne_node__hardware.py": b"import nowhere\n"}) as board:
        board.power_on()
        clock.run_for(200)
        assert b"borne: the firmware does not start: ImportError; Ctrl-C for the prompt\r\n" in board.printed
        assert board.state == "waiting"
        clock.run_for(200)
        assert board.state == "asleep"
        board.forget_printed()
        clock.run_for(3_700)
        assert b"does not start" in board.printed
