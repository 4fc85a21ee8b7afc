"""DFRobot A02YYUW (SEN0311), waterproof ultrasonic distance sensor on a UART (wiki.dfrobot.com/sen0311)."""

from . import Chip, Misuse, Noise, sound_mm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_NEAREST_MM, _FARTHEST_MM = 30, 4500  # specification: blind zone 3 cm, range to 450 cm
_KEPT_US = 10_000_000  # what nobody listened to for longer is gone: no receiver buffers more


class A02YYUW(Chip):
    """`distance(t)` gives millimetres at t seconds, or None where nothing sends an echo; `celsius` is the air's.

    A frame of FF, high, low, sum each 100 to 300 ms while the RX pin is high or open ("processed value"),
    each 100 ms while it is low ("real-time value").
    """

    MODES = ("silent", "checksum", "stuck")
    baudrate = 9600
    celsius = 20.0

    def __init__(self, distance: "Callable[[float], float | None]", seed: int = 1) -> None:
        self.distance = distance
        self.rx_level = 1
        self._noise = Noise(seed)
        self._next_us = -1
        self._frame = b""
        self._sent = 0
        self._reported = -1

    def feed(self, data: bytes, now_us: int) -> None:
        raise Misuse("A02YYUW: RX selects the mode by its level, it takes no bytes")

    def output(self, now_us: int) -> bytes:
        """The bytes that left the chip since the last call, each after its data bits and stop bit."""
        self.at(now_us)
        if self._next_us < 0:
            self._next_us = now_us + self._pause_us()
        self._next_us = max(self._next_us, now_us - _KEPT_US)
        out = bytearray()
        while self._next_us <= now_us:
            if not self._frame:
                self._frame = self._measure(self._next_us)
                self._sent = 0
            self._send(now_us, out)
            if self._sent < len(self._frame):
                break
            self._frame = b""
            self._next_us += self._pause_us()
        return b"" if self.mode == "silent" else bytes(out)

    def _send(self, now_us: int, out: bytearray) -> None:
        while self._sent < 4 and self._next_us + (self._sent + 1) * 10_000_000 // self.baudrate <= now_us:
            out.append(self._frame[self._sent])
            self._sent += 1

    def _pause_us(self) -> int:
        return 100_000 + (self._noise.below(200) * 1000 if self.rx_level else 0)

    def _measure(self, at_us: int) -> bytes:
        if self.mode != "stuck" or self._reported < 0:
            self._reported = self._echo(self.distance(at_us / 1_000_000))
        high, low = self._reported >> 8, self._reported & 0xFF
        total = (0xFF + high + low) & 0xFF
        if self.mode == "checksum":
            total ^= 0x5A
        return bytes([0xFF, high, low, total])

    def _echo(self, distance: "float | None") -> int:
        # No document of DFRobot says what no echo looks like; 0 was observed, covered or in the open
        # (riteshRcH/waterproof_small_blind_ultrasonic_sensor_DYP-A02YYxx_v1.0, issue 2).
        if distance is None:
            return 0
        noisy = int(
            round(sound_mm(distance, self.celsius) + self._noise.gauss() * (1 if self.rx_level else 3))
        )
        return noisy if _NEAREST_MM <= noisy <= _FARTHEST_MM else 0
