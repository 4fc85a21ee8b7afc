from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from littlefs import LittleFS

from borne.errors import ImageError
from borne.flashing import volume

SIZE = 64 * volume.BLOCK
NAMES = st.text("abc_.7", min_size=1, max_size=9).filter(lambda name: name.strip("."))
FILES = st.dictionaries(
    st.tuples(st.sampled_from(["", "lib/", "lib/deep/", "outbox/"]), NAMES).map("".join),
    st.binary(max_size=300) | st.integers(0, 9000).map(bytes),
    max_size=12,
).filter(lambda made: not any(other.startswith(name + "/") for name in made for other in made))


def independently(data):
    system = LittleFS(block_size=4096, block_count=len(data) // 4096, mount=False, name_max=255)
    system.context.buffer = bytearray(data)
    system.mount()
    return {
        f"{folder}/{name}".lstrip("/"): system.open(f"{folder}/{name}", "rb").read()
        for folder, _, names in system.walk("/")
        for name in names
    }


def blocks_of(data):
    return lambda block, offset, size: data[block * 4096 + offset :][:size]


@given(FILES)
def test_files_come_back_as_they_went_in(files):
    built = volume.build(files, SIZE)
    assert len(built.data) == SIZE
    assert independently(built.data) == files
    assert volume.read(blocks_of(built.data), SIZE) == files
    assert volume.read(blocks_of(built.data), SIZE, grain=512) == files
    assert volume.build(dict(reversed(files.items())), SIZE) == built


@given(FILES, st.randoms())
def test_what_lies_in_other_blocks_does_not_matter(files, random):
    """An old filesystem may stand there, whose directories are valid and newer than ours."""
    built = volume.build(files, SIZE)
    old = LittleFS(block_size=4096, block_count=64, name_max=255)
    for turn in range(6):
        for number in range(40):
            with old.open(f"f{number}", "wb") as file:
                file.write(b"%d" % turn * random.randrange(2000))
    there = bytearray(old.context.buffer)
    for block in built.blocks:
        there[block * 4096 : (block + 1) * 4096] = built.data[block * 4096 : (block + 1) * 4096]
    assert independently(there) == files


def test_only_what_is_wanted_is_fetched():
    files = {"settings.json": b"{}", "code/big.mpy": os.urandom(60_000), "code/more.mpy": os.urandom(60_000)}
    built = volume.build(files, SIZE)
    asked = []

    def fetch(block, offset, size):
        asked.append(block)
        return blocks_of(built.data)(block, offset, size)

    assert volume.read(fetch, SIZE, lambda name: not name.startswith("code/")) == {"settings.json": b"{}"}
    assert len(asked) == len(set(asked)) < 8


@pytest.mark.parametrize("content", [b"\xff", b"\0", b"x"])
def test_what_is_no_filesystem_says_so(content):
    with pytest.raises(volume.Unreadable, match="CORRUPT"):
        volume.read(lambda block, offset, size: content * size, SIZE)


def test_a_line_that_breaks_while_reading_is_that_and_no_damage(capfd):
    built = volume.build({"a": bytes(3000)}, SIZE)

    def fetch(block, offset, size):
        if block > 1:
            raise ConnectionError("cable")
        return blocks_of(built.data)(block, offset, size)

    with pytest.raises(ConnectionError, match="cable"):
        volume.read(fetch, SIZE)
    assert capfd.readouterr().err == ""


def test_files_that_do_not_fit():
    with pytest.raises(ImageError, match="300000 bytes of files do not fit a filesystem of 262144 bytes"):
        volume.build({"a": bytes(300_000)}, SIZE)
