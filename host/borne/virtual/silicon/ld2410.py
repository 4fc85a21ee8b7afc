"""Hi-Link HLK-LD2410, presence by 24 GHz radar: OUT pin and UART (serial communication protocol V1.02)."""

from . import Chip, Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EACH_US = 100_000
_BYTE_US = 10_000_000 / 256_000
_KEPT = 20  # frames; what nobody listened to for longer is gone


class LD2410(Chip):
    """`target(t)` gives (moving, still) at t seconds: each a distance in cm or None. The OUT pin is `pir.Pir`."""

    MODES = ("silent", "checksum", "stuck")
    baudrate = 256000

    def __init__(self, target: "Callable[[float], tuple[int | None, int | None]]") -> None:
        self.target = target
        self._next_us = -1
        self._frame = b""
        self._sent = 0

    def feed(self, data: bytes, now_us: int) -> None:
        raise Misuse("LD2410: commands (FD FC FB FA) are not simulated, and not needed")

    def output(self, now_us: int) -> bytes:
        """The bytes that left the chip since the last call."""
        self.at(now_us)
        if self._next_us < 0:
            self._next_us = now_us + _EACH_US // 2
        behind = (now_us - self._next_us) // _EACH_US - _KEPT
        if behind > 0:
            self._next_us += behind * _EACH_US
            self._frame, self._sent = b"", 0
        out = b""
        while self._next_us <= now_us:
            if not self._frame:
                self._frame = self._report(self._next_us)
            due = min(len(self._frame), int((now_us - self._next_us) / _BYTE_US))
            out += self._frame[self._sent : due]
            self._sent = max(self._sent, due)
            if self._sent < len(self._frame):
                break
            self._frame, self._sent = b"", 0
            self._next_us += _EACH_US
        return b"" if self.mode == "silent" else out

    def _report(self, at_us: int) -> bytes:
        moving, still = self.target(at_us / 1_000_000) if self.mode != "stuck" else (None, None)
        state = (1 if moving is not None else 0) | (2 if still is not None else 0)
        near, rest = moving or 0, still or 0
        body = bytes([0x02, 0xAA, state, near & 0xFF, near >> 8, 60 if near else 0])
        body += bytes(
            [rest & 0xFF, rest >> 8, 60 if rest else 0, max(near, rest) & 0xFF, max(near, rest) >> 8]
        )
        body += b"\x54\x00" if self.mode == "checksum" else b"\x55\x00"
        return b"\xf4\xf3\xf2\xf1" + bytes([len(body), 0]) + body + b"\xf8\xf7\xf6\xf5"
