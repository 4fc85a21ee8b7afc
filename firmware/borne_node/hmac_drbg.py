"""HMAC_DRBG over SHA-256: NIST SP 800-90A Rev. 1, 10.1.2. The algorithm alone, as hashlib has its own.

The stock image has no hmac module. tests/host/test_privacy_drbg.py runs NIST's vectors.
"""

import hashlib


class Hmac256Drbg:
    """HMAC_DRBG: instantiated by construction. All arguments are bytes."""

    def __init__(self, *entropy):
        self._inner = bytearray(b"\x36" * 64)  # FIPS 198-1: the key, padded with zeros to a block, XOR ipad
        self._outer = bytearray(b"\x5c" * 64)  # and XOR opad
        self._value = b"\x01" * 32
        self.reseed(*entropy)

    def reseed(self, *data):
        """HMAC_DRBG_Update with the data one after the other: entropy, nonce, personalization."""
        for mark in (b"\x00", b"\x01"):
            key = self._hmac(self._value, mark, *data)
            for i in range(32):
                self._inner[i] = key[i] ^ 0x36
                self._outer[i] = key[i] ^ 0x5C
            self._value = self._hmac(self._value)
            if not any(data):
                break

    def generate(self, count):
        """`count` bytes, at most 65536 (SP 800-90A, table 2)."""
        result = b""
        while len(result) < count:
            self._value = self._hmac(self._value)
            result += self._value
        self.reseed()
        return result[:count]

    def _hmac(self, *parts):
        inner = hashlib.sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = hashlib.sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()
