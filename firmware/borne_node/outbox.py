"""Reports that wait for the network: a fixed number of slots on flash that no power cut can tear.

Layout: one directory, one small file a slot, there only while a report waits in it. Not one preallocated
file: littlefs keeps a file of up to 128 bytes (MicroPython's cache: 4 x 32) inside its directory's log
(littlefs SPEC.md, "inline structs"), so a change is one appended commit that either happened or did not. A
change inside a larger file copies every block from there to its end (DESIGN.md, "CTZ skip-lists"). Measured
on VfsLfs2, a report in and out: 4 block erases in one file of 64 slots, 0.05 in slot files.
tests/firmware/test_outbox_littlefs.py keeps it so.
"""

import binascii
import os
import struct

from borne_node.compat import const
from borne_node.errors import PayloadTooLong, StorageError

# The longest payload at EU868 DR0 (LoRaWAN Regional Parameters RP002-1.0.4, table 12), so any link takes it.
PAYLOAD_MAX = const(51)
SLOTS = const(64)  # 16 hours of a report each quarter of an hour; ten days of a fill node
_SLOTS_MAX = const(256)  # a slot's name is two hexadecimal digits

# Sequence number, reports lost so far, port; then the payload; then the CRC-32 of all before it. Big-endian.
_HEAD = ">IIB"
_HEAD_SIZE = const(9)
_CRC_SIZE = const(4)
_RECORD_MAX = const(_HEAD_SIZE + PAYLOAD_MAX + _CRC_SIZE)

_LOST = "lost"
# Given up when the filesystem is full, so that the slots keep their place: 64 waiting reports take 6 blocks
# more than none (measured on VfsLfs2), this makes 8.
_RESERVE = "reserve"
_RESERVE_PER_SLOT = const(512)
_CHUNK = const(256)

_NOBODY = const(-1)

# Linux, newlib and littlefs (LFS_ERR_NOSPC) agree; MicroPython's errno module does not name the second.
_EEXIST = const(17)
_ENOSPC = const(28)
# What littlefs makes of "no space" when a file is created (lfs.c, lfs_file_opencfg: LFS_ERR_NAMETOOLONG).
_ENAMETOOLONG = const(36)


