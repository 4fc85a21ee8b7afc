from support import raises

from borne_node.records import Records


class Memory:
    """machine.RTC().memory: one block, given back as it was written."""

    def __init__(self, block=b""):
        self.block = block

    def __call__(self, *data):
        if not data:
            return self.block
        self.block = bytes(data[0])


def test_records_survive_a_deep_sleep():
    memory = Memory()
    records = Records(memory)
    records.write("gate", b"\x00\x01")
    records.write("sensor", bytearray(300))
    records.commit()
    again = Records(memory)
    assert again.read("gate") == b"\x00\x01"
    assert again.read("sensor") == bytes(300)
    assert again.read("app") is None


def test_what_is_not_committed_is_gone():
    memory = Memory()
    Records(memory).write("gate", b"1")
    assert Records(memory).read("gate") is None


def test_garbage_reads_as_empty():
    memory = Memory()
    records = Records(memory)
    records.write("gate", b"12345")
    records.commit()
    good = memory.block
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 0x10
        assert Records(Memory(bytes(bad))).read("gate") is None, position
        assert Records(Memory(good[:position])).read("gate") is None, position


def test_too_much_is_refused_and_the_old_block_stays():
    memory = Memory()
    records = Records(memory, capacity=64)
    records.write("gate", b"old")
    records.commit()
    records.write("gate", bytes(100))
    with raises(ValueError):
        records.commit()
    assert Records(memory, capacity=64).read("gate") == b"old"
