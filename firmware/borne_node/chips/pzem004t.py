"""Peacefair PZEM-004T version 3, mains meter on a UART that speaks Modbus-RTU (its user manual, sections 2 and 3)."""

import struct

from borne_node.chips.frames import drain
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "PZEM-004T"

_ANY_ADDRESS = const(0xF8)  # section 2.6: one meter alone on the line answers it, whatever its own address
_READ_INPUT = const(0x04)
_REGISTERS = const(10)  # section 2.3: voltage to alarm
_SIZE = const(25)  # address, function, length, 20 bytes, CRC
# Ten registers at 9600 baud are 26 ms; the meter thinks for up to 60 ms. Observed to need no more than 100.
_LIMIT_MS = const(300)
_POLL_MS = const(5)
_TRIES = const(2)


class PZEM004T:
    """`read` gives (millivolts, milliamperes, milliwatts); then `energy_wh` is the meter's own count, which it keeps
    without power. Raises SensorFault. It has no identity to ask for.
    """

    name = NAME
    baudrate = 9600
    counts_energy = True

    def __init__(self, uart, clock):
        self._uart = uart
        self._clock = clock
        self._byte = bytearray(1)
        self._frame = bytearray(_SIZE)
        request = struct.pack(">BBHH", _ANY_ADDRESS, _READ_INPUT, 0, _REGISTERS)
        self._request = request + struct.pack("<H", crc(request))
        self.energy_wh = 0

    def read(self):
        """One exchange, 100 ms. Raises SensorFault "no answer" or "bad checksum"."""
        for _ in range(_TRIES):
            heard = self._exchange()
            if heard is None:
                return self._values()
        raise SensorFault(NAME, "bad checksum" if heard else "no answer")

    def _exchange(self):
        """None for a good frame, else how many bytes were heard."""
        drain(self._uart, self._byte)
        self._uart.write(self._request)
        began = self._clock.ticks_ms()
        heard = 0
        while heard < _SIZE:
            while heard < _SIZE and self._uart.any() and self._uart.readinto(self._byte):
                self._frame[heard] = self._byte[0]
                heard += 1
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                return heard
            self._clock.sleep_ms(_POLL_MS)
        good = crc(memoryview(self._frame)[: _SIZE - 2]) == self._frame[23] | self._frame[24] << 8
        if not good or self._frame[1] != _READ_INPUT or self._frame[2] != 2 * _REGISTERS:
            return heard

    def _values(self):
        # Section 2.3: 0.1 V, 0.001 A, 0.1 W, 1 Wh; 32-bit values with the low word first.
        volts, low_a, high_a, low_w, high_w, low_wh, high_wh = struct.unpack_from(">HHHHHHH", self._frame, 3)
        self.energy_wh = low_wh | high_wh << 16
        return volts * 100, low_a | high_a << 16, (low_w | high_w << 16) * 100


def crc(data):
    """Modbus over Serial Line V1.02, section 6.2.2: polynomial A001h, started at FFFFh."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
