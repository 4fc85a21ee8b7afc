"""What every LoRa radio driver gives to the MAC, what the two chip families share, and time on air.

    configure(frequency, sf, bandwidth, inverted, power, ...)   standby, and ready for one of the next
    start_send(frame) ... poll_send() -> bool
    start_receive(symbols) ... poll_receive() -> None (still listening), False (nothing, or corrupt), or a Packet
    start_cad() ... poll_cad() -> None, or whether a preamble is on the air
    noise() -> dBm while receiving; standby(); sleep(); fail(reason)
    START_MS: from start_receive to listening

Nothing blocks but for the short waits of the chip itself, each with a limit.
"""

from collections import namedtuple

from borne_node.compat import const
from borne_node.errors import LinkDown

LORAWAN = const(0x34)  # sync word of public networks (RP002-1.0.4, physical layer)
LONGEST = const(255)  # bytes of a packet: one length byte in the LoRa header, 256 of FIFO

_FRAME = const(262)  # a packet and the longest command before it
_RESET_MS = const(1)  # NRESET low for 100 us at least: SX1276 datasheet 7.2.2, SX1261/2 datasheet 8.1

_PREAMBLE = const(8)  # RP002-1.0.4, physical layer: symbols, both directions
LONG_SYMBOL_US = const(
    16384
)  # SX1276 datasheet, 4.1.1.6: from here on the low data rate optimisation is mandatory

# payload: bytes; rssi: dBm; snr: dB.
Packet = namedtuple("Packet", ("payload", "rssi", "snr"))


class RadioFault(LinkDown):
    """The radio chip does not answer as its datasheet says. It has been reset; the driver's `faults` counts them."""


class Radio:
    """Bus and pins of one chip. Every NSS frame is one transfer of one buffer, so that nothing can split it."""

    def __init__(self, spi, cs, reset, clock):
        self._spi = spi
        self._cs = cs
        self._reset = reset
        self._clock = clock
        self._frame = memoryview(bytearray(_FRAME))
        self.faults = 0
        self._failing = False

    def _exchange(self, length):
        """Clock `length` bytes of the frame buffer out, and what comes back into their places."""
        part = self._frame[:length]
        self._cs.value(0)
        self._spi.write_readinto(part, part)
        self._cs.value(1)
        return part

    def _pull_reset(self):
        self._reset.value(0)
        self._clock.sleep_ms(_RESET_MS)
        self._reset.value(1)

    def restart(self):
        """Reset the chip and set up what all packets share. Raises RadioFault where it is not the chip it should be."""
        raise NotImplementedError

    def fail(self, reason):
        """Reset the chip, count the fault, and raise RadioFault."""
        if not self._failing:
            self.faults += 1
            self._failing = True
            try:
                self.restart()
            except RadioFault:
                pass  # the reason that is told is the first one
            self._failing = False
        raise RadioFault(reason)


def signed(byte):
    return byte - 256 if byte > 127 else byte


def symbol_us(sf, bandwidth):
    """Length of one symbol, rounded to the nearest microsecond; `bandwidth` in Hz."""
    return ((1 << sf) * 1_000_000 + bandwidth // 2) // bandwidth


def low_rate(sf, bandwidth):
    """Whether the low data rate optimisation is to be on: symbols of 16.384 ms or longer."""
    return symbol_us(sf, bandwidth) >= LONG_SYMBOL_US


def airtime_us(sf, bandwidth, length, coding=5, crc=True, header=True, preamble=_PREAMBLE):
    """Time on air of `length` bytes: Semtech AN1200.13; for SF5 and SF6 SX1261/2 datasheet Rev. 2.1, 6.1.4.

    `coding` is the denominator of the coding rate 4/5 .. 4/8.
    """
    bits = 8 * length - 4 * sf + 16 * bool(crc) + 20 * bool(header)
    quarters = 17  # 4.25 symbols of sync word and start of frame
    if sf > 6:
        bits += 8
    else:
        quarters = 25
    per = 4 * (sf - 2 * low_rate(sf, bandwidth))
    symbols = 8 + max(-(-bits // per), 0) * coding
    # Quarter symbols keep the arithmetic whole; the product stays exact until the last division.
    quarters += 4 * (preamble + symbols)
    return (quarters * (1 << sf) * 250_000 + bandwidth // 2) // bandwidth
