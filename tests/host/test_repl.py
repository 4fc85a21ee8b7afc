from __future__ import annotations

import errno
import hashlib
import json

import pytest
import serial
from pty_board import PtyBoard
from serial_server import Line, SerialServer

from borne import boards
from borne.errors import NoAnswer, PortError, ReadBackError, ReplError
from borne.flashing import node, repl
from borne.flashing.entering import Entrance
from borne.flashing.repl import Repl

EVERY_BYTE = bytes(range(256)) * 9


@pytest.fixture
def board(tmp_path):
    with PtyBoard(tmp_path / "board") as running:
        yield running


def test_code_runs_and_what_it_prints_comes_back(board):
    with Repl(board.port) as on_board:
        assert on_board.run("print(6*7)\nprint('a')") == "42\na\n"
        assert on_board.run("pass") == ""


def test_entering_again_after_leaving(board):
    for turn in range(3):
        with Repl(board.port) as on_board:
            assert on_board.run(f"print({turn})") == f"{turn}\n"


def test_a_board_left_in_raw_mode_is_entered_all_the_same(board):
    with pytest.raises(ZeroDivisionError), Repl(board.port):
        raise ZeroDivisionError
    with Repl(board.port) as on_board:
        assert on_board.run("print(1)") == "1\n"


def test_an_exception_on_the_board_is_quoted_in_one_line(board):
    with Repl(board.port) as on_board, pytest.raises(ReplError) as caught:
        on_board.run("open('nowhere')")
    assert str(caught.value) == f"{board.port}: the board says: OSError: [Errno 2] ENOENT"


def test_code_that_does_not_end_is_given_up(board):
    with Repl(board.port) as on_board, pytest.raises(ReplError, match="stopped answering"):
        on_board.run("import time\ntime.sleep(60)", timeout=0.2)


@pytest.mark.parametrize("content", [b"", b"x", EVERY_BYTE, b"\x04\x03\x01" * 300], ids=len)
def test_files_survive_the_way_there_and_back(board, content):
    with Repl(board.port) as on_board:
        on_board.write_file("some.bin", content)
        assert on_board.read_file("some.bin") == content
    assert (board.folder / "some.bin").read_bytes() == content
    assert [path.name for path in board.folder.iterdir()] == ["some.bin"]


def test_no_file_is_none(board):
    with Repl(board.port) as on_board:
        assert on_board.read_file("nowhere") is None


def test_a_folder_is_no_file(board):
    (board.folder / "folder").mkdir()
    with Repl(board.port) as on_board, pytest.raises(ReplError, match="the board says: OSError"):
        on_board.read_file("folder")


def test_a_file_garbled_on_the_way_is_noticed_and_the_old_one_stands(board):
    (board.folder / "some.bin").write_bytes(b"old")
    port = board.plug(garble=(b"TkVX", b"TkVY"))
    with (
        Repl(port) as on_board,
        pytest.raises(ReadBackError, match=r"some\.bin on the board is not what was"),
    ):
        on_board.write_file("some.bin", b"NEW")
    assert (board.folder / "some.bin").read_bytes() == b"old"


@pytest.mark.parametrize("lines", [1, 99], ids=["short", "packed"])
def test_code_that_changes_something_runs_as_it_was_sent_with_its_data(board, lines):
    code = "print(len(d))\n" * lines + "print(bytes(d)==bytes(range(256))*9)"
    with Repl(board.port) as on_board:
        assert on_board.run_whole(code, data=EVERY_BYTE) == f"{len(EVERY_BYTE)}\n" * lines + "True\n"


@pytest.mark.parametrize("padding", ["", "#" * 999], ids=["short", "packed"])
def test_what_arrives_garbled_does_not_run_and_is_sent_again(board, padding):
    port = board.plug(garble=(b"this", b"that"))
    with Repl(port) as on_board:
        on_board.run_whole(f"open('ran','ab').write(d)\n{padding}", data=b"this")
    assert board.garbled
    assert (board.folder / "ran").read_bytes() == b"this"


def test_a_board_that_cannot_unpack_gets_the_code_as_it_is(board):
    """As MicroPython says it where the module is not built in."""
    first = "try:n+=1\nexcept NameError:n=1\nif n==1:raise ImportError(\"no module named 'deflate'\")\n"
    with Repl(board.port) as on_board:
        assert on_board.run_whole(
            first + "#" * 999 + "\nprint('_n' in globals(),n,d)", data=b"data"
        ).startswith("True 2 b'data'")
        assert on_board.run_whole("#" * 999 + "\nprint(_s[:1])") == "#\n"


