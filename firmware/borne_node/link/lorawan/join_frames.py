"""Join request and join accept of LoRaWAN 1.0.4 (TS001-1.0.4, chapter 6).

EUIs and keys are bytes with the most significant first, as printed on a label; frames are in on-air order.
"""

import struct
from collections import namedtuple

from borne_node.compat import const
from borne_node.link.lorawan.crypto import same

_KIND = const(0xE3)  # FType and Major; the RFU bits between them are ignored (TS001-1.0.4, chapter 1)
_JOIN_ACCEPT = const(0x20)
_MIC = const(4)

Accept = namedtuple("Accept", ("join_nonce", "net_id", "address", "settings", "delay", "channels"))


def join_request(key, join_eui, dev_eui, dev_nonce):
    """The 23 bytes of a join request (chapter 6), signed with the root `key`."""
    frame = bytearray(19)
    for i in range(8):
        frame[8 - i] = join_eui[i]
        frame[16 - i] = dev_eui[i]
    struct.pack_into("<H", frame, 17, dev_nonce)
    return bytes(frame) + bytes(key.cmac(frame)[:_MIC])


def join_accept(key, frame):
    """An Accept out of a join accept (chapter 6), or None where it is malformed or not signed with `key`.

    `channels` is the CFList of 16 bytes, or None.
    """
    if len(frame) not in (17, 33) or frame[0] & _KIND != _JOIN_ACCEPT:
        return None
    # The network uses the decrypting side of AES: the device needs the encrypting side only (chapter 6).
    plain = bytes(frame[:1]) + b"".join(key.encrypt(frame[i : i + 16]) for i in range(1, len(frame), 16))
    if not same(key.cmac(plain[:-_MIC])[:_MIC], plain[-_MIC:]):
        return None
    nonce, net_low, net_high, address, settings, delay = struct.unpack("<I2xBHIBB", _spread(plain))
    return Accept(
        nonce,
        net_low | net_high << 8,
        address,
        settings,
        delay & 0x0F,
        plain[13:29] if len(plain) == 33 else None,
    )


def _spread(plain):
    # JoinNonce and NetID have three bytes each, which `struct` has no letter for.
    return plain[1:4] + b"\0\0\0" + plain[4:13]
