"""The real MicroPython behind a pseudo-terminal, with a cable that can be pulled.

`machine` and `esp32` are small fakes on the board's side; its files and NVS live in a folder and survive a reset.
"""

from __future__ import annotations

import json
import os
import queue
import select
import subprocess
import sys
import threading
import tty
from pathlib import Path

from borne.virtual.line import attach, detach

MICROPYTHON = Path(sys.executable).with_name("micropython")

_MACHINE = """\
import sys
def reset():
    sys.exit(3)
"""
# ESP-IDF, Non-Volatile Storage Library: keys have at most 15 characters, a blob at most 4000 bytes in one page.
_ESP32 = """\
import binascii, json, os
FILE = "../nvs.json"
class NVS:
    def __init__(self, namespace):
        assert namespace == "borne", namespace
        try:
            with open(FILE) as file:
                self._content = json.load(file)
        except OSError:
            self._content = {}
    def _key(self, key):
        if len(key) > 15:
            raise OSError(-4361, "ESP_ERR_NVS_KEY_TOO_LONG")
        return key
    def set_blob(self, key, value):
        if len(value) > 4000:
            raise OSError(-4366, "ESP_ERR_NVS_VALUE_TOO_LONG")
        self._content[self._key(key)] = str(binascii.hexlify(value), "ascii")
        self._store()
    def get_blob(self, key, buffer):
        if self._key(key) not in self._content:
            raise OSError(-4354, "ESP_ERR_NVS_NOT_FOUND")
        value = binascii.unhexlify(self._content[key])
        buffer[:len(value)] = value
        return len(value)
    def erase_key(self, key):
        if self._key(key) not in self._content:
            raise OSError(-4354, "ESP_ERR_NVS_NOT_FOUND")
        del self._content[key]
        self._store()
    def commit(self):
        self._store()
    def _store(self):
        with open(FILE + ".new", "w") as file:
            json.dump(self._content, file)
        os.rename(FILE + ".new", FILE)
"""


_PROMPT = b">>> "
_RAW = b"raw REPL; CTRL-B to exit\r\n"


class PtyBoard:
    """`port` is what the host opens. `sent` counts the bytes that came from the host since the cable was plugged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "flash"
        self._nvs = folder / "nvs.json"
        self._link = folder / "tty"
        modules = folder / "modules"
        for path in (self.folder, modules):
            path.mkdir(parents=True)
        (modules / "machine.py").write_text(_MACHINE)
        (modules / "esp32.py").write_text(_ESP32)
        self._environment = {**os.environ, "MICROPYPATH": str(modules)}
        self.resets = 0
        self.was_reset = threading.Event()
        self._raw = False
        self._muted: bytes | None = None
        self._stopping = False
        self._outer = -1
        self._cut_after: int | None = None
        self._garble = (b"", b"")
        self.garbled = False
        self._outer_name = ""
        self._plugs: queue.SimpleQueue[tuple[int, str, threading.Event]] = queue.SimpleQueue()
        self._wake, self._waker = os.pipe()
        self._start()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()
        self.plug()

    def __enter__(self) -> PtyBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        os.write(self._waker, b"x")
        self._thread.join()
        self._process.kill()
        self._process.wait()
        for descriptor in (self._inner, self._outer, self._wake, self._waker):
            if descriptor >= 0:
                os.close(descriptor)

    def plug(self, cut_after: int | None = None, garble: tuple[bytes, bytes] = (b"", b"")) -> str:
        """Plug in a fresh cable; it breaks when this many bytes have come from the host. Returns the port.

        `garble`: bytes that arrive as other bytes of the same length, once.
        """
        master, slave = os.openpty()
        tty.setraw(slave)
        self.port = attach(self._link, slave)
        name = os.ttyname(slave)
        os.close(slave)
        self._cut_after, self._garble = cut_after, garble
        # The relay's thread alone opens and closes what it waits on.
        done = threading.Event()
        self._plugs.put((master, name, done))
        os.write(self._waker, b"x")
        done.wait()
        return self.port

    def nvs(self) -> dict[str, bytes]:
        if not self._nvs.exists():
            return {}
        return {key: bytes.fromhex(value) for key, value in json.loads(self._nvs.read_text()).items()}

    def _start(self) -> None:
        self._inner, slave = os.openpty()
        tty.setraw(slave)
        self._process = subprocess.Popen(
            [MICROPYTHON, "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=self.folder,
            env=self._environment,
            start_new_session=True,
        )
        os.close(slave)

    def _relay(self) -> None:
        while not self._stopping:
            watched = [self._inner, self._wake] + ([self._outer] if self._outer >= 0 else [])
            for descriptor in select.select(watched, [], [])[0]:
                if descriptor == self._wake:
                    os.read(self._wake, 1)
                    self._replug()
                elif descriptor == self._inner:
                    self._from_board(_read(descriptor))
                elif descriptor == self._outer:
                    # A line that nobody has opened is "readable" too; it may have been opened since, and read waits.
                    self._from_host(_read(descriptor) if _has_input(descriptor) else b"")

    def _replug(self) -> None:
        while not self._plugs.empty():
            master, name, done = self._plugs.get()
            if self._outer >= 0:
                os.close(self._outer)
            self._outer, self._outer_name, self.sent = master, name, 0
            done.set()

    def _from_board(self, data: bytes) -> None:
        if not data:
            self._restart()
            return
        if self._muted is not None:
            data = self._back_to_raw(data)
        if data and self._outer >= 0:
            os.write(self._outer, data)

    def _back_to_raw(self, data: bytes) -> bytes:
        """A soft reset in raw mode comes back to raw mode; the unix port's process starts with the friendly one.

        It drops what lies in its input when it sets the terminal up, so it is asked only once its prompt has come.
        """
        assert self._muted is not None
        if _PROMPT in self._muted + data and _PROMPT not in self._muted:
            os.write(self._inner, b"\x01")
        self._muted += data
        start = self._muted.find(_RAW)
        if start < 0:
            return b""
        data, self._muted = self._muted[start:], None
        return data

    def _restart(self) -> None:
        hard = self._process.wait() == 3
        os.close(self._inner)
        self._start()
        if hard:
            self.resets += 1
            self.was_reset.set()
            self._raw = False
        elif self._raw:
            self._muted = b""
            if self._outer >= 0:
                os.write(self._outer, b"OK\r\nMPY: soft reboot\r\n")

    def _from_host(self, data: bytes) -> None:
        if not data:
            # Without a host a pty's master is readable at once and for ever (EIO): do not spin on it.
            select.select([self._inner, self._wake], [], [], 0.01)
            return
        self.sent += len(data)
        for byte in data:
            if byte in b"\x01\x02":
                self._raw = byte == 1
        good, bad = self._garble
        if good and good in data:
            data = data.replace(good, bad, 1)
            self._garble = (b"", b"")
            self.garbled = True
        if self._cut_after is not None and self.sent > self._cut_after:
            data = data[: len(data) - (self.sent - self._cut_after)]
            # Not the next cable's, which may have been plugged in meanwhile.
            if self._link.is_symlink() and str(self._link.readlink()) == self._outer_name:
                detach(self._link)
            os.close(self._outer)
            self._outer = -1
        if data:
            os.write(self._inner, data)


def _has_input(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(event & select.POLLIN for _, event in poll.poll(0))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""