class Outbox:
    """Slots for `slots` reports of at most 51 bytes in `directory`, which is made when it is missing.

    Nothing is ever lost silently: `dropped` counts the reports that were pushed out by newer ones, or could
    not be read back, since the directory was made. A report may be sent twice (power cut between the broker's
    acknowledgement and `delivered`); its bytes are then the same.

    `folder` makes the files' seam of the directory: see Folder.
    """

    def __init__(self, directory, slots=SLOTS, folder=None):
        if not 1 <= slots <= _SLOTS_MAX:
            raise ValueError("1 to %d slots" % _SLOTS_MAX)
        self._files = (folder or Folder)(directory)
        self._buffer = bytearray(_RECORD_MAX + 1)
        self._sequence = [_NOBODY] * slots
        self._next = 0
        try:
            names = self._files.names()
        except OSError as error:
            raise StorageError("outbox: cannot read %s: %s" % (directory, error))
        self._dropped = self._saved = 0
        if _LOST in names:
            self._read_lost()
        self._scan(names)

    def __len__(self):
        """How many reports wait."""
        return sum(1 for sequence in self._sequence if sequence != _NOBODY)

    @property
    def dropped(self):
        """Reports lost so far, by being pushed out or by a record that does not check out."""
        return self._dropped

    def put(self, port, payload):
        """Keep a report on flash; it is durable when this returns. When full it replaces the oldest.

        Raises PayloadTooLong, and StorageError when the flash does not take it; what waited still waits.
        """
        if len(payload) > PAYLOAD_MAX:
            raise PayloadTooLong("%d bytes, a report has at most %d" % (len(payload), PAYLOAD_MAX))
        if not 1 <= port <= 255:
            raise ValueError("port %r" % port)
        slot = self._free()
        dropped = self._dropped
        if slot is None:
            # One commit replaces the oldest and counts it: the new record carries the count.
            slot = self._after(_NOBODY)
            dropped += 1
        self._write(_name(slot), self._record(dropped, port, payload))
        self._sequence[slot] = self._next
        self._dropped = dropped
        self._next += 1

    def __iter__(self):
        """(slot, port, payload) of each waiting report, oldest first; both calls may come between."""
        last = _NOBODY
        while True:
            slot = self._after(last)
            if slot is None:
                return
            last = self._sequence[slot]
            record = self._read(slot)
            if record is None:
                self._lose(slot)
            else:
                yield slot, record[2], record[3]

    def delivered(self, slot):
        """Free the slot of a report that the network has taken.

        Raises StorageError when the flash does not take it: the report is then sent again after a boot.
        """
        if self._sequence[slot] == _NOBODY:
            raise ValueError("nothing waits in slot %d" % slot)
        self._release(slot)

    def _scan(self, names):
        slots = [slot for slot in (_slot(name, len(self._sequence)) for name in names) if slot is not None]
        bad = []
        for slot in slots:
            record = self._read(slot)
            if record is None:
                bad.append(slot)
                continue
            sequence, dropped, _, _ = record
            self._sequence[slot] = sequence
            self._next = max(self._next, sequence + 1)
            self._dropped = max(self._dropped, dropped)
        # Only now, when the count so far is known.
        for slot in bad:
            self._lose(slot)
        if not slots:
            self._fill_reserve()

    def _free(self):
        return self._sequence.index(_NOBODY) if _NOBODY in self._sequence else None

    def _after(self, last):
        # The slot of the oldest report that is newer than `last`.
        found = None
        for slot, sequence in enumerate(self._sequence):
            if sequence > last and (found is None or sequence < self._sequence[found]):
                found = slot
        return found

    def _record(self, dropped, port, payload):
        size = _HEAD_SIZE + len(payload)
        struct.pack_into(_HEAD, self._buffer, 0, self._next, dropped, port)
        self._buffer[_HEAD_SIZE:size] = payload
        return _seal(self._buffer, size)

    def _read(self, slot):
        # sequence, dropped, port, payload; None when the record does not check out.
        size = self._checked(_name(slot), _HEAD_SIZE, _RECORD_MAX)
        if size is None:
            return None
        sequence, dropped, port = struct.unpack_from(_HEAD, self._buffer)
        return sequence, dropped, port, bytes(memoryview(self._buffer)[_HEAD_SIZE:size])

    def _checked(self, name, low, high):
        try:
            size = self._files.read(name, self._buffer) - _CRC_SIZE
        except OSError:
            return None
        if not low <= size <= high - _CRC_SIZE:
            return None
        crc = struct.unpack_from(">I", self._buffer, size)[0]
        return size if crc == _crc(self._buffer, size) else None

    def _lose(self, slot):
        # Unreadable: count it and free the slot.
        try:
            # A file that a cut left empty is no report: put() had not returned.
            if self._files.read(_name(slot), self._buffer) > 0:
                self._dropped += 1
        except OSError:
            self._dropped += 1
        try:
            self._release(slot)
        except StorageError:
            pass  # a flash that cannot even do that is met again at put()

    def _release(self, slot):
        self._sequence[slot] = _NOBODY
        try:
            # First, as this record may be the last that knows the count.
            self._keep_count()
        except StorageError:
            pass  # full: better to lose the count than to send the same report for ever
        try:
            self._files.remove(_name(slot))
        except OSError as error:
            raise StorageError("outbox: cannot free slot %d: %s" % (slot, error))

    def _read_lost(self):
        if self._checked(_LOST, 4, 4 + _CRC_SIZE) is None:
            # The count itself is lost, which is one loss that is known of.
            self._dropped, self._saved = 1, _NOBODY
        else:
            self._dropped = self._saved = struct.unpack_from(">I", self._buffer)[0]

    def _keep_count(self):
        if self._dropped != self._saved:
            struct.pack_into(">I", self._buffer, 0, self._dropped)
            self._write(_LOST, _seal(self._buffer, 4))
            self._saved = self._dropped

    def _write(self, name, data):
        try:
            try:
                self._files.write(name, data)
            except OSError as error:
                if not _full(error) or not self._give_reserve():
                    raise
                self._files.write(name, data)
        except OSError as error:
            raise StorageError(
                "outbox: filesystem full" if _full(error) else "outbox: cannot write: %s" % error
            )

    def _give_reserve(self):
        if _RESERVE not in self._files.names():
            return False
        self._files.remove(_RESERVE)
        return True

    def _fill_reserve(self):
        try:
            self._files.fill(_RESERVE, len(self._sequence) * _RESERVE_PER_SLOT)
        except OSError:
            pass  # nearly full: the slots then take what is left, and put() says so when it is nothing


class NoOutbox:
    """In place of an Outbox that the flash has no room for: it keeps nothing, so a report is sent at once or lost."""

    dropped = 0

    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())

    def put(self, port, payload):
        raise StorageError("outbox: filesystem full")


class Folder:
    """The files of one directory. Every operation may raise OSError.

    `write` replaces a file's content, at once or not at all: littlefs commits it when the file is closed
    (littlefs DESIGN.md, "metadata pairs"). `path` is made when it is missing.
    """

    def __init__(self, path):
        self._path = path
        try:
            os.mkdir(path)
        except OSError as error:
            if error.errno != _EEXIST:
                raise StorageError("outbox: cannot make %s: %s" % (path, error))

    def names(self):
        return os.listdir(self._path)

    def read(self, name, buffer):
        """Bytes read into `buffer`, at most its size."""
        with open(self._path + "/" + name, "rb") as file:
            return file.readinto(buffer)

    def write(self, name, data):
        with open(self._path + "/" + name, "wb") as file:
            file.write(data)

    def fill(self, name, size):
        """Make a file of `size` zeros if there is none; not if that would take half of what is free."""
        path = self._path + "/" + name
        try:
            if os.stat(path)[6] == size:
                return
        except OSError:
            pass
        disk = os.statvfs(self._path)
        if disk[0] * disk[3] < 2 * size:
            return
        with open(path, "wb") as file:
            for _ in range(size // _CHUNK):
                file.write(bytes(_CHUNK))

    def remove(self, name):
        os.remove(self._path + "/" + name)


def _full(error):
    return error.errno in (_ENOSPC, _ENAMETOOLONG)


def _name(slot):
    return "%02x" % slot


def _slot(name, slots):
    try:
        slot = int(name, 16)
    except ValueError:
        return None
    return slot if 0 <= slot < slots and _name(slot) == name else None


def _crc(buffer, size):
    return binascii.crc32(memoryview(buffer)[:size]) & 0xFFFFFFFF


def _seal(buffer, size):
    struct.pack_into(">I", buffer, size, _crc(buffer, size))
    return memoryview(buffer)[: size + _CRC_SIZE]
