"""What LoRaWAN 1.0.4 does with AES-128: message integrity codes, payload encryption, session keys.

The block cipher is handed in as `aes(key, mode)`, an object with `encrypt(block, out)`: on the board that is
`cryptolib.aes`.
"""

import struct

from borne_node.compat import const

_ECB = const(1)  # MicroPython, cryptolib: MODE_ECB
_BLOCK = const(16)
_SIZE_BYTE = const(0x87)  # RFC 4493, section 2.3: R_128

UP = const(0)  # TS001-1.0.4, 4.3.3: the direction byte of the blocks A and B0
DOWN = const(1)


class Key:
    """One AES-128 key. `raw` is 16 bytes, most significant first; they cannot be read back from here."""

    def __init__(self, aes, raw):
        if len(raw) != _BLOCK:
            raise ValueError("a key has 16 bytes")
        self._ecb = aes(bytes(raw), _ECB)

    def encrypt(self, block):
        """The 16-byte cipher block of a 16-byte plain block."""
        return self._ecb.encrypt(bytes(block))

    def cmac(self, head, body=b""):
        """AES-CMAC of `head` + `body` (RFC 4493, section 2.4): 16 bytes."""
        subkey = bytearray(self.encrypt(bytes(_BLOCK)))
        _double(subkey)
        state = bytearray(_BLOCK)
        filled = 0
        for part in (head, body):
            for byte in part:
                if filled == _BLOCK:
                    self._ecb.encrypt(state, state)
                    filled = 0
                state[filled] ^= byte
                filled += 1
        if filled < _BLOCK:
            state[filled] ^= 0x80
            _double(subkey)
        for i in range(_BLOCK):
            state[i] ^= subkey[i]
        self._ecb.encrypt(state, state)
        return state

    def cipher(self, data, direction, address, count):
        """Encrypt or decrypt `data`, a bytearray or memoryview, in place (TS001-1.0.4, 4.3.3)."""
        stream = bytearray(_BLOCK)
        for start in range(0, len(data), _BLOCK):
            struct.pack_into("<BIBIIBB", stream, 0, 1, 0, direction, address, count, 0, start // _BLOCK + 1)
            self._ecb.encrypt(stream, stream)
            for i in range(min(_BLOCK, len(data) - start)):
                data[start + i] ^= stream[i]

    def frame_mic(self, frame, direction, address, count):
        """The 4-byte MIC of a data frame without its MIC (TS001-1.0.4, 4.4). `count` has all its 32 bits."""
        b0 = struct.pack("<BIBIIBB", 0x49, 0, direction, address, count, 0, len(frame))
        return self.cmac(b0, frame)[:4]


def session_keys(key, join_nonce, net_id, dev_nonce):
    """(NwkSKey, AppSKey), 16 bytes each, from the root `key` (TS001-1.0.4, Join-Accept frame)."""
    tail = struct.pack("<IIH", join_nonce | (net_id & 0xFF) << 24, net_id >> 8, dev_nonce)
    # The second word holds the upper 16 bits of the NetID in its lower half; the other half is no part of it.
    tail = tail[:6] + tail[8:10] + bytes(7)
    return key.encrypt(b"\x01" + tail), key.encrypt(b"\x02" + tail)


def same(one, other):
    """Whether two codes are equal, in a time that does not tell where they differ."""
    if len(one) != len(other):
        return False
    difference = 0
    for i in range(len(one)):
        difference |= one[i] ^ other[i]
    return difference == 0


def _double(block):
    # Multiplication by x in GF(2^128), RFC 4493 section 2.3.
    carry = 0
    for i in range(_BLOCK - 1, -1, -1):
        value = block[i] << 1 | carry
        block[i] = value & 0xFF
        carry = value >> 8
    if carry:
        block[_BLOCK - 1] ^= _SIZE_BYTE
