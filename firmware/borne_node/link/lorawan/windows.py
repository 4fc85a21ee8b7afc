"""When a receive window opens, and for how many symbols: from the clock error of the node.

The rule is LoRaMac-node's RegionCommonComputeRxWindowParameters: six symbols of the eight of the preamble must fall
into the window however early or late the two clocks are.
"""

from borne_node.chips.lora import symbol_us
from borne_node.compat import const

_NEEDED = const(6)  # symbols: what an SX127x or SX126x needs to detect a preamble, with one to spare
_LONGEST = const(248)  # symbols: the most that an SX126x can be told (datasheet Rev. 2.1, 13.4.9)
_TICK_US = const(
    2000
)  # the end of the uplink is seen by polling once a millisecond, and ticks are whole ones


def window(sf, bandwidth, delay_ms, error_ppm, start_ms=0):
    """(ms from the nominal opening, symbols) of a window `delay_ms` after the end of the uplink.

    `error_ppm` is the error of the node's clock; `start_ms` what the radio takes from the command to listening.
    """
    symbol = symbol_us(sf, bandwidth)
    error = _TICK_US + delay_ms * error_ppm // 1000
    symbols = max(_NEEDED, -(-((2 * _NEEDED - 8) * symbol + 2 * error) // symbol))
    symbols = min(symbols, _LONGEST)
    opening = 4 * symbol - symbols * symbol // 2
    return opening // 1000 - start_ms, symbols
