"""Small named records in one block of bytes that survives deep sleep: the Store seam over RTC memory.

Layout: magic, CRC-32 of the rest, then per record: length of name (1), name, length of data (2, big-endian), data.
RTC memory holds garbage after power-on, so whatever does not check out is read as empty.
"""

import binascii
import struct

_MAGIC = b"bR1"
_HEAD = len(_MAGIC) + 4


class Records:
    """`memory` is called with no argument to read the block and with bytes to write it, as machine.RTC().memory is.

    `commit` raises ValueError when the records outgrow `capacity` bytes (2048 on the ESP32: MicroPython
    ports/esp32/machine_rtc.c, MICROPY_HW_RTC_USER_MEM_MAX).
    """

    def __init__(self, memory, capacity=2048):
        self._memory = memory
        self._capacity = capacity
        self._records = _unpack(bytes(memory()))

    def read(self, name):
        return self._records.get(name)

    def write(self, name, data):
        self._records[name] = bytes(data)

    def commit(self):
        block = _pack(self._records)
        if len(block) > self._capacity:
            raise ValueError("%d bytes of records do not fit %d" % (len(block), self._capacity))
        self._memory(block)


def _pack(records):
    parts = []
    for name in sorted(records):
        data = records[name]
        parts.append(struct.pack(">B", len(name)) + name.encode() + struct.pack(">H", len(data)) + data)
    body = b"".join(parts)
    return _MAGIC + struct.pack(">I", binascii.crc32(body) & 0xFFFFFFFF) + body


def _unpack(block):
    records = {}
    if block[:3] != _MAGIC or len(block) < _HEAD:
        return records
    body = memoryview(block)[_HEAD:]
    if struct.unpack(">I", block[3:_HEAD])[0] != binascii.crc32(body) & 0xFFFFFFFF:
        return records
    at = 0
    while at < len(body):
        length = body[at]
        name = str(bytes(body[at + 1 : at + 1 + length]), "utf-8")
        at += 1 + length
        length = struct.unpack(">H", body[at : at + 2])[0]
        records[name] = bytes(body[at + 2 : at + 2 + length])
        at += 2 + length
    return records
