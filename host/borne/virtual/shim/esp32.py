# mypy: ignore-errors
"""`esp32`: NVS, the flash's partitions, wake-up sources."""

import struct

import _link
import _ops
import uctypes
import uos

WAKEUP_ALL_LOW = False
WAKEUP_ANY_HIGH = True

_wake = {"ext0": (-1, 0), "ext1": (0, 0)}


def wake_on_ext0(pin=None, level=None):
    _wake["ext0"] = (-1, 0) if pin is None else (_number(pin), int(bool(level)))


def wake_on_ext1(pins=None, level=None):
    mask = 0
    for pin in pins or ():
        mask |= 1 << _number(pin)
    _wake["ext1"] = (mask, int(bool(level)))


def _number(pin):
    return pin if isinstance(pin, int) else pin._number


def wake_on_touch(wake):
    if wake:
        raise ValueError("touch is not emulated")


def _raw_temperature():
    # Fahrenheit, as temprature_sens_read() of the ESP32's ROM gives it.
    return (_mcu_temperature() * 9 + 162) // 5


def _mcu_temperature():
    return struct.unpack("<h", _link.ask(_ops.CELSIUS))[0]


def _install(chip):
    """The original chip has raw_temperature, its successors have mcu_temperature."""
    if chip == "esp32":
        globals()["raw_temperature"] = _raw_temperature
    else:
        globals()["mcu_temperature"] = _mcu_temperature


class NVS:
    def __init__(self, namespace):
        self._handle = _link.send(_ops.NVS_OPEN, b"", namespace.encode())[0]

    def get_i32(self, key):
        return struct.unpack("<i", _link.send(_ops.NVS_GET_I32, self._head(), key.encode()))[0]

    def set_i32(self, key, value):
        _link.send(_ops.NVS_SET_I32, self._head(), struct.pack("<i", value) + key.encode())

    def get_blob(self, key, buffer):
        view = memoryview(buffer)
        answer = _link.send(_ops.NVS_GET_BLOB, self._head(), struct.pack("<I", len(view)) + key.encode())
        return _link.fill(view, answer)

    def set_blob(self, key, value):
        name = key.encode()
        _link.send(_ops.NVS_SET_BLOB, self._head() + bytes((len(name),)) + name, value)

    def erase_key(self, key):
        _link.send(_ops.NVS_ERASE, self._head(), key.encode())

    def commit(self):
        _link.ask(_ops.NVS_COMMIT, "<B", self._handle)

    def _head(self):
        return bytes((self._handle,))


# NOR flash, typical figures of a W25Q32 (datasheet, AC characteristics): sector erase 45 ms, page program 0.7 ms.
_ERASE_US = 45000
_PROGRAM_US = 700
_READ_US = 20
_FLASH_DESCRIPTOR = 4


class _Mapped:
    """The flash, where the process that started this one has mapped it into memory: six times as fast as the file."""

    def __init__(self, address, size):
        self._view = memoryview(uctypes.bytearray_at(address, size))

    def read(self, at, buf):
        buf[:] = self._view[at : at + len(buf)]

    def write(self, at, buf):
        self._view[at : at + len(buf)] = buf


class _File:
    """The flash by its descriptor, for a MicroPython that was started by exec."""

    def __init__(self):
        self._file = open(_FLASH_DESCRIPTOR, "r+b")  # noqa: SIM115

    def read(self, at, buf):
        self._file.seek(at)
        self._file.readinto(buf)

    def write(self, at, buf):
        self._file.seek(at)
        self._file.write(buf)


class Partition:
    """A flash partition as block device: 4096-byte blocks, the extended protocol (erase, then program)."""

    TYPE_APP = 0
    TYPE_DATA = 1
    BLOCK = 4096

    _flash = None
    _flash_size = 0
    _table = ()

    @staticmethod
    def _attach(size, table):
        address = uos.getenv("BORNE_FLASH")
        Partition._flash = _Mapped(int(address), size) if address else _File()
        Partition._flash_size = size
        Partition._table = table

    def __init__(self, entry):
        self._entry = entry
        self._start = entry[2]
        self._count = entry[3] // self.BLOCK

    @classmethod
    def find(cls, type=TYPE_APP, subtype=0xFF, label=None):
        return [
            cls(entry)
            for entry in Partition._table
            if entry[0] == type and subtype in (0xFF, entry[1]) and label in (None, entry[4])
        ]

    def info(self):
        return self._entry

    def readblocks(self, block, buf, offset=0):
        _link.spend(_READ_US)
        Partition._flash.read(self._start + block * 4096 + offset, buf)

    def writeblocks(self, block, buf, offset=None):
        if offset is None:
            for n in range(len(buf) // self.BLOCK):
                self.ioctl(6, block + n)
            offset = 0
        _link.spend(_PROGRAM_US * ((len(buf) + 255) // 256))
        Partition._flash.write(self._start + block * self.BLOCK + offset, buf)

    def ioctl(self, op, argument):
        if op == 4:
            return self._count
        if op == 5:
            return self.BLOCK
        if op == 6:
            _link.spend(_ERASE_US)
            at = self._start + argument * self.BLOCK
            for start in range(at, at + self.BLOCK, len(_BLANK)):
                Partition._flash.write(start, _BLANK)
        return 0


_BLANK = b"\xff" * 256
