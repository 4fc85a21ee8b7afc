"""A bare board behind a pseudo-terminal: an emulated ROM bootloader with a flash of its own and a cable to pull."""

from __future__ import annotations

import os
import select
import socket
import struct
import tempfile
import threading
import tty
import zlib
from pathlib import Path

import pytest
from esp32_mock_bootloader import protocol, server

from borne.virtual.line import attach, detach

MB = 1 << 20
# Twentieths of a second that a host over the network may take to acknowledge what it read.
_PATIENCE = 20
_BEGINNING = 32_768


class Flash(server.FlashImage):
    """NOR flash that counts what touches it."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.data = bytearray(b"\xff" * size)
        self.changes = 0

    def begin_defl(self, payload: bytes) -> None:
        self.changes += 1
        super().begin_defl(payload)

    def begin_plain(self, payload: bytes) -> None:
        self.changes += 1
        super().begin_plain(payload)

    def write_defl_block(self, payload: bytes) -> None:
        # The emulator's own writes byte by byte: seconds for a whole image.
        length = struct.unpack_from("<I", payload)[0]
        try:
            data = self._decompressor.decompress(payload[16 : 16 + length])
        except zlib.error:
            return  # the MD5 at the end tells
        self.data[self._defl_offset : self._defl_offset + len(data)] = data
        self._defl_offset += len(data)

    def erase_all(self) -> None:
        self.changes += 1
        super().erase_all()

    def erase_region(self, offset: int, size: int) -> None:
        self.changes += 1
        super().erase_region(offset, size)


class Cable:
    """What handle_client takes for a connection: the master side of a pty. Breaks after `cut_after` bytes."""

    def __init__(self, master: int, stop: threading.Event, cut_after: int | None) -> None:
        self._master = master
        self._stop = stop
        self._cut_after = cut_after
        self.received = 0
        # What the host said first, enough for the order of its commands.
        self.beginning = b""

    def wait_for_host(self) -> bool:
        """False when stopped. While nobody holds the slave open, poll reports POLLHUP at once and for ever."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        while not self._stop.is_set():
            events = poll.poll(50)
            if events and events[0][1] & select.POLLIN:
                return True
            if events:
                self._stop.wait(0.01)
        return False

    def set_timeout(self, _: float) -> None:
        pass

    def recv(self, size: int) -> bytes:
        for _ in range(_PATIENCE):
            if self._stop.is_set() or select.select([self._master], [], [], 0.05)[0]:
                break
        else:
            raise TimeoutError
        if self._stop.is_set():
            return b""
        data = os.read(self._master, size)
        self.received += len(data)
        self.beginning += data[: _BEGINNING - len(self.beginning)]
        if self._cut_after is not None and self.received > self._cut_after:
            raise OSError("cable pulled")
        return data

    def sendall(self, data: bytes) -> None:
        os.write(self._master, data)

    def close(self) -> None:
        pass

    def abort_empty_session(self) -> bool:
        return True

    def ignore_eof_for_disconnect(self) -> bool:
        return False


class RomBoard:
    """`port` is what esptool opens; `flash` what it writes."""

    def __init__(self, chip: str = "esp32", flash_mb: int = 4, garble: bool = False) -> None:
        self.chip = chip
        self.flash = Flash(flash_mb * MB)
        self._garble = garble
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._master = -1
        self._folder = tempfile.TemporaryDirectory(prefix="rom-board-")
        self._link = Path(self._folder.name) / "tty"
        self.plug()

    def __enter__(self) -> RomBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self._unplug()
        self._folder.cleanup()

    def plug(self, cut_after: int | None = None) -> str:
        """Plug in a fresh cable; it breaks when this many bytes have come from the host. Returns the port."""
        self._unplug()
        self._stop = threading.Event()
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.port = attach(self._link, slave)
        os.close(slave)
        self._thread = threading.Thread(target=self._serve, args=(cut_after,), daemon=True)
        self._thread.start()
        return self.port

    def _unplug(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()
            self._thread = None
        self._pull()

    def _pull(self) -> None:
        if self._master >= 0:
            detach(self._link)
            os.close(self._master)
            self._master = -1

    def _serve(self, cut_after: int | None) -> None:
        cable = self.cable = Cable(self._master, self._stop, cut_after)
        while cable.wait_for_host():
            server.handle_client(cable, self._stop, self.chip, flash=self.flash, exit_on_disconnect=True)
            if cut_after is not None and cable.received > cut_after:
                self._pull()
                return


@pytest.fixture(autouse=True)
def patient_bootloader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator drops a link 3 s after the first file; a real ROM waits for ever."""
    monkeypatch.setattr(server, "_FLASH_END_IDLE_SEC", 1e9)


def set_flash_id(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    """JEDEC id that the emulated flash answers with: capacity 0x16 is 4 MB, each step doubles it."""
    monkeypatch.setattr(protocol, "MOCK_FLASH_ID", (0x14 + megabytes.bit_length() - 1) << 16 | 0x4020)


def silent_port() -> tuple[int, socket.socket]:
    """A TCP port on which somebody listens and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener.getsockname()[1], listener
