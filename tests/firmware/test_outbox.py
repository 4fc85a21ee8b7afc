"""The outbox over a folder in RAM that is cut at every change, torn, full or worn out."""

from disk import FakeFolder, PowerCut
from outbox_model import Life
from support import raises

from borne_node.errors import PayloadTooLong, StorageError
from borne_node.outbox import Outbox


def payloads(outbox):
    return [payload for _, _, payload in outbox]


def filled(slots, count, folder=None):
    folder = folder or FakeFolder()
    outbox = Outbox("outbox", slots, folder=folder)
    for number in range(count):
        outbox.put(10, b"%03d" % number)
    return folder, outbox


def test_reports_come_back_oldest_first_after_a_reboot():
    folder, outbox = filled(4, 3)
    again = Outbox("outbox", 4, folder=folder)
    assert [(port, payload) for _, port, payload in again] == [(10, b"000"), (10, b"001"), (10, b"002")]
    assert len(again) == 3
    assert again.dropped == 0


def test_a_delivered_report_is_gone_for_good():
    folder, outbox = filled(4, 3)
    for slot, _, payload in outbox:
        if payload != b"001":
            outbox.delivered(slot)
    assert payloads(outbox) == [b"001"]
    assert payloads(Outbox("outbox", 4, folder=folder)) == [b"001"]


def test_delivering_twice_is_the_callers_mistake():
    folder, outbox = filled(2, 1)
    slot = next(iter(outbox))[0]
    outbox.delivered(slot)
    with raises(ValueError):
        outbox.delivered(slot)


def test_every_length_and_port_survives():
    folder, outbox = filled(64, 0)
    for size in range(52):
        outbox.put(1 + size * 4, bytes(range(size)))
    again = Outbox("outbox", 64, folder=folder)
    assert [(port, payload) for _, port, payload in again] == [
        (1 + s * 4, bytes(range(s))) for s in range(52)
    ]


def test_a_payload_too_long_and_a_port_out_of_range_change_nothing():
    folder, outbox = filled(2, 1)
    with raises(PayloadTooLong):
        outbox.put(10, bytes(52))
    for port in (0, 256, -1):
        with raises(ValueError):
            outbox.put(port, b"x")
    assert payloads(outbox) == [b"000"]


def test_when_full_the_oldest_is_dropped_and_counted():
    folder, outbox = filled(4, 7)
    assert payloads(outbox) == [b"003", b"004", b"005", b"006"]
    assert outbox.dropped == 3
    assert Outbox("outbox", 4, folder=folder).dropped == 3


def test_the_count_outlives_the_reports_that_knew_it():
    folder, outbox = filled(2, 5)
    for slot, _, _ in outbox:
        outbox.delivered(slot)
    assert Outbox("outbox", 2, folder=folder).dropped == 3


