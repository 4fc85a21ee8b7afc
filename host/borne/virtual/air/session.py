"""The network's half of a LoRaWAN 1.0.4 session: keys out of a join accept, and downlinks with all that they may carry.

pamoja-gateway builds downlinks too, but none with an acknowledgement, and none without a port.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from pamoja._native import LorawanSession

_DOWN = 1
_UNCONFIRMED, _CONFIRMED = 0x60, 0xA0
_ACK, _PENDING, _ADR = 0x20, 0x10, 0x80


@dataclass
class Session:
    """`peer` is pamoja's, for what comes up; `down` the next FCntDown; `up` the last FCntUp that was accepted."""

    address: int
    network_key: bytes = field(repr=False)
    application_key: bytes = field(repr=False)
    down: int = 0
    up: int | None = None
    last: bytes = b""

    @property
    def peer(self) -> LorawanSession:
        return LorawanSession(self.address, self.network_key, self.application_key)

    def downlink(
        self,
        port: int | None = None,
        payload: bytes = b"",
        *,
        options: bytes = b"",
        acknowledge: bool = False,
        pending: bool = False,
        confirmed: bool = False,
    ) -> bytes:
        """The bytes of the next downlink (TS001-1.0.4, 4.3 and 4.4). `options` (FOpts): at most 15 bytes."""
        control = _ADR | acknowledge * _ACK | pending * _PENDING | len(options)
        kind = _CONFIRMED if confirmed else _UNCONFIRMED
        frame = struct.pack("<BIBH", kind, self.address, control, self.down & 0xFFFF) + options
        if port is not None:
            key = self.application_key if port else self.network_key
            frame += bytes((port,)) + self._cipher(key, payload)
        b0 = struct.pack("<BIBIIBB", 0x49, 0, _DOWN, self.address, self.down, 0, len(frame))
        self.down += 1
        return frame + cmac(self.network_key, b0 + frame)[:4]

    def _cipher(self, key: bytes, payload: bytes) -> bytes:
        blocks = b"".join(
            struct.pack("<BIBIIBB", 1, 0, _DOWN, self.address, self.down, 0, number + 1)
            for number in range(-(-len(payload) // 16))
        )
        return bytes(one ^ two for one, two in zip(payload, aes(key, blocks), strict=False))


def accepted(app_key: bytes, accept: bytes, dev_nonce: int) -> Session:
    """The session that a join accept grants (TS001-1.0.4, chapter 6); its bytes are as on the air."""
    # The network decrypted to encrypt, so that a device needs one direction of AES only.
    plain = aes(app_key, accept[1:])
    nonces = plain[:6] + dev_nonce.to_bytes(2, "little") + bytes(7)
    network, application = (aes(app_key, bytes((which,)) + nonces) for which in (1, 2))
    return Session(int.from_bytes(plain[6:10], "little"), network, application)


def aes(key: bytes, blocks: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(blocks) + encryptor.finalize()


def cmac(key: bytes, data: bytes) -> bytes:
    code = CMAC(algorithms.AES(key))
    code.update(data)
    return code.finalize()
