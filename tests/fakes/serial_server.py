"""Serial ports over TCP: what ser2net and its kind are. One connection at a time, on loopback."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import tty
from collections.abc import Callable
from typing import Any

from serial.rfc2217 import PortManager

_PATIENCE_S = 2.0


class Line:
    """The far end of a wire with an ESP32's auto-reset circuit: EN is low while RTS is on and DTR is off.

    What pyserial's PortManager drives. `port` is a device to connect the wire to; `awake` whether the chip listens;
    `on_reset` is called when EN goes up again.
    """

    def __init__(self, port: str, awake: bool = True, on_reset: Callable[[], None] = lambda: None) -> None:
        self._descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._descriptor)
        self.awake = awake
        self._on_reset = on_reset
        self.resets = 0
        self.baudrate = 115200
        self.bytesize, self.parity, self.stopbits = 8, "N", 1
        self.xonxoff = self.rtscts = self.dsrdtr = False
        self.cts = self.dsr = self.ri = self.cd = False
        self.break_condition = False
        self.dtr = False
        self._rts = False

    @property
    def rts(self) -> bool:
        return self._rts

    @rts.setter
    def rts(self, level: bool) -> None:
        if self._rts and not level and not self.dtr:
            self.resets += 1
            self.awake = True
            self._on_reset()
        self._rts = level

    def write(self, data: bytes) -> None:
        # A pty takes 4 KiB; whoever is at its end makes room, or has gone.
        while self.awake and data and select.select([], [self._descriptor], [], _PATIENCE_S)[1]:
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._descriptor, data) :]

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self._descriptor, False)
            return os.read(self._descriptor, 4096)
        return b""

    def reset_input_buffer(self) -> None:
        pass

    def reset_output_buffer(self) -> None:
        pass

    def close(self) -> None:
        os.close(self._descriptor)


class SerialServer:
    """Serves a Line (or bytes that are said over and over) at `url`."""

    def __init__(self, line: Line | None = None, *, rfc2217: bool = False, says: bytes = b"") -> None:
        self._line = line
        self._says = says
        self._rfc2217 = rfc2217
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.url = f"{'rfc2217' if rfc2217 else 'socket'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> SerialServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()
        if self._line:
            self._line.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection, _ = self._listener.accept()
                with connection:
                    connection.settimeout(0.01)
                    self._session(connection)

    def _session(self, connection: socket.socket) -> None:
        manager: Any = PortManager(self._line, _Writer(connection)) if self._rfc2217 else None
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                data = connection.recv(4096)
                if not data:
                    return
                if self._line:
                    self._line.write(b"".join(manager.filter(data)) if manager else data)
            answer = self._line.read() if self._line else self._says
            if answer:
                connection.sendall(b"".join(manager.escape(answer)) if manager else answer)


class _Writer:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        self._connection.sendall(data)
