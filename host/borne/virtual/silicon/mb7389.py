"""MaxBotix MB7389 (HRXL-MaxSonar-WRMT), ultrasonic distance over a UART (datasheet PD11500)."""

from . import Chip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CYCLE_US = 148_000  # "Sensor timing": MB7369 and MB7389, 6.67 Hz
_SENT_US = 140_000  # the serial data begin so long after the cycle
_NEAREST_MM, _NOTHING_MM = 300, 5000
_KEPT_CYCLES = 70  # what nobody listened to for 10 s is gone


class MB7389(Chip):
    """`distance(t)` gives millimetres at t seconds, or None where nothing sends an echo.

    A reading each 148 ms, "R", four digits, carriage return; 300 for all that is nearer, 5000 for no target. It
    knows how warm the air is, so its millimetres are right. `checksum` damages a digit.
    """

    MODES = ("silent", "checksum", "stuck")
    baudrate = 9600

    def __init__(self, distance: "Callable[[float], float | None]", seed: int = 1) -> None:
        self.distance = distance
        self._noise = Noise(seed)
        self._cycle_us = -1
        self._frame = b""
        self._sent = 0
        self._reported = -1

    def feed(self, data: bytes, now_us: int) -> None:
        raise Misuse("MB7389: pin 4 starts and stops it by its level, it takes no bytes")

    def output(self, now_us: int) -> bytes:
        """The bytes that left the chip since the last call, each after its data bits and stop bit."""
        self.at(now_us)
        if self._cycle_us < 0:
            self._cycle_us = now_us
        behind = (now_us - self._cycle_us) // _CYCLE_US - _KEPT_CYCLES
        if behind > 0:
            self._cycle_us += behind * _CYCLE_US
            self._frame, self._sent = b"", 0
        out = bytearray()
        while self._cycle_us + _SENT_US <= now_us:
            if not self._frame:
                self._frame = self._measure(self._cycle_us)
            self._send(now_us, out)
            if self._sent < len(self._frame):
                break
            self._frame, self._sent = b"", 0
            self._cycle_us += _CYCLE_US
        return b"" if self.mode == "silent" else bytes(out)

    def _send(self, now_us: int, out: bytearray) -> None:
        begins_us = self._cycle_us + _SENT_US
        while self._sent < len(self._frame):
            if begins_us + (self._sent + 1) * 10_000_000 // self.baudrate > now_us:
                return
            out.append(self._frame[self._sent])
            self._sent += 1

    def _measure(self, at_us: int) -> bytes:
        if self.mode != "stuck" or self._reported < 0:
            self._reported = self._range(self.distance(at_us / 1_000_000))
        frame = b"R%04d\r" % self._reported
        return frame[:3] + b"?" + frame[4:] if self.mode == "checksum" else frame

    def _range(self, distance: "float | None") -> int:
        if distance is None:
            return _NOTHING_MM
        # "Reading to reading stability of 1 mm at 1 metre".
        noisy = int(round(distance + self._noise.gauss()))
        return max(_NEAREST_MM, min(_NOTHING_MM, noisy))
