"""What a LoRa frame of n bytes pays for in symbols, and how many bytes cost the same: integers only.

Semtech AN1200.13, "LoRa Modem Designer's Guide", section 4; SX1276 datasheet, section 4.1.1.7.
"""

from borne_node.compat import const

# MHDR 1, DevAddr 4, FCtrl 1, FCnt 2, FPort 1, MIC 4 (LoRaWAN 1.0.4, section 4), FOpts empty.
OVERHEAD = const(13)


def symbols(size, factor):
    """Payload symbols of a LoRaWAN frame with `size` application bytes at spreading factor 7 to 12, 125 kHz,
    CR 4/5.
    """
    # Low data rate optimisation is on where a symbol lasts 16 ms or more: SF11 and SF12 at 125 kHz.
    slow = 2 if factor >= 11 else 0
    bits = 8 * (size + OVERHEAD) - 4 * factor + 28 + 16
    return 8 + max(0, -(-bits // (4 * (factor - slow)))) * 5


def paid(size, factor):
    """The most application bytes that take as long on air as `size` bytes do: what `room` of encode should
    be.
    """
    whole = symbols(size, factor)
    while symbols(size + 1, factor) == whole:
        size += 1
    return size


def microseconds(size, factor):
    """Time on air in microseconds, with a preamble of 8 + 4.25 symbols."""
    return (symbols(size, factor) * 4 + 49) * (1000000 << factor) // 125000 // 4
