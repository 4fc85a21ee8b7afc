"""A board becomes a node and stays the node that it is: the real esptool against an emulated ROM, faults on the
line.
"""

from __future__ import annotations

import os
import stat
import termios

import made_images
import pytest
from flash_kit import (
    DEVKIT,
    FILL,
    KEY,
    LORA,
    NVS_AT,
    NVS_SIZE,
    OWN,
    ROAD,
    VFS_AT,
    add_files,
    files_of,
    how,
    identity,
    lived_in,
    rescued,
    small,
    values_of,
)
from rom_board import MB, RomBoard, patient_bootloader, set_flash_id

from borne import boards
from borne.errors import BoardError, FlashError, ImageError, SettingError
from borne.flashing import backup, flasher, node, nvs
from borne.flashing.flasher import How, Job

__all__ = ["how", "patient_bootloader", "small"]


def test_a_flash_as_this_node_is_complete_in_one_go(how):
    with RomBoard() as board:
        done = flasher.flash(Job(board.port, LORA, identity(ROAD, app_key=KEY.hex().encode())), how)
        found = files_of(board.flash)
        assert b'"name":"bay-3"' in found.pop("settings.json")
        assert found == node.node_files(LORA)
        assert values_of(board.flash) == {("borne", "lw_app_key.a"): KEY}
        again = flasher.flash(Job(board.port, LORA, identity(ROAD, app_key=KEY.hex().encode())), how)
    assert done.provisioned
    assert done.written > 0
    assert again.written == 0


def test_what_is_right_already_is_not_touched_though_the_node_has_lived(how):
    with RomBoard() as board:
        lived_in(board, how)
        before, changes = bytes(board.flash.data), board.flash.changes
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert board.flash.changes == changes
        assert bytes(board.flash.data) == before
    assert (done.written, done.provisioned) == (0, True)
    assert sorted(done.kept) == sorted(OWN)


def test_new_firmware_replaces_the_old_and_nothing_of_the_nodes_own(how):
    with RomBoard() as board:
        lived_in(board, how)
        add_files(
            board.flash, {"main.py": b"while True: pass", "borne_node/gone.mpy": b"M", "boot.py": b"1/0"}
        )
        keys = values_of(board.flash)
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == {**OWN, **node.node_files(DEVKIT)}
        assert values_of(board.flash) == keys
    # The app and all else that was right stays as it is.
    assert 0 < done.written < 500_000
    assert not rescued()


@pytest.mark.parametrize("older", [{}, {"borne_node/app.mpy": b"M old"}])
def test_a_deploy_that_waits_does_not_come_back_over_what_was_flashed(how, older):
    """It was cut at its switch; main.py would finish it at the next start, with the files of then."""
    with RomBoard() as board:
        lived_in(board, how)
        pending = {
            "deploy/0": b"M of yesterday",
            "deploy/ready": b"+0 borne_node/app.mpy\n-borne_node/clock.mpy\n",
        }
        add_files(board.flash, {**older, **pending})
        keys = values_of(board.flash)
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == {**OWN, **node.node_files(DEVKIT)}
        assert values_of(board.flash) == keys
    assert sorted(done.kept) == sorted(OWN)


def test_a_changed_file_of_the_firmware_is_noticed_though_the_version_says_otherwise(how):
    with RomBoard() as board:
        lived_in(board, how)
        add_files(board.flash, {"borne_node/app.mpy": b"M\x06 patched by hand"})
        flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == {**OWN, **node.node_files(DEVKIT)}


def test_another_identity_keeps_what_is_no_secret(how):
    with RomBoard() as board:
        lived_in(board, how)
        named = identity({**FILL, "name": "bin-8"}, wifi_password=b"another word")
        flasher.flash(Job(board.port, DEVKIT, named), how)
        assert values_of(board.flash) == {
            ("borne", "wifi_pw.a"): b"another word",
            ("borne", "ledger"): b"spent" * 30,
            ("phy", "cal"): -7,
        }
        found = files_of(board.flash)
        assert b'"bin-8"' in found["settings.json"]
        assert found["outbox/1"] == OWN["outbox/1"]


def test_a_factory_reset_leaves_nothing(how, small):
    with RomBoard() as board:
        lived_in(board, how)
        done = flasher.flash(Job(board.port, DEVKIT), How(small, factory_reset=True))
        assert values_of(board.flash) == {}
        assert files_of(board.flash) == node.node_files(DEVKIT)
        for secret in (b"correct horse", b"spentspent", OWN["outbox/1"], b"bin-7"):
            assert secret not in bytes(board.flash.data)
    assert done.provisioned is False


