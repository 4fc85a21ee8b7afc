"""Exact discrete Laplace noise, integers only (Canonne, Kamath, Steinke 2020, arXiv 2004.00010).

Floats would show the value through the noise (Mironov 2012).
"""

from borne_node.errors import StorageError


def _bits(generate):
    # A draw takes some 10 bits; one of 2**14 (less likely than 2**-1000) means that the generator is broken.
    for _ in range(64):
        for byte in generate(32):
            for shift in range(8):
                yield byte >> shift & 1
    raise StorageError("randomness is spent")


class Sampler:
    """Draws from `generate(count) -> bytes`; StorageError when that takes far too many of them."""

    def __init__(self, generate):
        self._bits = _bits(generate)

    def below(self, limit):
        """Uniform on 0..limit-1, by rejection: a remainder would favour the small values."""
        while limit > 0:  # a spoilt policy asks for less: no value then, rather than no end
            value, span = 0, 1
            while span < limit:
                value = value << 1 | next(self._bits)
                span <<= 1
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
        t, s = sensitivity * epsilon[1], epsilon[0]
        while True:
            size = self.below(t)
            if not self.bernoulli_exp(size, t):
                continue
            while self.bernoulli_exp(1, 1):
                size += t
            size //= s
            negative = self.bernoulli(1, 2)
            if size or not negative:  # of +0 and -0 one is refused, or zero would come twice
                return -size if negative else size
