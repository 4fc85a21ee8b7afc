# micropython only
"""The outbox on a real littlefs over NOR flash in RAM: wear, power cuts at every operation, a full disk."""

import gc
import os

import vfs
from disk import FlashDisk
from outbox_model import Life
from support import raises

from borne_node.errors import StorageError
from borne_node.outbox import Outbox

PLACE = "/flash"


def mount(disk):
    # MicroPython's own sizes on the ESP32 (ports/esp32/modules/inisetup.py: mkfs with its defaults).
    vfs.mount(vfs.VfsLfs2(disk, progsize=32, readsize=32, lookahead=32), PLACE)


def fresh(blocks):
    gc.collect()
    disk = FlashDisk(blocks)
    vfs.VfsLfs2.mkfs(disk, progsize=32, readsize=32, lookahead=32)
    mount(disk)
    return disk


def payloads(outbox):
    return [payload for _, _, payload in outbox]


def test_a_report_in_and_out_costs_a_tenth_of_a_block_erase():
    disk = fresh(48)
    outbox = Outbox(PLACE + "/outbox", 64)
    before = disk.erases
    for number in range(300):
        outbox.put(10, bytes([number & 255] * 51))
        for slot, _, _ in outbox:
            outbox.delivered(slot)
    vfs.umount(PLACE)
    assert (disk.erases - before) / 300 < 0.1


def test_a_long_outage_and_its_end_cost_few_erases():
    disk = fresh(48)
    outbox = Outbox(PLACE + "/outbox", 64)
    before = disk.erases
    for number in range(200):
        outbox.put(10, bytes([number] * 51))
    assert outbox.dropped == 136
    for slot, _, _ in outbox:
        outbox.delivered(slot)
    vfs.umount(PLACE)
    assert (disk.erases - before) / 200 < 0.6


def test_a_power_cut_at_any_block_operation_keeps_every_promise():
    # After so many reports the directory's log is nearly full, and littlefs compacts it during the life.
    compacted = 0
    for slots, earlier in ((1, 0), (3, 0), (3, 14), (3, 16), (1, 17)):
        disk = fresh(12)
        outbox = Outbox(PLACE + "/outbox", slots)
        for _ in range(earlier):
            outbox.put(10, bytes(51))
            outbox.delivered(0)
        vfs.umount(PLACE)
        before = bytes(disk.data)
        mount(disk)
        erases, programs = disk.erases, disk.programs
        Life(slots).run(Outbox(PLACE + "/outbox", slots))
        compacted += disk.erases - erases
        operations = disk.erases - erases + disk.programs - programs
        vfs.umount(PLACE)
        assert operations > 10
        for operation in range(operations):
            disk.data[:] = before
            cut_at(disk, slots, operation)
    assert compacted >= 3


def cut_at(disk, slots, operation):
    disk.power_on()
    mount(disk)
    disk.cut_after = operation
    life = Life(slots)
    with raises(StorageError, OSError):
        life.run(Outbox(PLACE + "/outbox", slots))
    vfs.umount(PLACE)
    disk.power_on()
    mount(disk)
    life.check(Outbox(PLACE + "/outbox", slots), False, operation)
    Outbox(PLACE + "/outbox", slots).put(10, b"~~~")
    assert payloads(Outbox(PLACE + "/outbox", slots))[-1] == b"~~~", operation
    vfs.umount(PLACE)


def hog():
    number = 0
    while True:
        try:
            with open(PLACE + "/hog%d" % number, "wb") as file:
                file.write(bytes(4096))
            number += 1
        except OSError:
            return number


def test_the_reserve_holds_the_slots_when_others_filled_the_disk():
    fresh(48)
    outbox = Outbox(PLACE + "/outbox", 64)
    assert hog() > 10
    for number in range(200):
        outbox.put(10, bytes([number] * 51))
    assert [payload[0] for payload in payloads(outbox)] == list(range(136, 200))
    assert "reserve" not in os.listdir(PLACE + "/outbox")
    outbox = Outbox(PLACE + "/outbox", 64)
    assert outbox.dropped == 136
    for slot, _, _ in outbox:
        outbox.delivered(slot)
    vfs.umount(PLACE)


def test_a_disk_full_from_the_start_is_a_storage_error_and_later_heals():
    fresh(12)
    hogs = hog()
    with raises(StorageError):
        for _ in range(400):
            Outbox(PLACE + "/outbox", 64).put(10, bytes(51))
    for number in range(hogs):
        os.remove(PLACE + "/hog%d" % number)
    outbox = Outbox(PLACE + "/outbox", 16)
    outbox.put(10, b"again")
    assert payloads(Outbox(PLACE + "/outbox", 16))[-1] == b"again"
    vfs.umount(PLACE)
