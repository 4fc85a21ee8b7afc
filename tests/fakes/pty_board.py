"""The real MicroPython behind a pseudo-terminal, with a cable that can be pulled.

`machine` and `esp32` are small fakes on the board's side; its files and NVS live in a folder and survive a reset.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import tty
from pathlib import Path

MICROPYTHON = Path(sys.executable).with_name("micropython")

_MACHINE = """\
import sys
def reset():
    sys.exit(0)
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


class PtyBoard:
    """`port` is what the host opens. `sent` counts the bytes that came from the host since the cable was plugged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "flash"
        self._nvs = folder / "nvs.json"
        modules = folder / "modules"
        for path in (self.folder, modules):
            path.mkdir(parents=True)
        (modules / "machine.py").write_text(_MACHINE)
        (modules / "esp32.py").write_text(_ESP32)
        self._environment = {**os.environ, "MICROPYPATH": str(modules)}
        self.resets = -1
        self._lock = threading.Lock()
        self._stopping = False
        self._outer = -1
        self._cut_after: int | None = None
        self._start()
        self.plug()
        self._thread = threading.Thread(target=self._relay, daemon=True)
        self._thread.start()

    def __enter__(self) -> PtyBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()
        self._process.kill()
        self._process.wait()
        for descriptor in (self._inner, self._outer):
            if descriptor >= 0:
                os.close(descriptor)

    def plug(self, cut_after: int | None = None) -> str:
        """Plug in a fresh cable; it breaks when this many bytes have come from the host. Returns the port."""
        with self._lock:
            if self._outer >= 0:
                os.close(self._outer)
            self._outer, slave = os.openpty()
            tty.setraw(slave)
            self.port = os.ttyname(slave)
            os.close(slave)
            self._cut_after = cut_after
            self.sent = 0
        return self.port

    def nvs(self) -> dict[str, bytes]:
        if not self._nvs.exists():
            return {}
        return {key: bytes.fromhex(value) for key, value in json.loads(self._nvs.read_text()).items()}

    def _start(self) -> None:
        self.resets += 1
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
            with self._lock:
                watched = [self._inner] + ([self._outer] if self._outer >= 0 else [])
            for descriptor in select.select(watched, [], [], 0.05)[0]:
                self._pump(descriptor)

    def _pump(self, source: int) -> None:
        with self._lock:
            try:
                data = os.read(source, 4096)
            except OSError:
                data = b""
            if source == self._inner:
                self._from_board(data)
            elif source == self._outer:
                self._from_host(data)

    def _from_board(self, data: bytes) -> None:
        if not data:
            self._process.wait()
            os.close(self._inner)
            self._start()
        elif self._outer >= 0:
            os.write(self._outer, data)

    def _from_host(self, data: bytes) -> None:
        # Without a host a pty's master reads EIO at once: the cable hangs, and select would spin on it.
        if not data:
            self._stop_spinning()
            return
        self.sent += len(data)
        if self._cut_after is not None and self.sent > self._cut_after:
            data = data[: len(data) - (self.sent - self._cut_after)]
            os.close(self._outer)
            self._outer = -1
        if data:
            os.write(self._inner, data)

    def _stop_spinning(self) -> None:
        select.select([self._inner], [], [], 0.01)
