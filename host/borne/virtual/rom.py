"""The boot ROM's serial loader, emulated: what the real esptool talks to. Runs in a process of its own (forkserver).

esp32-mock-bootloader speaks the protocol (and imports esptool, GPL, which is one reason for the process); this file
gives it a flash that is a file and erases like one, a MAC address, and a line that ends when the host hangs up.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
import sys
import threading
import zlib
from typing import Any

from esp32_mock_bootloader import protocol, registers, server  # type: ignore[import-untyped]

_SECTOR = 4096
# Long enough for a slow host's acknowledgement of a read-flash packet; its end is a closed socket, not this.
_PATIENCE_S = 1.0
_REBOOT_S = 0.05
# SLIP start, request, opcode: FLASH_END, FLASH_DEFL_END and RUN_USER_CODE may start the application.
_ENDS = {b"\xc0\x00\x04": True, b"\xc0\x00\x12": True, b"\xc0\x00\xd3": False}


class FileFlash(server.FlashImage):  # type: ignore[misc]
    """Writes erase whole sectors first, as FLASH_BEGIN does; beyond the end nothing happens."""

    def __init__(self, descriptor: int) -> None:
        self.data = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
        self._defl_offset = 0
        self._decompressor: Any = None
        self._plain_offset = 0

    def begin_defl(self, payload: bytes) -> None:
        super().begin_defl(payload)
        self._erase(payload)

    def begin_plain(self, payload: bytes) -> None:
        super().begin_plain(payload)
        if len(payload) >= 16:
            self._erase(payload)

    def write_defl_block(self, payload: bytes) -> None:
        if len(payload) < 16 or self._decompressor is None:
            return
        size = struct.unpack_from("<I", payload)[0]
        try:
            plain = self._decompressor.decompress(payload[16 : 16 + size])
        except zlib.error:
            return  # the MD5 at the end tells
        self._defl_offset = self._put(self._defl_offset, plain)

    def write_plain_block(self, payload: bytes) -> None:
        if len(payload) >= 16:
            size = struct.unpack_from("<I", payload)[0]
            self._plain_offset = self._put(self._plain_offset, payload[16 : 16 + size])

    def _erase(self, payload: bytes) -> None:
        size, _, _, offset = struct.unpack_from("<IIII", payload)
        start = offset // _SECTOR * _SECTOR
        self.erase_region(start, (offset + size + _SECTOR - 1) // _SECTOR * _SECTOR - start)

    def _put(self, at: int, data: bytes) -> int:
        """Programming only clears bits; esptool counts on it when it pads a last block with 0xFF over what follows."""
        end = min(at + len(data), len(self.data))
        if at < end:
            both = int.from_bytes(self.data[at:end], "little") & int.from_bytes(data[: end - at], "little")
            self.data[at:end] = both.to_bytes(end - at, "little")
        return at + len(data)


class Connection:
    """The line as the loader wants it; it ends when the peer closes or the host asks to start the application."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._line.settimeout(_PATIENCE_S)
        self._ending = False

    def recv(self, size: int) -> bytes:
        if self._ending:
            self._line.settimeout(_REBOOT_S)
        try:
            data = self._line.recv(size)
        except TimeoutError:
            if self._ending:
                return b""
            raise
        self._ending = self._ending or _starts_application(data)
        return data

    def sendall(self, data: bytes) -> None:
        self._line.sendall(data)

    def set_timeout(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        self._line.close()

    def abort_empty_session(self) -> bool:
        return False

    def ignore_eof_for_disconnect(self) -> bool:
        return False


def _starts_application(data: bytes) -> bool:
    """Their argument is 0 to start it and 1 to stay (ESP serial protocol, FLASH_END)."""
    for start, has_flag in _ENDS.items():
        at = data.find(start)
        if at >= 0 and (not has_flag or data[at + 9 : at + 13] == bytes(4)):
            return True
    return False


def run(arguments: list[Any]) -> int:
    """One session: descriptor 0 is the line, 3 the flash; arguments are the chip and its MAC address in hex."""
    chip, mac = str(arguments[0]), bytes.fromhex(arguments[1])
    flash = FileFlash(3)
    registers.mac_bytes_for_chip = lambda _: tuple(mac)
    # JEDEC id: the third byte is the logarithm of the size (W25Q datasheets).
    size_code = (len(flash.data) - 1).bit_length()
    protocol.MOCK_FLASH_ID = size_code << 16 | 0x4020
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
    # A session ends when the host hangs up, however long it thinks between two files.
    server._FLASH_END_IDLE_SEC = 1e9
    connection = Connection(socket.socket(fileno=os.dup(0)))
    server.handle_client(connection, threading.Event(), chip, exit_on_disconnect=True, flash=flash)
    flash.data.flush()
    return 0
