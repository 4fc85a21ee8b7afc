"""borne deploy against virtual boards: what is on the flash afterwards is read by littlefs-python, byte for byte."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from littlefs import LittleFS
from serial_server import Line, SerialServer
from virtual_kit import VFS_AT, VFS_SIZE, flash_file

from borne import boards
from borne.errors import BorneError, ReadBackError, ReplError
from borne.flashing import node, tree
from borne.flashing.deploy import deploy
from borne.flashing.repl import Repl
from borne.virtual import VirtualBoard

BORNE = str(Path(sys.executable).with_name("borne"))
READY = b"waiting 3 s for a host"
NEW = node.node_files(boards.load("esp32-devkitc"))
# What a node has of its own.
OWN = {"settings.json": b'{"kind":"?"}', "outbox/00": b"a report", "log": b"1 wake failed\n"}
APP = "borne_node/app.mpy"


def earlier() -> dict[str, bytes]:
    """An older firmware: other files, one that is gone since, one that came since, a package that became a module."""
    content = {path: data for path, data in NEW.items() if path != "borne_node/health.mpy"}
    content[APP] = NEW["borne_node/health.mpy"]
    content["borne_node/health/old.mpy"] = b"a module of a package that is gone"
    content["borne_node/stray.py"] = b"raise ImportError"
    content[tree.VERSION_FILE] = b'{"borne_node":"0.0.9","files":"00","settings":1}'
    return content


OLD = earlier()


def filesystem(flash: bytes) -> dict[str, bytes]:
    system = LittleFS(block_size=4096, block_count=VFS_SIZE // 4096, mount=False)
    system.context.buffer = bytearray(flash[VFS_AT : VFS_AT + VFS_SIZE])
    system.mount()
    found = {}
    for folder, _, names in system.walk("/"):
        for name in names:
            path = f"{folder.rstrip('/')}/{name}".lstrip("/")
            with system.open(path, "rb") as file:
                found[path] = bytes(file.read())
    return found


def on_flash(board: VirtualBoard) -> dict[str, bytes]:
    return filesystem((board.folder / "flash.bin").read_bytes())


def firmware(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path not in OWN and not path.startswith("deploy/")}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., VirtualBoard]]:
    placed: list[VirtualBoard] = []

    def _place(files: dict[str, bytes], **options: object) -> VirtualBoard:
        folder = tmp_path / f"board{len(placed)}"
        flash_file(folder, vfs=node.filesystem(files, VFS_SIZE))
        placed.append(VirtualBoard(folder, **options))  # type: ignore[arg-type]
        placed[-1].power_on()
        return placed[-1]

    yield _place
    for board in placed:
        board.close()


def borne(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BORNE, "deploy", *arguments], capture_output=True, text=True, timeout=120)


def test_only_what_differs_is_sent_and_all_else_stays(place: Callable[..., VirtualBoard]) -> None:
    board = place(OLD | OWN)
    done = borne("--port", board.port, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert result["changed"] == [APP, "borne_node/health.mpy", "version.json"]
    assert result["removed"] == ["borne_node/health/old.mpy", "borne_node/stray.py"]
    assert result["bytes"] == sum(len(NEW[path]) for path in result["changed"])
    assert on_flash(board) == NEW | OWN
    board.forget_printed()
    again = borne("--port", board.port)
    assert again.stdout == f"{board.port}: has firmware 0.1.0 as it is here; nothing was written\n"
    assert board.wait_for(READY)  # it runs again


def test_over_ampy_sockets_and_rfc2217(place: Callable[..., VirtualBoard]) -> None:
    board = place(OLD | OWN)
    done = borne("--port", board.port, "--via", "ampy")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(
        "firmware 0.1.0: 3 files (11013 bytes) changed, 2 removed\n".replace(
            "11013", str(sum(len(NEW[path]) for path in (APP, "borne_node/health.mpy", "version.json")))
        )
    )
    assert on_flash(board) == NEW | OWN
    for rfc2217 in (False, True):
        board = place(OLD)
        with SerialServer(Line(board.port), rfc2217=rfc2217) as server:
            assert len(deploy(server.url).changed) == 3
        assert on_flash(board) == NEW


def test_a_node_whose_main_knows_no_switch_gets_one_first(place: Callable[..., VirtualBoard]) -> None:
    before = OLD | {"main.py": b"print('an old main')\n"}
    del before["borne_node/switch.mpy"]
    board = place(before | OWN)
    assert "main.py" in deploy(board.port).changed
    assert on_flash(board) == NEW | OWN


def bytes_of(board: VirtualBoard) -> int:
    """What a deploy to this board lets through its cable, both ways."""
    assert board.wait_for(READY)
    board.line.fault(cut_after=1 << 30)
    deploy(board.port, restart=False)
    assert board.line._fault is not None
    return board.line._fault.passed


def test_a_cable_and_the_power_may_go_at_any_byte(place: Callable[..., VirtualBoard]) -> None:
    total = bytes_of(place(OLD | OWN))
    outcomes = []
    # Everywhere, and closer at the end, where the list is put in place and carried out.
    for cut in (*range(200, total - 900, total // 9), *range(total - 900, total + 300, 100)):
        board = place(OLD | OWN)
        assert board.wait_for(READY)
        board.line.fault(cut_after=cut)
        try:
            deploy(board.port)
            said_done = True
        except BorneError:
            said_done = False
        board.power_off()
        before = firmware(on_flash(board))
        # A deploy takes a few bytes more or less each time: the last cuts come after its end.
        assert not said_done or before == NEW, cut
        board.replug()
        board.forget_printed()
        board.power_on()
        assert board.wait_for(READY)
        after = on_flash(board)
        assert {path: after[path] for path in OWN} == OWN
        assert firmware(after) in (OLD, NEW), cut
        outcomes.append((before == OLD, firmware(after) == NEW))
        board.close()
    assert (True, False) in outcomes
    assert any(done for _, done in outcomes)


def test_a_deploy_that_was_cut_goes_on_where_it_was(place: Callable[..., VirtualBoard]) -> None:
    """More than fits one round trip: what has arrived is not sent again."""
    drivers = [path for path in NEW if path.startswith("borne_node/chips/")][:6]
    older = OLD | OWN | dict.fromkeys(drivers, b"another")
    total = bytes_of(place(older))
    board = place(older)
    assert board.wait_for(READY)
    board.line.fault(cut_after=total * 8 // 9)
    with pytest.raises(BorneError):
        deploy(board.port)
    board.replug()
    assert [path for path in on_flash(board) if path.startswith("deploy/")]
    # Packed, they take about four fifths of their size.
    assert bytes_of(board) < total - sum(len(NEW[path]) for path in drivers) // 2
    assert on_flash(board) == NEW | OWN


def test_after_the_switch_the_boot_finishes_what_the_host_could_not(
    place: Callable[..., VirtualBoard],
) -> None:
    ready = (
        "-borne_node/health/old.mpy\n-borne_node/stray.py\n+0 borne_node/app.mpy\n+1 borne_node/health.mpy\n"
    )
    staged = {
        "deploy/ready": f"{ready}+2 version.json\n".encode(),
        "deploy/0": NEW[APP],
        "deploy/1": NEW["borne_node/health.mpy"],
        "deploy/2": NEW["version.json"],
    }
    board = place(OLD | OWN | staged)
    assert board.wait_for(READY)
    assert on_flash(board) == NEW | OWN
    # And so does the next deploy, where main.py had no chance yet.
    board = place(OLD | OWN | staged | {"main.py": b"print('* other')\n"})
    assert board.wait_for(b"* other")
    assert deploy(board.port).changed == ("main.py",)
    assert on_flash(board) == NEW | OWN


@pytest.mark.parametrize("fault", [{"drop": 1e-3}, {"flip": 1e-3}], ids=["dropped", "flipped"])
def test_a_bad_line_never_leaves_half_a_firmware(
    place: Callable[..., VirtualBoard], fault: dict[str, float]
) -> None:
    outcomes = set()
    board = place(OLD | OWN)
    for seed in range(4):
        assert board.wait_for(READY)
        board.line.fault(**fault, seed=seed)  # type: ignore[arg-type]
        try:
            deploy(board.port)
            outcomes.add("done")
        except (ReplError, ReadBackError):
            outcomes.add("refused")
        board.line.fault()
        board.forget_printed()
        board.reset()
    assert board.wait_for(READY)
    assert firmware(on_flash(board)) in (OLD, NEW)
    deploy(board.port)
    assert on_flash(board) == NEW | OWN
    assert "refused" in outcomes


def test_a_full_filesystem_is_said_before_anything_is_written(place: Callable[..., VirtualBoard]) -> None:
    filler = {"filler": bytes(VFS_SIZE - 4096 * (len(OLD) * 2 + 20))}
    board = place(OLD | filler)
    with Repl(board.port) as opened:
        opened.run(
            "f=open('more','wb')\ntry:\n while 1:f.write(bytes(4096));f.flush()\nexcept OSError:pass\n"
            "try:f.close()\nexcept OSError:pass\n",
            60,
        )
    before = on_flash(board)
    done = borne("--port", board.port)
    assert done.returncode == 1
    assert "KB left, the deploy needs" in done.stderr
    assert "nothing was changed" in done.stderr
    assert done.stderr.count("\n") == 1
    assert on_flash(board) == before


def test_a_board_that_is_no_node(place: Callable[..., VirtualBoard]) -> None:
    board = place({"main.py": b"print('* mine')\n"})
    assert board.wait_for(b"* mine")
    done = borne("--port", board.port)
    assert done.returncode == 1
    assert "flash the board first (borne flash)" in done.stderr
    assert on_flash(board) == {"main.py": b"print('* mine')\n"}


def test_a_micropython_that_loads_other_bytecode(
    place: Callable[..., VirtualBoard], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {path: data[:1] + b"\x05" + data[2:] for path, data in tree.firmware_files().items()}
    monkeypatch.setattr(tree, "firmware_files", lambda: other)
    board = place(OLD)
    with pytest.raises(ReplError, match="loads bytecode of version 6, the firmware is version 5"):
        deploy(board.port)
    assert on_flash(board) == OLD


def test_wrong_ways_and_ports() -> None:
    done = borne("--port", "/dev/ttyNONE", "--via", "rshell")
    assert (done.returncode, done.stderr) == (2, "borne: via: there is mpremote and ampy, no 'rshell'\n")
    done = borne("--port", "/dev/ttyNONE")
    assert done.returncode == 2
    assert "there is no such port" in done.stderr
