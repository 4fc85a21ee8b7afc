"""NVS partitions: what Espressif's generator writes is read, and what is written is what it would have written."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_kit import NVS_AT, NVS_SIZE, Bench

from borne.virtual import nvs

PAGE = 4096


def generated(folder: Path, rows: str, size: int = NVS_SIZE) -> bytes:
    """An image by esp-idf-nvs-partition-gen, which is not our code."""
    (folder / "rows.csv").write_text("key,type,encoding,value\n" + rows)
    command = [
        sys.executable,
        "-m",
        "esp_idf_nvs_partition_gen",
        "generate",
        "rows.csv",
        "image.bin",
        hex(size),
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "image.bin").read_bytes()


def hex_row(key: str, value: bytes) -> str:
    return f"{key},data,hex2bin,{value.hex()}\n"


def blank(size: int = NVS_SIZE) -> tuple[bytearray, nvs.Partition]:
    memory = bytearray(b"\xff" * size)
    return memory, nvs.Partition(memory, 0, size)


def test_reads_what_the_generator_writes(tmp_path: Path) -> None:
    blob = bytes(range(256)) * 7
    rows = (
        "borne,namespace,,\nslot,data,i32,-7\n"
        + hex_row("key", blob)
        + "other,namespace,,\nname,data,string,Rue\nn,data,u8,200\n"
    )
    part = nvs.Partition(bytearray(generated(tmp_path, rows)), 0, NVS_SIZE)
    assert part.namespaces() == {"borne": 1, "other": 2}
    assert part.get_i32("borne", "slot") == -7
    assert part.get_blob("borne", "key") == blob
    assert part.values() == {
        ("borne", "slot"): -7,
        ("borne", "key"): blob,
        ("other", "name"): b"Rue\0",
        ("other", "n"): 200,
    }


@pytest.mark.parametrize("size", [0, 1, 32, 33, 1000, 4000])
def test_writes_what_the_generator_writes(tmp_path: Path, size: int) -> None:
    if size == 0:
        rows, value = "borne,namespace,,\nslot,data,i32,5\n", b""
    else:
        value = bytes(n % 251 for n in range(size))
        rows = "borne,namespace,,\nslot,data,i32,5\n" + hex_row("key", value)
    memory, part = blank()
    part.set_i32("borne", "slot", 5)
    if size:
        part.set_blob("borne", "key", value)
    expected = generated(tmp_path, rows)
    # The generator leaves one page as spare and pads the file; pages with content must be equal to the byte.
    assert bytes(memory) == expected


def test_a_blob_over_several_pages_is_joined(tmp_path: Path) -> None:
    value = base64.b64encode(bytes(range(256)) * 30)
    image = generated(tmp_path, "borne,namespace,,\n" + hex_row("key", value), 0x10000)
    part = nvs.Partition(bytearray(image), 0, 0x10000)
    assert part.get_blob("borne", "key") == value
    part.set_blob("borne", "key", value[::-1])
    assert part.get_blob("borne", "key") == value[::-1]


def test_a_damaged_entry_is_not_read() -> None:
    memory, part = blank()
    part.set_blob("borne", "key", b"secret" * 10)
    at = bytes(memory).find(b"secretsecret")
    memory[at] ^= 1
    with pytest.raises(nvs.NvsError, match="NOT_FOUND"):
        part.get_blob("borne", "key")


def test_flash_is_only_ever_cleared_between_erases() -> None:
    class Nor(bytearray):
        """Flash that refuses to set a bit, except by erasing a page."""

        def __setitem__(self, where: slice, value: bytes) -> None:  # type: ignore[override]
            old = self[where]
            assert len(value) == len(old)
            erases = len(value) == PAGE and set(value) == {0xFF}
            assert erases or all(new & ~was == 0 for new, was in zip(value, old, strict=True))
            super().__setitem__(where, value)

    part = nvs.Partition(Nor(b"\xff" * 3 * PAGE), 0, 3 * PAGE)
    for n in range(400):
        part.set_i32("borne", "count", n)
        part.set_blob("borne", "blob", bytes([n % 256]) * 40)
    assert part.get_i32("borne", "count") == 399
    assert part.get_blob("borne", "blob") == bytes([399 % 256]) * 40


def test_a_full_partition_says_so_and_keeps_what_it_has() -> None:
    _, part = blank(3 * PAGE)
    part.set_blob("borne", "kept", b"k" * 500)
    with pytest.raises(nvs.NvsError, match="NOT_ENOUGH_SPACE"):
        part.set_blob("borne", "big", bytes(8000))
    assert part.get_blob("borne", "kept") == b"k" * 500


@pytest.mark.parametrize("key", ["", "k" * 16])
def test_a_key_has_1_to_15_characters(key: str) -> None:
    _, part = blank()
    with pytest.raises(nvs.NvsError, match="KEY_TOO_LONG"):
        part.set_i32("borne", key, 1)


_KEYS = st.sampled_from(["a", "b", "c", "d"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("i32"), _KEYS, st.integers(-(2**31), 2**31 - 1)),
        st.tuples(st.just("blob"), _KEYS, st.binary(max_size=1500)),
        st.tuples(st.just("erase"), _KEYS, st.none()),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(_STEPS)
def test_behaves_as_a_dictionary_over_any_history(steps: list[tuple[str, str, int | bytes | None]]) -> None:
    memory, part = blank(4 * PAGE)
    model: dict[tuple[str, str], int | bytes] = {}
    for what, key, value in steps:
        name = f"{what[0]}_{key}"
        if what == "erase":
            for name in (f"i_{key}", f"b_{key}"):
                if ("n", name) in model:
                    part.erase("n", name)
                    del model[("n", name)]
            continue
        if isinstance(value, int):
            part.set_i32("n", name, value)
        elif isinstance(value, bytes):
            part.set_blob("n", name, value)
        model[("n", name)] = value  # type: ignore[assignment]
        assert nvs.Partition(memory, 0, 4 * PAGE).values() == model


MAIN = """
import esp32
nvs = esp32.NVS("borne")
buffer = bytearray(4000)
print("*", nvs.get_i32("slot"), bytes(buffer[:nvs.get_blob("key", buffer)]) == bytes(range(256)) * 12)
nvs.set_i32("slot", nvs.get_i32("slot") + 1)
nvs.set_blob("long", b"0123456789" * 390)
print("*", nvs.get_i32("slot"), nvs.get_blob("long", buffer), bytes(buffer[-110:-100]))
nvs.commit()
nvs.set_i32("slot", 99)
for call in (lambda: nvs.get_i32("none"), lambda: nvs.get_blob("key", bytearray(4)), lambda: nvs.set_i32("x" * 16, 1)):
    try:
        call()
    except OSError as error:
        print("*", error)