def test_nvs_that_moves_is_carried_over(how, tmp_path):
    """The board has another layout: an older firmware with NVS and filesystem elsewhere."""
    with RomBoard() as board:
        lived_in(board, how)
        old = [
            ("nvs", 1, 2, 0x10000, 0x5000),
            ("factory", 0, 0, 0x20000, 0x1E0000),
            ("vfs", 1, 0x81, VFS_AT, 2 * MB),
        ]
        records = nvs.read(bytes(board.flash.data[NVS_AT : NVS_AT + NVS_SIZE]))
        board.flash.data[0x8000:0x8C00] = made_images.table(old)
        board.flash.data[NVS_AT : NVS_AT + NVS_SIZE] = b"\xff" * NVS_SIZE
        board.flash.data[0x10000:0x15000] = nvs.build(records, 0x5000)
        flasher.flash(Job(board.port, DEVKIT), how)
        assert values_of(board.flash) == {(record.namespace, record.key): record.value for record in records}
        assert files_of(board.flash) == {**OWN, **node.node_files(DEVKIT)}


def test_a_damaged_partition_table_costs_the_node_nothing(how):
    with RomBoard() as board:
        lived_in(board, how)
        board.flash.data[0x8020] ^= 1
        keys = values_of(board.flash)
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == {**OWN, **node.node_files(DEVKIT)}
        assert values_of(board.flash) == keys
    assert 0 < done.written < 10_000


def test_a_filesystem_that_is_damaged_is_said_and_replaced(how):
    with RomBoard() as board:
        lived_in(board, how)
        # The root's metadata is gone, its magic is not.
        for block in (0, 1):
            board.flash.data[VFS_AT + block * 4096 + 16 : VFS_AT + block * 4096 + 4096] = os.urandom(4080)
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == node.node_files(DEVKIT)
    assert "the old filesystem was damaged" in done.notes[0]
    assert done.provisioned is False


@pytest.mark.parametrize("after", [12_000, 18_000, 40_000, 60_000])
def test_a_cable_pulled_anywhere_loses_nothing(how, small, after, tmp_path):
    """New firmware and a new key over a node that has lived; the next flash finds it all."""
    other = tmp_path / "newer" / DEVKIT.image_file
    made_images.put(other.parent, DEVKIT, seed=1)
    job = {"identity": identity({**FILL, "name": "bin-8"}, wifi_password=b"another word")}
    with RomBoard() as board:
        lived_in(board, how)
        add_files(board.flash, {"main.py": b"pass", "borne_node/app.mpy": os.urandom(30_000)})
        port = board.plug(cut_after=after)
        with pytest.raises(FlashError) as caught:
            flasher.flash(Job(port, DEVKIT, **job), How(other))
        assert "run the same command again" in str(caught.value)
        # Not even the same command: without an identity the node has its old one, or already the new one.
        done = flasher.flash(Job(board.plug(), DEVKIT), How(other))
        found, keys = files_of(board.flash), values_of(board.flash)
        assert {name: found[name] for name in OWN if name != "settings.json"} == {
            name: OWN[name] for name in OWN if name != "settings.json"
        }
        assert done.provisioned
        assert found["settings.json"] in (OWN["settings.json"], node.settings_file(job["identity"]))
        assert (keys["borne", "ledger"], keys["phy", "cal"]) == (b"spent" * 30, -7)
        assert keys["borne", "wifi_pw.a"] in (b"correct horse", b"another word")
        flasher.flash(Job(board.plug(), DEVKIT, **job), How(other))
        assert values_of(board.flash)["borne", "wifi_pw.a"] == b"another word"
        assert files_of(board.flash)["outbox/1"] == OWN["outbox/1"]
    assert not rescued()


def test_what_is_saved_meanwhile_is_for_its_owner_only(how, small, tmp_path):
    other = tmp_path / "newer" / DEVKIT.image_file
    made_images.put(other.parent, DEVKIT, seed=1)
    with RomBoard() as board:
        lived_in(board, how)
        with pytest.raises(FlashError):
            flasher.flash(Job(board.plug(cut_after=40_000), DEVKIT), How(other))
        saved = rescued()
        assert [stat.S_IMODE(path.stat().st_mode) for path in saved] == [0o600]
        assert stat.S_IMODE(saved[0].parent.stat().st_mode) == 0o700
        assert backup.load(saved[0]).files["outbox/1"] == OWN["outbox/1"]
        flasher.flash(Job(board.plug(), DEVKIT), How(other))
    assert not rescued()


class Slow(RomBoard):
    """A bridge that garbles what is faster than it can."""

    fastest = 460800

    def _serve(self, cut_after):
        self._cable_at(self._master)
        super()._serve(cut_after)

    def _cable_at(self, master):
        real_read, real_write, board = os.read, os.write, self

        def read(descriptor, size):
            data = real_read(descriptor, size)
            return data if descriptor != master else board.garbled(master, data)

        def write(descriptor, data):
            if descriptor != master:
                return real_write(descriptor, data)
            real_write(descriptor, board.garbled(master, data))
            return len(data)

        self.patch.setattr(os, "read", read)
        self.patch.setattr(os, "write", write)

    def garbled(self, master, data):
        speed = termios.tcgetattr(master)[5]
        too_fast = speed in FASTER[self.fastest]
        return bytes(byte ^ 0x5A for byte in data) if too_fast else data


FASTER = {
    460800: (termios.B921600,),
    115200: (termios.B921600, termios.B460800, termios.B230400),
}