def test_a_cable_pulled_anywhere_leaves_the_old_file_or_the_new_one(board):
    old, new = b"old" * 500, b"new" * 900
    with Repl(board.plug()) as on_board:
        on_board.write_file("some.bin", new)
    total = board.sent
    outcomes = set()
    # Everywhere, and closer around the rename, which is the last thing that is sent.
    for cut_after in (*range(1, total - 60, total // 20), *range(total - 60, total + 20, 8)):
        (board.folder / "some.bin").write_bytes(old)
        try:
            with Repl(board.plug(cut_after)) as on_board:
                on_board.write_file("some.bin", new)
        except (ReplError, NoAnswer):
            pass
        with Repl(board.plug()) as on_board:
            outcomes.add(on_board.read_file("some.bin"))
    assert outcomes == {old, new}


def test_a_pulled_cable_is_said_in_one_line(board):
    port = board.plug(cut_after=200)
    with pytest.raises(ReplError) as caught, Repl(port) as on_board:
        on_board.write_file("some.bin", EVERY_BYTE)
    assert str(caught.value) == f"{port}: the link broke: check the cable and try again"


def test_what_was_sent_is_in_no_error(board):
    with Repl(board.port) as on_board:
        for code in ("raise ValueError('x') # hunter2", "hunter2(", "s='hunter2'\nopen('nowhere')"):
            with pytest.raises(ReplError) as caught:
                on_board.run(code)
            assert "hunter2" not in str(caught.value)


def test_reset_starts_the_board_anew(board):
    with Repl(board.port) as on_board:
        on_board.run("kept = 1")
        on_board.reset()
    with Repl(board.port) as on_board:
        assert on_board.run("print('kept' in globals())") == "False\n"
    assert board.resets == 1


def test_versions(board):
    with Repl(board.port) as on_board:
        assert on_board.implementation().count(".") == 2
        assert on_board.firmware() is None
        content = node.node_files(boards.load("esp32-devkitc"))["version.json"]
        on_board.write_file("version.json", content)
        assert on_board.firmware() == json.loads(content)
        for foreign in (b"", b"{", b"[]", b"{}"):
            on_board.write_file("version.json", foreign)
            assert on_board.firmware() is None


def test_over_a_raw_socket(board):
    with SerialServer(Line(board.port)) as server, Repl(server.url) as on_board:
        assert on_board.run("print(1)") == "1\n"
        on_board.write_file("some.bin", EVERY_BYTE)
    assert (board.folder / "some.bin").read_bytes() == EVERY_BYTE


def test_over_rfc2217_a_sleeping_board_is_reset_by_its_control_lines(board):
    line = Line(board.port, awake=False)
    with SerialServer(line, rfc2217=True) as server, Repl(server.url) as on_board:
        assert on_board.run("print(1)") == "1\n"
    assert line.resets == 1


def test_a_silent_port():
    with SerialServer() as server, pytest.raises(NoAnswer, match="nothing answers; .* press RESET"):
        Repl(server.url).__enter__()


def test_a_board_that_talks_but_gives_no_prompt_is_quoted():
    with SerialServer(says=b"tick\r\n") as server, pytest.raises(ReplError) as caught:
        Repl(server.url).__enter__()
    said = str(caught.value)
    assert "cannot be interrupted" in said
    assert "'tick'" in said
    assert "within 3 s" in said


def test_noise_is_called_noise():
    with SerialServer(says=b"\xf0\x80\xff\x00\xfe\x91") as server, pytest.raises(ReplError, match="no text"):
        Repl(server.url).__enter__()


def test_no_such_port():
    with pytest.raises(PortError, match="there is no such port"):
        Repl("/dev/ttyNONE").__enter__()


def test_no_such_server():
    with SerialServer() as server:
        url = server.url
    with pytest.raises(PortError, match="cannot be reached: Connection refused"):
        Repl(url).__enter__()


def test_the_digest_that_is_compared_is_sha256(board):
    with Repl(board.port) as on_board:
        on_board.run(repl._OPEN % "x" + "f.write(b'abc')")
        assert on_board.run(repl._HASH % "x").strip() == hashlib.sha256(b"abc").hexdigest()


class OwnUsb(serial.Serial):
    """A chip with USB of its own, such as a C3 or S3: its port goes when EN rises, and comes back under its name.

    `reset` puts the cable in again; the lines of a pty move nothing.
    """

    def __init__(self, port, reset):
        self._reset = reset
        self._was_low = False
        super().__init__(port, timeout=0.02, exclusive=True)

    def _update_dtr_state(self):
        pass

    def _update_rts_state(self):
        if self._was_low and not self._rts_state:
            self._was_low = False
            self._reset()
            raise OSError(errno.EIO, "Input/output error")
        self._was_low = self._rts_state and self._dtr_state is False


def test_a_port_that_leaves_with_the_reset_of_its_chip_is_opened_again(board):
    line = OwnUsb(board.port, board.plug)
    entrance = Entrance(line, board.port)
    assert entrance.pulse_reset()
    assert line.is_open
    entrance.enter(insist=False)
    line.write(b"print(6 * 7)\x04")
    line.timeout = 5
    assert line.read_until(b"42").endswith(b"42")
    line.close()