"""


def test_the_board_reads_and_changes_the_partition_in_its_flash(tmp_path: Path) -> None:
    (tmp_path / "gen").mkdir()
    image = generated(
        tmp_path / "gen", "borne,namespace,,\nslot,data,i32,41\n" + hex_row("key", bytes(range(256)) * 12)
    )
    with Bench(tmp_path / "board", MAIN, nvs=image) as bench:
        assert bench.run(5) == [
            "41 True",
            "42 3900 b'0123456789'",
            "(-4354, 'ESP_ERR_NVS_NOT_FOUND')",
            "(-4364, 'ESP_ERR_NVS_INVALID_LENGTH')",
            "(-4361, 'ESP_ERR_NVS_KEY_TOO_LONG')",
        ]
    memory = bytearray((tmp_path / "board" / "flash.bin").read_bytes())
    values = nvs.Partition(memory, NVS_AT, NVS_SIZE).values()
    assert values[("borne", "slot")] == 42
    assert values[("borne", "long")] == b"0123456789" * 390


def test_without_a_commit_a_change_is_lost_at_the_next_boot(tmp_path: Path) -> None:
    main = """
import esp32, machine
nvs = esp32.NVS("borne")
try:
    print("*", nvs.get_i32("n"))
except OSError:
    nvs.set_i32("n", 1)
    print("*", nvs.get_i32("n"), "staged")
    machine.deepsleep(1000)
"""
    with Bench(tmp_path, main) as bench:
        assert bench.run(2.5) == ["1 staged", "1 staged"]
