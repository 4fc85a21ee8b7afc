"""NVS partitions: built by esp-idf-nvs-partition-gen, and read back so that a node's own records can be kept.

Source of the format that is read: ESP-IDF Programming Guide, "Non-Volatile Storage Library", section "Structure of a
Page"; nvs_types.hpp. A page is 4096 bytes: a header, two bits of state for each of 126 entries, entries of 32 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any, Final, NamedTuple

from borne.errors import ImageError
from borne_node import secrets as node_secrets
from borne_node.secrets import NVS_NAMESPACE, SECRETS, SLOTS

# The firmware carries no annotations (MicroPython parses and drops them at a price); here are its types.
_secret_key: Callable[[str, str], str] = node_secrets.secret_key

PAGE: Final = 4096
# nvs_partition_gen: two pages for data, and one that NVS moves into when a page is full.
SMALLEST: Final = 3 * PAGE
_ENTRY: Final = 32
_ENTRIES: Final = 126
_MAX_KEY: Final = 15
_MULTIPAGE: Final = 0xFE  # page version 2: a blob may span pages, what ESP-IDF 4 and later write
# nvs_page.hpp, PageState: a page being freed still holds what was not moved yet.
_LIVE_PAGES: Final = (0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8)
_WRITTEN: Final = 0b10
_HEAD: Final = struct.Struct("<BBBBI16s8s")
_ANY_CHUNK: Final = 0xFF
# nvs_types.hpp, ItemType: the low nibble of an integer's type is its size, the high one its sign.
_NUMBERS: Final = {
    0x01: "u8",
    0x11: "i8",
    0x02: "u16",
    0x12: "i16",
    0x04: "u32",
    0x14: "i32",
    0x08: "u64",
    0x18: "i64",
}
_STRING, _BLOB, _BLOB_DATA, _BLOB_INDEX = 0x21, 0x41, 0x42, 0x48


class Record(NamedTuple):
    """One value. `encoding` is the generator's: "u8" to "i64" (value an int), "string" or "binary" (value bytes)."""

    namespace: str
    key: str
    encoding: str
    value: int | bytes

    def __repr__(self) -> str:
        # Most of them are secret.
        return f"Record({self.namespace!r}, {self.key!r}, {self.encoding!r})"


def secret_records(secrets: Mapping[str, bytes], slot: str) -> list[Record]:
    """A node's secrets as it looks for them: blobs in its namespace, named by secret and slot."""
    return [
        Record(NVS_NAMESPACE, _secret_key(name, slot), "binary", secrets[name])
        for name in SECRETS
        if name in secrets
    ]


def with_secrets(old: list[Record], secrets: Mapping[str, bytes], slot: str) -> list[Record]:
    """The records of a node whose secrets are replaced by these; everything else that it keeps in NVS stays."""
    ours = {_secret_key(name, which) for name in SECRETS for which in SLOTS}
    kept = [record for record in old if record.namespace != NVS_NAMESPACE or record.key not in ours]
    return [*kept, *secret_records(secrets, slot)]


def build(records: list[Record], size: int) -> bytes:
    """A partition of `size` bytes that holds these records. Same records, same bytes.

    Raises ImageError when they do not fit; its text names no value.
    """
    if size < SMALLEST or size % PAGE:
        raise ImageError(
            f"an NVS partition has whole pages of {PAGE} bytes, at least 3; this one has {size} bytes"
        )
    # It brings a library of ciphers along, and most flashes write no NVS.
    from esp_idf_nvs_partition_gen import nvs_partition_gen as generator  # type: ignore[import-untyped]

    result = BytesIO()
    try:
        # The generator adds the page that is kept free beyond the size that it is told (its check_size).
        with generator.nvs_open(result, size - PAGE, _MULTIPAGE) as partition:
            for namespace in dict.fromkeys(record.namespace for record in records):
                partition.write_namespace(namespace)
                for record in records:
                    if record.namespace == namespace:
                        _write(partition, record)
    except (generator.InsufficientSizeError, generator.PageFullError):
        raise ImageError(f"what the node keeps in NVS does not fit its {size} bytes") from None
    return result.getvalue()