def test_order_holds_over_many_rounds_with_holes():
    folder, outbox = filled(4, 0)
    expected = []
    for number in range(60):
        payload = b"%03d" % number
        outbox.put(10, payload)
        expected = (expected + [payload])[-4:]
        if number % 3 == 0:
            waiting = list(outbox)
            slot, _, gone = waiting[len(waiting) // 2]
            outbox.delivered(slot)
            expected.remove(gone)
        if number % 7 == 0:
            outbox = Outbox("outbox", 4, folder=folder)
        assert payloads(outbox) == expected


def test_put_between_steps_of_an_iteration():
    folder, outbox = filled(3, 2)
    seen = []
    for slot, _, payload in outbox:
        outbox.delivered(slot)
        seen.append(payload)
        if len(seen) < 10:
            outbox.put(10, b"n%d" % len(seen))
    assert seen == [b"000", b"001"] + [b"n%d" % n for n in range(1, 10)]


def test_a_power_cut_at_any_change_loses_no_promised_report():
    # With one slot, the record that is delivered is the only one that knows what was dropped; on a filesystem
    # that tears files (littlefs does not), that knowledge could be torn with it.
    for slots, torn in ((1, False), (3, False), (3, True)):
        whole = FakeFolder()
        Life(slots).run(Outbox("outbox", slots, folder=whole))
        assert whole.changes > 10
        for operation in range(whole.changes):
            cut_at(slots, operation, torn)


def cut_at(slots, operation, torn):
    folder = FakeFolder(cut_after=operation, torn=torn)
    life = Life(slots)
    with raises(PowerCut):
        life.run(Outbox("outbox", slots, folder=folder))
    folder.cut_after = None
    life.check(Outbox("outbox", slots, folder=folder), torn, operation)
    Outbox("outbox", slots, folder=folder).put(10, b"~~~")
    assert payloads(Outbox("outbox", slots, folder=folder))[-1] == b"~~~"


def test_a_flipped_bit_anywhere_costs_one_report_and_is_counted():
    for position in range(16):
        folder, outbox = filled(4, 3)
        broken = bytearray(folder.files["01"])
        broken[position % len(broken)] ^= 0x10
        folder.files["01"] = bytes(broken)
        outbox = Outbox("outbox", 4, folder=folder)
        assert payloads(outbox) == [b"000", b"002"]
        assert outbox.dropped == 1
        assert payloads(Outbox("outbox", 4, folder=folder)) == [b"000", b"002"]


def test_what_is_unreadable_is_counted_on_top_of_what_was_dropped():
    for name, left in (("00", [b"002", b"004"]), ("02", [b"003", b"004"])):
        folder, outbox = filled(3, 5)
        folder.files[name] = b"garbage"
        outbox = Outbox("outbox", 3, folder=folder)
        assert payloads(outbox) == left
        assert outbox.dropped == 3
        assert Outbox("outbox", 3, folder=folder).dropped == 3


def test_a_lost_count_is_made_anew():
    folder, outbox = filled(2, 5)
    for slot, _, _ in outbox:
        outbox.delivered(slot)
    folder.files["lost"] = b"garbage"
    outbox = Outbox("outbox", 2, folder=folder)
    assert outbox.dropped == 1
    outbox.put(10, b"x")
    outbox.delivered(next(iter(outbox))[0])
    assert folder.files["lost"] != b"garbage"
    assert Outbox("outbox", 2, folder=folder).dropped == 1


def test_a_full_disk_does_not_send_the_same_report_for_ever():
    folder, outbox = filled(2, 3)
    del folder.files["reserve"]
    folder.capacity = 0
    for slot, _, _ in outbox:
        outbox.delivered(slot)
    assert payloads(Outbox("outbox", 2, folder=folder)) == []


def test_any_bytes_in_any_file_are_no_crash():
    for content in (b"", b"\0", bytes(13), bytes(64), b"\xff" * 64, b"\xff" * 300):
        folder, outbox = filled(4, 6)
        for name in list(folder.files):
            folder.files[name] = content
        outbox = Outbox("outbox", 4, folder=folder)
        assert payloads(outbox) == []
        outbox.put(10, b"new")
        assert payloads(Outbox("outbox", 4, folder=folder)) == [b"new"]


def test_a_record_that_goes_bad_while_waiting_is_skipped_and_counted():
    folder, outbox = filled(4, 3)
    folder.files["00"] = b"garbage"
    assert payloads(outbox) == [b"001", b"002"]
    assert outbox.dropped == 1
    assert len(outbox) == 2


def test_foreign_files_are_left_alone():
    folder, outbox = filled(4, 1)
    for name in ("notes.txt", "7f", "1", "-1", "+2", "0x", "zz", "000"):
        folder.files[name] = b"?"
    outbox = Outbox("outbox", 4, folder=folder)
    assert payloads(outbox) == [b"000"]
    assert outbox.dropped == 0
    assert folder.files["notes.txt"] == b"?"


def test_a_full_filesystem_is_a_storage_error_and_keeps_what_waits():
    folder = FakeFolder(capacity=4 * 1024 + 40)
    outbox = Outbox("outbox", 4, folder=folder)
    folder.capacity = 40  # somebody else took the rest, and the reserve is given up
    outbox.put(10, b"first report")
    assert "reserve" not in folder.files
    with raises(StorageError) as caught:
        outbox.put(10, b"second report")
    assert "full" in str(caught.value)
    assert payloads(outbox) == [b"first report"]
    assert payloads(Outbox("outbox", 4, folder=folder)) == [b"first report"]


def test_a_worn_out_file_is_a_storage_error_on_put_and_a_loss_on_read():
    folder, outbox = filled(2, 1)
    folder.broken = ("01",)
    with raises(StorageError):
        outbox.put(10, b"x")
    assert payloads(outbox) == [b"000"]
    folder.broken = ("00",)
    again = Outbox("outbox", 2, folder=folder)
    assert payloads(again) == []
    assert again.dropped == 1


def test_slots_are_between_one_and_256():
    for slots in (0, 257):
        with raises(ValueError):
            Outbox("outbox", slots, folder=FakeFolder())
