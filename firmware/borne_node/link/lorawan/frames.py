"""LoRaWAN 1.0.4 data frames (TS001-1.0.4, chapter 4), both directions, and what must be refused.

Keys are bytes with the most significant first, as printed on a label; frames are in on-air order.
"""

import struct
from collections import namedtuple

from borne_node.compat import const
from borne_node.link.lorawan.crypto import DOWN, UP, same

_KIND = const(0xE3)  # FType and Major; the RFU bits between them are ignored (TS001-1.0.4, chapter 1)
_UNCONFIRMED_UP = const(0x40)
_UNCONFIRMED_DOWN = const(0x60)
_CONFIRMED_UP = const(0x80)
_CONFIRMED_DOWN = const(0xA0)

ADR = const(0x80)  # FCtrl, 4.3.1
ADR_ACK_REQ = const(0x40)  # uplink only; RFU in a downlink
ACK = const(0x20)
PENDING = const(0x10)  # downlink: FPending; uplink: class B
_FOPTS = const(0x0F)

_HEADER = const(8)  # MHDR, DevAddr, FCtrl, FCnt
_MIC = const(4)
OVERHEAD = const(13)  # of a data frame with FPort and without FOpts
LONGEST = const(255)  # what the radios' FIFO and the length byte of the LoRa header hold

# `count` has 16 bits as parsed and 32 as opened; `port` is None where the frame has none.
Data = namedtuple("Data", ("down", "confirmed", "address", "control", "count", "options", "port", "payload"))


def build(network, application, data):
    """The bytes of a data frame with a 32-bit `data.count`, encrypted and signed (4.3 and 4.4)."""
    control = data.control & ~_FOPTS | len(data.options)
    if len(data.options) > _FOPTS or (data.port == 0 and data.options):
        raise ValueError("FOpts: at most 15 bytes, and none beside FPort 0")
    kind = (
        (_CONFIRMED_DOWN if data.confirmed else _UNCONFIRMED_DOWN)
        if data.down
        else (_CONFIRMED_UP if data.confirmed else _UNCONFIRMED_UP)
    )
    direction = DOWN if data.down else UP
    frame = bytearray(struct.pack("<BIBH", kind, data.address, control, data.count & 0xFFFF))
    frame.extend(data.options)
    if data.port is not None:
        frame.append(data.port)
        start = len(frame)
        frame.extend(data.payload)
        key = application if data.port else network
        key.cipher(memoryview(frame)[start:], direction, data.address, data.count)
    frame.extend(network.frame_mic(frame, direction, data.address, data.count))
    return frame


def parse(frame):
    """A Data with its payload still encrypted, or None for what is no well-formed LoRaWAN R1 data frame."""
    end = len(frame) - _MIC
    if not _HEADER <= end <= LONGEST - _MIC:
        return None
    kind, address, control, count = struct.unpack("<BIBH", bytes(frame[:_HEADER]))
    kind &= _KIND
    if kind not in (_UNCONFIRMED_UP, _UNCONFIRMED_DOWN, _CONFIRMED_UP, _CONFIRMED_DOWN):
        return None
    body = _HEADER + (control & _FOPTS)
    if body > end:
        return None
    port = frame[body] if body < end else None
    # 4.3.1.6: FPort 0 and FOpts together, the frame is discarded.
    if port == 0 and body > _HEADER:
        return None
    return Data(
        bool(kind & 0x20),
        kind >= _CONFIRMED_UP,
        address,
        control,
        count,
        bytes(frame[_HEADER:body]),
        port,
        bytes(frame[body + 1 : end]),
    )


def open_data(network, application, frame, count):
    """A Data, checked and decrypted, or None. `count` is the 32-bit counter that the frame must carry."""
    data = parse(frame)
    if data is None or data.count != count & 0xFFFF:
        return None
    direction = DOWN if data.down else UP
    end = len(frame) - _MIC
    if not same(network.frame_mic(bytes(frame[:end]), direction, data.address, count), frame[end:]):
        return None
    payload = bytearray(data.payload)
    key = application if data.port else network
    key.cipher(payload, direction, data.address, count)
    return Data(
        data.down, data.confirmed, data.address, data.control, count, data.options, data.port, bytes(payload)
    )


def next_count(last, low):
    """The 32-bit counter above `last` (None: nothing received yet) whose low half is `low` (4.3.1.5)."""
    if last is None:
        return low
    count = last & ~0xFFFF | low
    return count if count > last else count + 0x10000
