"""Exact discrete Laplace noise, integers only (Canonne, Kamath, Steinke 2020, arXiv 2004.00010).

Floats would show the value through the noise (Mironov 2012).
"""

from borne_node.compat import const
from borne_node.errors import StorageError

_CHUNK = const(32)  # one block of SHA-256, the least a call of the generator makes
_CHUNKS = const(64)  # a draw takes some 10 bits; more than 2**14 (below 2**-1000) means a broken generator


class Sampler:
    """Draws from `generate(count) -> bytes`. No number reaches 2**24: small integers on 32 bits."""

    def __init__(self, generate):
        self._generate = generate
        self._chunk = b""
        self._at = self._pool = self._pooled = 0
        self._left = _CHUNKS

    def bits(self, count):
        """An integer of `count` uniform bits, 0 to 16. Raises StorageError when it takes too many."""
        while self._pooled < count:
            if self._at == len(self._chunk):
                if not self._left:
                    raise StorageError("randomness is spent")
                self._left -= 1
                self._chunk = self._generate(_CHUNK)
                self._at = 0
            self._pool = self._pool << 8 | self._chunk[self._at]
            self._at += 1
            self._pooled += 8
        self._pooled -= count
        value = self._pool >> self._pooled
        self._pool &= (1 << self._pooled) - 1
        return value

    def below(self, limit):
        """Uniform on 0..limit-1, limit to 65536, by rejection: a remainder would favour the small values."""
        count = 0
        while 1 << count < limit:
            count += 1
        while True:
            value = self.bits(count)
            if value < limit:
                return value

    def bernoulli(self, top, bottom):
        """True with probability top / bottom."""
        return self.below(bottom) < top

    def bernoulli_exp(self, top, bottom):
        """True with probability exp(-top / bottom), 0 <= top <= bottom: algorithm 1 of the paper."""
        turn = 1
        while self.bernoulli(top, bottom * turn):
            turn += 1
        return turn % 2 == 1

    def laplace(self, sensitivity, epsilon):
        """An integer y with probability proportional to exp(-|y| * epsilon / sensitivity): algorithm 2.

        `epsilon` is a fraction (numerator, denominator); t / s of the paper is sensitivity / epsilon.
        """
        while True:
            value = self._attempt(sensitivity * epsilon[1], epsilon[0])
            if value is not None:
                return value

    def _attempt(self, t, s):
        offset = self.below(t)
        if not self.bernoulli_exp(offset, t):
            return None
        turns = 0
        while self.bernoulli_exp(1, 1):
            turns += 1
        size = (offset + t * turns) // s
        if self.bernoulli(1, 2):
            return -size if size else None  # of +0 and -0 one is refused, or zero would come twice
        return size
