"""ESP-IDF's non-volatile storage in a flash partition, read and written in its own format.

Source: ESP-IDF Programming Guide, "Non-Volatile Storage Library", section "Structure of a Page"; nvs_page.hpp,
nvs_types.hpp. A page is 4096 bytes: a header, two bits of state for each of 126 entries, the entries of 32 bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

PAGE = 4096
_ENTRY = 32
_ENTRIES = 126
_BITMAP_AT = 32
_ENTRIES_AT = 64
_VERSION = 0xFE
# nvs_types.hpp: ItemType
_U8, _I32, _STR, _BLOB, _BLOB_DATA, _BLOB_INDEX = 0x01, 0x14, 0x21, 0x41, 0x42, 0x48
_VARIABLE = (_STR, _BLOB, _BLOB_DATA)
_ANY_CHUNK = 0xFF
_MAX_KEY = 15
# nvs_page.hpp: PageState
_EMPTY_PAGE, _ACTIVE, _FULL, _FREEING = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFC, 0xFFFFFFF8
_WRITTEN, _ERASED = 0b10, 0b00
# A blob's chunks are numbered from 0 or from 128, in turn, so that old and new stand side by side (VerOffset).
_VERSIONS = (0x00, 0x80)
_CHUNK = PAGE - _ENTRIES_AT - _ENTRY * 2

ERR_NOT_FOUND = (-0x1102, "ESP_ERR_NVS_NOT_FOUND")
ERR_NO_SPACE = (-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
ERR_KEY_TOO_LONG = (-0x1109, "ESP_ERR_NVS_KEY_TOO_LONG")
ERR_LENGTH = (-0x110C, "ESP_ERR_NVS_INVALID_LENGTH")
ERR_NO_PARTITION = (-0x110F, "ESP_ERR_NVS_PART_NOT_FOUND")


class NvsError(Exception):
    """`code` is the esp_err_t as MicroPython raises it (negative), `name` its name."""

    def __init__(self, error: tuple[int, str]) -> None:
        super().__init__(error[1])
        self.code, self.name = error


class Memory(Protocol):
    def __getitem__(self, where: slice) -> bytes: ...
    def __setitem__(self, where: slice, value: bytes) -> None: ...


def _crc(data: bytes) -> int:
    return zlib.crc32(data, 0xFFFFFFFF)


@dataclass(frozen=True)
class Item:
    """One entry with what follows it. `page` and `index` say where it stands."""

    page: int
    index: int
    namespace: int
    type: int
    span: int
    chunk: int
    key: str
    data: bytes  # the 8 bytes of the entry; of variable-length types the content

    @property
    def identity(self) -> tuple[int, int, str, int]:
        return (self.namespace, self.type, self.key, self.chunk)


class Partition:
    """An NVS partition inside `memory` (anything with slices, such as an mmap). Raises NvsError."""

    def __init__(self, memory: Memory, offset: int, size: int) -> None:
        self._memory = memory
        self._offset = offset
        self._pages = size // PAGE

    # -- values ---------------------------------------------------------------------------------------------------

    def namespaces(self) -> dict[str, int]:
        return {item.key: item.data[0] for item in self._items() if item.namespace == 0 and item.type == _U8}

    def values(self) -> dict[tuple[str, str], int | bytes]:
        """Everything: (namespace, key) -> integer, or bytes of a blob or string."""
        names = {number: name for name, number in self.namespaces().items()}
        found: dict[tuple[str, str], int | bytes] = {}
        for item in self._items():
            name = names.get(item.namespace)
            if item.namespace == 0 or name is None or item.type == _BLOB_DATA:
                continue
            where = (name, item.key)
            if item.type == _BLOB_INDEX:
                found[where] = self._join(item)
            elif item.type in _VARIABLE:
                found[where] = item.data
            else:  # the low nibble is the size, the high one the sign (nvs_types.hpp)
                found[where] = int.from_bytes(item.data[: item.type & 0xF], "little", signed=item.type > 0xF)
        return found

    def get_i32(self, namespace: str, key: str) -> int:
        item = self._find(namespace, key, _I32)
        return int.from_bytes(item.data[:4], "little", signed=True)

    def get_blob(self, namespace: str, key: str) -> bytes:
        try:
            return self._join(self._find(namespace, key, _BLOB_INDEX))
        except NvsError:
            return self._find(namespace, key, _BLOB).data

    def set_i32(self, namespace: str, key: str, value: int) -> None:
        number = self._namespace(namespace)
        data = value.to_bytes(4, "little", signed=True) + b"\xff" * 4
        old = self._all(number, key, _I32)
        if old and old[-1].data[:4] == data[:4]:
            return
        self._write(number, _I32, key, _ANY_CHUNK, data, b"")
        for item in old:
            self._erase(item)

    def set_blob(self, namespace: str, key: str, value: bytes) -> None:
        number = self._namespace(namespace)
        old = self._all(number, key, _BLOB_INDEX) + self._all(number, key, _BLOB)
        index = next((item for item in old if item.type == _BLOB_INDEX), None)
        if index is not None and self._join(index) == value:
            return
        first = _VERSIONS[0] if index is None or index.data[5] != _VERSIONS[0] else _VERSIONS[1]
        stale = old + self._chunks(number, key)
        self._check_space(len(value))
        count = self._write_chunks(number, key, value, first)
        data = struct.pack("<IBBH", len(value), count, first, 0xFFFF)
        self._write(number, _BLOB_INDEX, key, _ANY_CHUNK, data, b"")
        for item in self._again(stale):
            self._erase(item)

    def erase(self, namespace: str, key: str) -> None:
        number = self.namespaces().get(namespace)
        found = [item for item in self._items() if item.namespace == number and item.key == key]
        if number is None or not found:
            raise NvsError(ERR_NOT_FOUND)
        for item in found:
            self._erase(item)

    # -- items ----------------------------------------------------------------------------------------------------

    def _namespace(self, name: str) -> int:
        if len(name) > _MAX_KEY:
            raise NvsError(ERR_KEY_TOO_LONG)
        known = self.namespaces()
        if name not in known:
            known[name] = max(known.values(), default=0) + 1
            self._write(0, _U8, name, _ANY_CHUNK, bytes((known[name],)) + b"\xff" * 7, b"")
        return known[name]

    def _find(self, namespace: str, key: str, kind: int) -> Item:
        number = self.namespaces().get(namespace)
        found = self._all(number, key, kind) if number else []
        if not found:
            raise NvsError(ERR_NOT_FOUND)
        return found[-1]

    def _all(self, number: int | None, key: str, kind: int) -> list[Item]:
        return [
            item for item in self._items() if (item.namespace, item.key, item.type) == (number, key, kind)
        ]

    def _chunks(self, number: int, key: str) -> list[Item]:
        return self._all(number, key, _BLOB_DATA)

    def _join(self, index: Item) -> bytes:
        size, count, first = struct.unpack_from("<IBB", index.data)
        parts = {item.chunk: item.data for item in self._chunks(index.namespace, index.key)}
        try:
            value = b"".join(parts[first + n] for n in range(count))
        except KeyError:
            raise NvsError(ERR_NOT_FOUND) from None
        if len(value) != size:
            raise NvsError(ERR_NOT_FOUND)
        return value

    def _write_chunks(self, number: int, key: str, value: bytes, first: int) -> int:
        """Fill the active page before the next one is taken, as the library does; gives the number of chunks."""
        count = 0
        while value or count == 0:
            page = self._active(2)
            room = (_ENTRIES - self._used(page) - 1) * _ENTRY
            part, value = value[: min(room, _CHUNK)], value[min(room, _CHUNK) :]
            self._write(number, _BLOB_DATA, key, first + count, b"", part)
            count += 1
        return count

    def _check_space(self, size: int) -> None:
        """One page is kept free to move into; the rest, less what is alive, must hold the value."""
        alive = sum(item.span for item in self._items())
        if alive + size // _ENTRY + 2 * (size // _CHUNK + 2) > (self._pages - 1) * _ENTRIES:
            raise NvsError(ERR_NO_SPACE)

    def _again(self, items: list[Item]) -> list[Item]:
        """The same items where they stand now: making room may have moved them."""
        wanted = {item.identity for item in items}
        data = {(item.identity, item.data) for item in items}
        return [
            item for item in self._items() if item.identity in wanted and (item.identity, item.data) in data
        ]

    # -- pages ----------------------------------------------------------------------------------------------------

    def _at(self, page: int) -> int:
        return self._offset + page * PAGE

    def _read(self, page: int, start: int, size: int) -> bytes:
        at = self._at(page) + start
        return bytes(self._memory[at : at + size])

    def _program(self, page: int, start: int, data: bytes) -> None:
        """Flash can only clear bits until it is erased."""
        at = self._at(page) + start
        old = self._memory[at : at + len(data)]
        self._memory[at : at + len(data)] = bytes(a & b for a, b in zip(old, data, strict=True))

    def _state(self, page: int) -> int:
        return int.from_bytes(self._read(page, 0, 4), "little")

    def _sequence(self, page: int) -> int:
        return int.from_bytes(self._read(page, 4, 4), "little")

    def _valid_pages(self) -> list[int]:
        """Pages with content, oldest first."""
        found = []
        for page in range(self._pages):
            header = self._read(page, 0, 32)
            right = int.from_bytes(header[28:32], "little") == _crc(header[4:28])
            if self._state(page) in (_ACTIVE, _FULL, _FREEING) and right:
                found.append(page)
        return sorted(found, key=self._sequence)

    def _entry_state(self, page: int, index: int) -> int:
        byte = self._read(page, _BITMAP_AT + index // 4, 1)[0]
        return byte >> (index % 4 * 2) & 0b11

    def _set_entry_state(self, page: int, index: int, state: int) -> None:
        shift = index % 4 * 2
        self._program(page, _BITMAP_AT + index // 4, bytes((0xFF & ~(0b11 << shift) | state << shift,)))

    def _used(self, page: int) -> int:
        """Entries up to the last that was ever written."""
        for index in range(_ENTRIES - 1, -1, -1):
            if self._entry_state(page, index) != 0b11:
                return index + 1
        return 0

    def _items(self) -> Iterator[Item]:
        for page in self._valid_pages():
            yield from self._items_of(page)

    def _items_of(self, page: int) -> Iterator[Item]:
        content = self._read(page, 0, PAGE)
        index = 0
        while index < _ENTRIES:
            step = 1
            if content[_BITMAP_AT + index // 4] >> (index % 4 * 2) & 0b11 == _WRITTEN:
                item = self._parse(content, page, index)
                if item is not None:
                    yield item
                    step = item.span
            index += step

    @staticmethod
    def _parse(content: bytes, page: int, index: int) -> Item | None:
        at = _ENTRIES_AT + index * _ENTRY
        entry = content[at : at + _ENTRY]
        namespace, kind, span, chunk, crc = struct.unpack_from("<BBBBI", entry)
        if crc != _crc(entry[:4] + entry[8:]) or not 1 <= span <= _ENTRIES - index:
            return None
        data = entry[24:32]
        if kind in _VARIABLE:
            size, _, data_crc = struct.unpack("<HHI", data)
            data = content[at + _ENTRY : at + _ENTRY + size]
            if data_crc != _crc(data):
                return None
        key = entry[8:24].split(b"\0")[0].decode("ascii", "replace")
        return Item(page, index, namespace, kind, span, chunk, key, data)

    def _write(self, number: int, kind: int, key: str, chunk: int, data: bytes, content: bytes) -> None:
        """Append an item; `data` are the entry's 8 bytes, or `content` the bytes of a variable-length one."""
        if not 1 <= len(key) <= _MAX_KEY:
            raise NvsError(ERR_KEY_TOO_LONG)
        span = 1 + (len(content) + _ENTRY - 1) // _ENTRY
        if kind in _VARIABLE:
            data = struct.pack("<HHI", len(content), 0xFFFF, _crc(content))
        head = struct.pack("<BBBB", number, kind, span, chunk)
        tail = key.encode().ljust(16, b"\0") + data
        entry = head + struct.pack("<I", _crc(head + tail)) + tail
        page = self._active(span)
        index = self._used(page)
        self._program(page, _ENTRIES_AT + index * _ENTRY, entry + content)
        for n in range(index, index + span):
            self._set_entry_state(page, n, _WRITTEN)

    def _erase(self, item: Item) -> None:
        for index in range(item.index, item.index + item.span):
            self._set_entry_state(item.page, index, _ERASED)

    def _active(self, span: int) -> int:
        """A page with `span` free entries; makes one by taking a new page, or by collecting what was erased."""
        pages = self._valid_pages()
        if pages and self._state(pages[-1]) == _ACTIVE and _ENTRIES - self._used(pages[-1]) >= span:
            return pages[-1]
        if pages and self._state(pages[-1]) == _ACTIVE:
            self._program(pages[-1], 0, struct.pack("<I", _FULL))
        free = [page for page in range(self._pages) if page not in pages]
        if not free:
            raise NvsError(ERR_NO_SPACE)
        if len(free) > 1:
            return self._start(free[0])
        return self._collect(pages, free[0], span)

    def _start(self, page: int) -> int:
        self._memory[self._at(page) : self._at(page) + PAGE] = b"\xff" * PAGE
        sequence = max((self._sequence(other) for other in self._valid_pages()), default=-1) + 1
        body = struct.pack("<IB", sequence, _VERSION) + b"\xff" * 19
        self._program(page, 0, struct.pack("<I", _ACTIVE) + body + struct.pack("<I", _crc(body)))
        return page

    def _collect(self, pages: list[int], free: int, span: int) -> int:
        """Move what is alive on the page with the most waste to the last free page, and erase the old one."""
        alive = {page: sum(item.span for item in self._items_of(page)) for page in pages}
        victim = min(pages, key=lambda page: alive[page])
        if _ENTRIES - alive[victim] < span:
            raise NvsError(ERR_NO_SPACE)
        self._program(victim, 0, struct.pack("<I", _FREEING))
        items = list(self._items_of(victim))
        target = self._start(free)
        at = 0
        for item in items:
            raw = self._read(victim, _ENTRIES_AT + item.index * _ENTRY, item.span * _ENTRY)
            self._program(target, _ENTRIES_AT + at * _ENTRY, raw)
            for n in range(at, at + item.span):
                self._set_entry_state(target, n, _WRITTEN)
            at += item.span
        self._memory[self._at(victim) : self._at(victim) + PAGE] = b"\xff" * PAGE
        return target
