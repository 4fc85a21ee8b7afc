"""The NVS partition that travels in the image, against the reader of the virtual board, which is another program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from borne.errors import ImageError
from borne.flashing import nvs
from borne.flashing.nvs import Record
from borne.virtual.nvs import Partition
from borne_node.secrets import SECRETS, secret_key

SIZE = 0x6000
KEYS = st.text("abcdefghijklmnopqrstuvwxyz_.", min_size=1, max_size=15)
BLOBS = st.binary(max_size=700)
BITS = {
    "u8": (0, 8),
    "i8": (1, 8),
    "u16": (0, 16),
    "i16": (1, 16),
    "i32": (1, 32),
    "u32": (0, 32),
    "u64": (0, 64),
}


@st.composite
def numbers(draw):
    encoding = draw(st.sampled_from(sorted(BITS)))
    signed, bits = BITS[encoding]
    low = -(1 << bits - 1) if signed else 0
    return encoding, draw(st.integers(low, low + (1 << bits) - 1))


@st.composite
def record_lists(draw):
    named = draw(
        st.dictionaries(st.tuples(st.sampled_from(["borne", "phy", "x"]), KEYS), st.booleans(), max_size=12)
    )
    made = []
    for (namespace, key), is_blob in sorted(named.items()):
        encoding, value = ("binary", draw(BLOBS)) if is_blob else draw(numbers())
        made.append(Record(namespace, key, encoding, value))
    return made


def by_name(records):
    return {(record.namespace, record.key): record.value for record in records}


@given(record_lists())
def test_what_is_built_is_read_by_the_node_and_by_us(records):
    raw = nvs.build(records, SIZE)
    assert len(raw) == SIZE
    assert Partition(bytearray(raw), 0, SIZE).values() == by_name(records)
    assert sorted(nvs.read(raw)) == sorted(records)


def test_same_records_same_bytes():
    records = nvs.secret_records({"app_key": bytes(range(16))}, "a")
    assert nvs.build(records, SIZE) == nvs.build(list(records), SIZE)


def test_secrets_lie_where_the_node_looks():
    given = {name: name.encode() * 3 for name in SECRETS}
    memory = Partition(bytearray(nvs.build(nvs.secret_records(given, "b"), SIZE)), 0, SIZE)
    for name in SECRETS:
        assert memory.get_blob("borne", secret_key(name, "b")) == given[name]


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1984, 3900, 4000])
def test_blobs_of_every_size_up_to_what_a_certificate_takes(size):
    blob = bytes(range(256)) * 16
    records = [Record("borne", f"k{n}", "binary", blob[:size]) for n in range(3)]
    assert nvs.read(nvs.build(records, SIZE)) == records


def test_a_node_writes_on_in_what_was_built():
    memory = bytearray(nvs.build(nvs.secret_records({"app_key": b"k" * 16}, "a"), SIZE))
    node = Partition(memory, 0, SIZE)
    for turn in range(300):
        node.set_blob("borne", "ledger", b"%d" % turn * 40)
    node.set_i32("phy", "cal", -5)
    found = by_name(nvs.read(bytes(memory)))
    assert found == {
        ("borne", "lw_app_key.a"): b"k" * 16,
        ("borne", "ledger"): b"299" * 40,
        ("phy", "cal"): -5,
    }


def test_new_secrets_replace_those_of_both_slots_and_nothing_else():
    old = [
        *nvs.secret_records({"wifi_password": b"old"}, "a"),
        *nvs.secret_records({"mqtt_password": b"older"}, "b"),
        Record("borne", "ledger", "binary", b"spent"),
        Record("phy", "cal_data", "binary", b"\1\2"),
    ]
    kept = by_name(nvs.with_secrets(old, {"app_key": b"new"}, "a"))
    assert kept == {
        ("borne", "ledger"): b"spent",
        ("phy", "cal_data"): b"\1\2",
        ("borne", "lw_app_key.a"): b"new",
    }


@given(st.data())
def test_a_damaged_partition_never_gives_a_wrong_value(data):
    records = [Record("borne", "one", "binary", b"abc" * 20), Record("borne", "two", "i32", 7)]
    raw = bytearray(nvs.build(records, SIZE))
    at = data.draw(st.integers(0, 600))
    raw[at] ^= data.draw(st.integers(1, 255))
    for found in nvs.read(bytes(raw)):
        # A namespace's own entry is checked too, so that no value can change its owner.
        assert found in records


def test_what_does_not_fit_is_refused_without_naming_a_value():
    records = [Record("borne", f"k{n}", "binary", b"secret" * 600) for n in range(9)]
    with pytest.raises(ImageError, match="does not fit its 24576 bytes") as caught:
        nvs.build(records, SIZE)
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(records[0])
    with pytest.raises(ImageError, match="at least 3"):
        nvs.build([], 4096)
    with pytest.raises(ImageError, match="more than 15"):
        nvs.build([Record("borne", "k" * 16, "u8", 1)], SIZE)


def test_a_blank_partition_holds_nothing():
    assert nvs.read(b"\xff" * SIZE) == []
    assert nvs.read(bytes(SIZE)) == []