def _write(partition: Any, record: Record) -> None:
    if len(record.key) > _MAX_KEY:
        raise ImageError(f"NVS key {record.key} has more than {_MAX_KEY} characters")
    value = record.value
    # The generator takes strings as text and adds the terminating NUL itself.
    text = value.rstrip(b"\0").decode() if record.encoding == "string" and isinstance(value, bytes) else value
    partition.write_entry(record.key, text, record.encoding)


def read(raw: bytes) -> list[Record]:
    """Every value of a partition, in the order written; what a power cut left half-written is passed over."""
    items = [item for page in _pages(raw) for item in _items(page)]
    names = {item.value[0]: item.key for item in items if item.namespace == 0 and item.type in _NUMBERS}
    found: dict[tuple[str, str], Record] = {}
    for item in items:
        namespace = names.get(item.namespace)
        if namespace is None or item.type == _BLOB_DATA:
            continue
        encoding, value = _NUMBERS.get(item.type), _value(item, items)
        if value is None:
            continue
        encoding = encoding or ("string" if item.type == _STRING else "binary")
        # Of two with one name the later one counts: the earlier was about to be erased.
        found[namespace, item.key] = Record(namespace, item.key, encoding, value)
    return list(found.values())


class _Item(NamedTuple):
    namespace: int
    type: int
    chunk: int
    key: str
    value: bytes


def _pages(raw: bytes) -> list[bytes]:
    """Pages with content, oldest first."""
    pages = [raw[at : at + PAGE] for at in range(0, len(raw) - PAGE + 1, PAGE)]
    live = [
        page
        for page in pages
        if int.from_bytes(page[:4], "little") in _LIVE_PAGES
        and int.from_bytes(page[28:32], "little") == zlib.crc32(page[4:28], 0xFFFFFFFF)
    ]
    return sorted(live, key=lambda page: int.from_bytes(page[4:8], "little"))


def _items(page: bytes) -> Iterator[_Item]:
    index = 0
    while index < _ENTRIES:
        state = page[32 + index // 4] >> (index % 4 * 2) & 0b11
        at = 64 + index * _ENTRY
        namespace, kind, span, chunk, crc, key, data = _HEAD.unpack_from(page, at)
        entry = page[at : at + _ENTRY]
        # nvs_types.cpp, Item::calculateCrc32: all of the entry but the CRC itself.
        if state != _WRITTEN or crc != zlib.crc32(entry[8:], zlib.crc32(entry[:4], 0xFFFFFFFF)):
            index += 1
            continue
        content: bytes | None = data
        if kind in (_STRING, _BLOB, _BLOB_DATA):
            content = _content(page, at, span, data)
        if content is not None:
            yield _Item(namespace, kind, chunk, key.split(b"\0")[0].decode("ascii", "replace"), content)
        index += max(span, 1)


def _content(page: bytes, at: int, span: int, data: bytes) -> bytes | None:
    size, _, crc = struct.unpack("<HHI", data)
    content = page[at + _ENTRY : at + _ENTRY + size]
    whole = size <= (span - 1) * _ENTRY and crc == zlib.crc32(content, 0xFFFFFFFF)
    return content if whole else None


def _value(item: _Item, items: list[_Item]) -> int | bytes | None:
    if item.type in _NUMBERS:
        return int.from_bytes(item.value[: item.type & 0xF], "little", signed=item.type > 0xF)
    if item.type != _BLOB_INDEX:
        return item.value
    size, count, first = struct.unpack_from("<IBB", item.value)
    parts = {
        other.chunk: other.value
        for other in items
        if (other.namespace, other.type, other.key) == (item.namespace, _BLOB_DATA, item.key)
    }
    wanted = range(first, first + count)
    if any(number not in parts for number in wanted):
        return None
    value = b"".join(parts[number] for number in wanted)
    return value if len(value) == size else None
