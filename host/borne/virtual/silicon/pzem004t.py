"""Peacefair PZEM-004T version 3, mains meter on a UART that speaks Modbus-RTU (its user manual, section 2)."""

from . import Chip, Misuse, Noise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_THINKS_US = 50_000
_REFRESH_US = 1_000_000  # it measures once a second or so
_BYTE_US = 10_000_000 // 9600


def crc(data: bytes) -> bytes:
    """Bit by bit from the specification's words (Modbus over Serial Line V1.02, appendix B), low byte first."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            carry = register & 1
            register >>= 1
            if carry:
                register ^= 0xA001
    return bytes([register & 0xFF, register >> 8])


class PZEM004T(Chip):
    """`load(t)` gives (volts, amperes, watts) at t seconds; `energy_wh` is counted and outlives a power cut."""

    MODES = ("silent", "checksum", "stuck")
    baudrate = 9600

    def __init__(
        self, load: "Callable[[float], tuple[float, float, float]]", seed: int = 1, address: int = 1
    ) -> None:
        self.load = load
        self.energy_wh = 0.0
        self._noise = Noise(seed)
        self._address = address
        self._request = b""
        self._asked_us = 0
        self._answer = b""
        self._begins_us = 0
        self._sent = 0
        self._measured_us = -1
        self._counted_us = -1
        self._values = (0.0, 0.0, 0.0)

    def feed(self, data: bytes, now_us: int) -> None:
        self.at(now_us)
        self._count(now_us)
        # Modbus: a frame ends with a silence of 3.5 characters.
        if now_us - self._asked_us > 4 * _BYTE_US:
            self._request = b""
        self._asked_us = now_us
        self._request += data
        if len(self._request) < 8:
            return
        request, self._request = self._request[:8], b""
        if self._answer and self._sent < len(self._answer):
            raise Misuse("PZEM-004T: asked again before it had answered")
        if request[6:] != crc(request[:6]):
            raise Misuse("PZEM-004T: asked with a wrong CRC")
        if request[0] not in (self._address, 0xF8):
            return
        self._answer_to(request, now_us)

    def output(self, now_us: int) -> bytes:
        """The bytes that left the chip since the last call."""
        self.at(now_us)
        self._count(now_us)
        due = (now_us - self._begins_us) // _BYTE_US if self._answer else 0
        out = self._answer[self._sent : max(self._sent, min(len(self._answer), due))]
        self._sent += len(out)
        return b"" if self.mode == "silent" else out

    def _answer_to(self, request: bytes, now_us: int) -> None:
        function, first, count = request[1], request[2] << 8 | request[3], request[4] << 8 | request[5]
        if function != 0x04 or first + count > 10 or not count:
            # Section 2.3: illegal function 1, illegal address 2.
            body = bytes([request[0], 0x80 | function, 1 if function != 0x04 else 2])
        else:
            words = self._registers(now_us)[first : first + count]
            body = bytes([request[0], function, 2 * count])
            for word in words:
                body += bytes([word >> 8 & 0xFF, word & 0xFF])
        check = crc(body)
        if self.mode == "checksum":
            check = bytes([check[0] ^ 0x55, check[1]])
        self._answer, self._sent = body + check, 0
        self._begins_us = now_us + _THINKS_US

    def _registers(self, now_us: int) -> "list[int]":
        volts, amperes, watts = self._values
        current, power, energy = int(round(amperes * 1000)), int(round(watts * 10)), int(self.energy_wh)
        factor = int(round(100 * watts / (volts * amperes))) if volts * amperes > 0 else 0
        return [
            int(round(volts * 10)),
            current & 0xFFFF,
            current >> 16,
            power & 0xFFFF,
            power >> 16,
            energy & 0xFFFF,
            energy >> 16,
            500,
            min(100, factor),
            0,
        ]

    def _count(self, now_us: int) -> None:
        """Measure, and add up energy, with the load as it was at the middle of the time since the last call."""
        if self._counted_us >= 0:
            middle = (self._counted_us + now_us) / 2_000_000
            self.energy_wh += self.load(middle)[2] * (now_us - self._counted_us) / 3.6e9
        self._counted_us = now_us
        if self.mode != "stuck" and (self._measured_us < 0 or now_us - self._measured_us >= _REFRESH_US):
            self._measured_us = now_us
            volts, amperes, watts = self.load(now_us / 1_000_000)
            # Section 1.1: to 0.5 %.
            noisy = 1 + self._noise.gauss() / 1000
            self._values = (volts, amperes * noisy, watts * noisy)
