"""What every LoRa radio driver gives to the MAC, and what the two chip families share.

    configure(frequency, sf, bandwidth, inverted=False, power=None, ...)   standby, and ready for one of the next
    start_send(frame) ... poll_send() -> bool
    start_receive(symbols) ... poll_receive() -> None (still listening), False (nothing, or corrupt), or a Packet
    start_cad() ... poll_cad() -> None, or whether a preamble is on the air
    noise() -> dBm while receiving; standby(); sleep(); fail(reason)
    START_MS: from start_receive to listening

Nothing blocks but for the short waits of the chip itself, each with a limit.
"""

from collections import namedtuple

from borne_node.errors import LinkDown

# payload: bytes; rssi: dBm; snr: dB.
Packet = namedtuple("Packet", ("payload", "rssi", "snr"))


class RadioFault(LinkDown):
    """The radio chip does not answer as its datasheet says. It has been reset; `faults` of the driver counts them."""