@pytest.mark.parametrize("fastest", [460800, 115200])
def test_the_highest_speed_that_works_is_taken(how, monkeypatch, fastest):
    monkeypatch.setattr(Slow, "fastest", fastest)
    monkeypatch.setattr(Slow, "patch", monkeypatch, raising=False)
    with Slow() as board:
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == node.node_files(DEVKIT)
    assert done.baud == fastest


def test_a_given_speed_is_the_highest_that_is_tried(small):
    with RomBoard() as board:
        done = flasher.flash(Job(board.port, DEVKIT), How(small, baud=230400))
    assert done.baud == 230400


class Noisy(RomBoard):
    """A line that flips a bit of every so manieth byte that the host sends, from the start of the writes on."""

    every = 20_000

    def _serve(self, cut_after):
        write, seen = self.flash.write_defl_block, [0]

        def lossy(payload):
            seen[0] += len(payload)
            if seen[0] // self.every != (seen[0] - len(payload)) // self.every and self.budget:
                self.budget -= 1
                payload = payload[:20] + bytes([payload[20] ^ 4]) + payload[21:]
            write(payload)

        self.flash.write_defl_block = lossy
        super()._serve(cut_after)


def test_bits_that_flip_on_the_way_are_noticed_and_sent_again(how, monkeypatch):
    monkeypatch.setattr(Noisy, "budget", 1, raising=False)
    with Noisy() as board:
        done = flasher.flash(Job(board.port, DEVKIT), how)
        assert files_of(board.flash) == node.node_files(DEVKIT)
    assert done.baud < 921600


class Mute(RomBoard):
    """A board that falls silent amid a write, and stays so until it is plugged in again."""

    def _serve(self, cut_after):
        write, seen = self.flash.write_defl_block, [0]

        def fading(payload):
            seen[0] += len(payload)
            if seen[0] > 30_000 and self.fades:
                self._stop.wait()
            write(payload)

        self.flash.write_defl_block = fading
        super()._serve(cut_after)


def test_a_board_that_falls_silent_is_said_and_the_next_flash_recovers(how, monkeypatch):
    monkeypatch.setattr("borne.flashing.chip._CONNECT_ATTEMPTS", 1)
    monkeypatch.setattr(Mute, "fades", True, raising=False)
    with Mute() as board:
        with pytest.raises(FlashError, match=r"the link broke at \d+% .*run the same command again"):
            flasher.flash(Job(board.port, DEVKIT), how)
        board.fades = False
        flasher.flash(Job(board.plug(), DEVKIT), how)
        assert files_of(board.flash) == node.node_files(DEVKIT)


def test_the_last_comparison_reads_what_was_not_written_too(how, small):
    class Rotten(RomBoard):
        """Flash whose cells change while others are written."""

        def _serve(self, cut_after):
            answer = self.flash.md5_stub_response

            def rot(payload, **options):
                said = answer(payload, **options)
                # The root is written last; its own comparison is still right.
                if self.flash.data[VFS_AT] != 0xFF:
                    self.flash.data[0x1100] = 0
                return said

            self.flash.md5_stub_response = rot
            super()._serve(cut_after)

    with Rotten() as board, pytest.raises(FlashError, match="does not hold what"):
        flasher.flash(Job(board.port, DEVKIT), how)


def test_a_board_with_a_smaller_flash_is_refused_untouched(how, monkeypatch):
    set_flash_id(monkeypatch, 2)
    with RomBoard(flash_mb=2) as board:
        with pytest.raises(
            BoardError, match="the flash has 2 MB, but board esp32-devkitc has 4 MB; nothing was"
        ):
            flasher.flash(Job(board.port, DEVKIT), how)
        assert board.flash.changes == 0


def test_what_cannot_be_is_refused_before_any_board_is_opened(how):
    with pytest.raises(SettingError, match="has no LoRa radio"):
        flasher.flash_all([Job("/dev/ttyNONE", DEVKIT, identity(ROAD, app_key=KEY.hex().encode()))], how)
    with pytest.raises(ImageError, match="no such image file"):
        flasher.flash(Job("/dev/ttyNONE", DEVKIT), How("/nowhere.bin"))


def test_every_kind_of_board_at_once(small, tmp_path, monkeypatch):
    monkeypatch.setenv("BORNE_IMAGES", str(tmp_path / "images"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    kinds = [boards.load(name) for name in ("esp32-c3-devkitm", "lilygo-t3-s3")]
    for kind in kinds:
        made_images.put(tmp_path / "images", kind)
    with RomBoard("esp32c3") as c3, RomBoard("esp32s3") as s3, RomBoard("esp32c3") as wrong:
        jobs = [Job(c3.port, kinds[0]), Job(wrong.port, kinds[1]), Job(s3.port, kinds[1])]
        results = flasher.flash_all(jobs)
        for board, kind in ((c3, kinds[0]), (s3, kinds[1])):
            assert files_of(board.flash) == node.node_files(kind)
            assert board.flash.data[0] == 0xE9
        assert wrong.flash.changes == 0
    assert isinstance(results[1], BoardError)
    assert [done.board for done in (results[0], results[2])] == ["esp32-c3-devkitm", "lilygo-t3-s3"]
