"""MAC commands (TS001-1.0.4, chapter 5), both directions, from one table of bit widths.

Every command is one little-endian number; a row lists the widths of its fields from the least significant bit
up, so a field's place in the row is its place in `values`. Frequencies are in units of 100 Hz.
"""

from borne_node.compat import const

LINK_CHECK = const(0x02)
LINK_ADR = const(0x03)
DUTY_CYCLE = const(0x04)
RX_PARAM = const(0x05)
DEV_STATUS = const(0x06)
NEW_CHANNEL = const(0x07)
RX_TIMING = const(0x08)
TX_PARAM = const(0x09)
DL_CHANNEL = const(0x0A)
DEVICE_TIME = const(0x0D)

# Network to device.
DOWNLINK = {
    LINK_CHECK: b"\x08\x08",  # margin dB, gateways
    LINK_ADR: b"\x04\x04\x10\x04\x03\x01",  # power, data rate, mask, transmissions, mask control, RFU
    DUTY_CYCLE: b"\x04\x04",  # exponent, RFU
    RX_PARAM: b"\x04\x03\x01\x18",  # RX2 data rate, RX1 offset, RFU, frequency
    DEV_STATUS: b"",
    NEW_CHANNEL: b"\x08\x18\x04\x04",  # index, frequency, lowest data rate, highest data rate
    RX_TIMING: b"\x04\x04",  # delay s, RFU
    TX_PARAM: b"\x04\x01\x01\x02",  # EIRP index, uplink dwell, downlink dwell, RFU
    DL_CHANNEL: b"\x08\x18",  # index, frequency
    DEVICE_TIME: b"\x20\x08",  # GPS seconds, 1/256 s
}
# Device to network.
UPLINK = {
    LINK_CHECK: b"",
    LINK_ADR: b"\x01\x01\x01\x05",  # mask, data rate, power, RFU
    DUTY_CYCLE: b"",
    RX_PARAM: b"\x01\x01\x01\x05",  # channel, RX2 data rate, RX1 offset, RFU
    DEV_STATUS: b"\x08\x06\x02",  # battery, margin in two's complement, RFU
    NEW_CHANNEL: b"\x01\x01\x06",  # frequency, data rate range, RFU
    RX_TIMING: b"",
    TX_PARAM: b"",
    DL_CHANNEL: b"\x01\x01\x06",  # frequency, uplink frequency exists, RFU
    DEVICE_TIME: b"",
}
# Chapter 5, TXParamSetupReq: dBm by EIRP index.
EIRP = b"\x08\x0a\x0c\x0d\x0e\x10\x12\x14\x15\x18\x1a\x1b\x1d\x1e\x21\x24"


def parse(table, stream):
    """Yield (command, values) until the stream ends, is cut, or holds a command that the table does not know.

    The length of an unknown command is unknown too, so nothing after it can be read (chapter 5).
    """
    position = 0
    while position < len(stream):
        command = stream[position]
        widths = table.get(command)
        if widths is None:
            return
        end = position + 1 + sum(widths) // 8
        if end > len(stream):
            return
        yield command, _unpack(widths, stream[position + 1 : end])
        position = end


def pack(table, command, *values):
    """The bytes of one command. Fields left out are zero; values are cut to their widths: -1 is all ones."""
    widths = table[command]
    number = shift = 0
    for place, value in enumerate(values):
        number |= (value & ((1 << widths[place]) - 1)) << shift
        shift += widths[place]
    return bytes((command,)) + number.to_bytes(sum(widths) // 8, "little")


def _unpack(widths, raw):
    number = int.from_bytes(raw, "little")
    values = []
    for width in widths:
        values.append(number & ((1 << width) - 1))
        number >>= width
    return tuple(values)


def whole(stream, room):
    """As many whole answers of `stream` as `room` bytes hold."""
    end = 0
    while end < len(stream):
        after = end + 1 + sum(UPLINK[stream[end]]) // 8
        if after > room:
            break
        end = after
    return stream[:end]
