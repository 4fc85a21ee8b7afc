"""Folders that break: one in RAM for the outbox's seam, and a block device of flash for a real littlefs."""

_EIO = -5


class PowerCut(Exception):
    pass


class FakeFolder:
    """`borne_node.outbox.Folder` in RAM. `cut_after` counts changes; `torn` leaves half of the one that is
    cut.

    littlefs never tears a file; a host's filesystem does, and the outbox must stand both. `capacity` counts
    bytes of content, like a filesystem that fills up.
    """

    def __init__(self, cut_after=None, capacity=1 << 20, torn=False):
        self.files = {}
        self.cut_after = cut_after
        self.capacity = capacity
        self.torn = torn
        self.broken = ()  # names that cannot be read or written: worn out blocks
        self.changes = 0

    def __call__(self, directory):
        if not isinstance(directory, str) or not directory:
            raise TypeError("a directory is a path")
        return self

    def names(self):
        return sorted(self.files)

    def read(self, name, buffer):
        self._known(name)
        data = self.files[name][: len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def write(self, name, data):
        if name in self.broken:
            raise OSError(5, "i/o")
        left = self.capacity - sum(len(held) for other, held in self.files.items() if other != name)
        if len(data) > left:
            raise OSError(28, "no space")
        # littlefs commits a new file's name before its content.
        if name not in self.files:
            self._tick(name, b"")
            self.files[name] = b""
        self._tick(name, bytes(data[: len(data) // 2]))
        self.files[name] = bytes(data)

    def fill(self, name, size):
        if len(self.files.get(name, b"")) != size:
            self.write(name, bytes(size))

    def remove(self, name):
        self._known(name)
        self._tick(name, self.files[name])
        del self.files[name]

    def _known(self, name):
        if name not in self.files:
            raise OSError(2, "no such file")
        if name in self.broken:
            raise OSError(5, "i/o")

    def _tick(self, name, torn):
        if self.cut_after is not None:
            if self.cut_after <= 0:
                if self.torn:
                    self.files[name] = torn
                raise PowerCut()
            self.cut_after -= 1
        self.changes += 1


class FlashDisk:
    """A NOR flash as MicroPython's extended block device (docs: vfs.AbstractBlockDev); 4 KiB blocks.

    Checks its caller: only erased bits are programmed, nothing outside a block. `cut_after` counts programs
    and erases; the one that is cut is left half done, and the device then refuses everything until
    `power_on`. Refusing is a negative return, as littlefs wants it: an exception would leap over its cleaning
    up.
    """

    SIZE = 4096

    def __init__(self, blocks):
        self.data = bytearray(blocks * self.SIZE)
        self.blocks = blocks
        self.cut_after = None
        self.off = False
        self.erases = 0
        self.programs = 0

    def power_on(self):
        self.cut_after = None
        self.off = False

    def readblocks(self, block, buffer, offset=0):
        if self.off:
            return _EIO
        start = block * self.SIZE + offset
        buffer[:] = memoryview(self.data)[start : start + len(buffer)]
        return 0

    def writeblocks(self, block, buffer, offset=None):
        if offset is None:
            raise AssertionError("littlefs erases on its own")
        if offset + len(buffer) > self.SIZE:
            raise AssertionError("program across a block's end")
        start = block * self.SIZE + offset
        if any(byte != 0xFF for byte in memoryview(self.data)[start : start + len(buffer)]):
            raise AssertionError("program of what is not erased")
        if self.off:
            return _EIO
        cut = self._cut()
        size = len(buffer) // 2 if cut else len(buffer)
        self.data[start : start + size] = memoryview(buffer)[:size]
        self.programs += 1
        return _EIO if cut else 0

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.blocks
        if operation == 5:
            return self.SIZE
        if operation == 6:
            return self._erase(argument)
        return 0

    def _erase(self, block):
        if self.off:
            return _EIO
        cut = self._cut()
        size = self.SIZE // 2 if cut else self.SIZE
        start = block * self.SIZE
        self.data[start : start + size] = b"\xff" * size
        self.erases += 1
        return _EIO if cut else 0

    def _cut(self):
        if self.cut_after is not None:
            self.off = self.cut_after == 0
            self.cut_after -= 1
        return self.off
