"""Time on air of a LoRa packet, in whole microseconds."""

from borne_node.compat import const

_PREAMBLE = const(8)  # RP002-1.0.4, physical layer: symbols, both directions
LONG_SYMBOL_US = const(
    16384
)  # SX1276 datasheet, 4.1.1.6: from here on the low data rate optimisation is mandatory


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
