"""Randomness: HMAC-DRBG, its source tested, its seed kept over sleep. MicroPython's own has 32 bits and is banned."""

import hashlib
import struct

from borne_node.errors import StorageError
from borne_node.hmac_drbg import Hmac256Drbg
from borne_node.sealed import save, unseal

_NAME = "drbg"
_FORM = "<32s8sI"  # seed, mark of the raw draw behind it, unix second of that draw
_DAY_S = 86400

# SP 800-90B, 4.3: at least 1024 samples first. A sample is a byte, credited with H = 4 of its 8 bits; one false
# alarm in 2**30. 4.4.1: 1 + ceil(30 / H) in a row. 4.4.2: 1 + critbinom(512, 2**-H, 1 - 2**-30) of 512.
_RAW, _REPEATS, _HALF, _SAME = 1024, 9, 512, 71


def healthy(raw):
    """Whether 1024 raw bytes pass the tests of SP 800-90B and do not come round again within themselves.

    The last finds every source of a period up to 1008 bytes; a good one fails it once in 2**118 draws.
    """
    return (
        len(raw) == _RAW
        and raw.find(raw[:16], 1) < 0
        and not any(bytes([sample] * _REPEATS) in raw for sample in range(256))
        and all(raw[at : at + _HALF].count(raw[at : at + 1]) < _SAME for at in (0, _HALF))
    )


class Drbg:
    """The node's generator: `source(count)` gives raw bytes (os.urandom), `store` keeps the seed.

    Only `reseed` trusts the source, and must run while the RF is on: with it off the ESP32's generator is but
    pseudo-random (ESP32 Technical Reference Manual, Random Number Generator). Other wakes use the saved seed.
    """

    def __init__(self, source, store):
        self._source = source
        self._store = store
        self._core = None

    @property
    def ready(self):
        """Whether there is a seed from a healthy source."""
        return self._core is not None or self._saved() is not None

    def due(self, now):
        """Whether it is time to `reseed`: never done, a day ago, or before a clock that was set back."""
        saved = self._saved()
        return not saved or not 0 <= now - saved[2] < _DAY_S

    def reseed(self, now):
        """Mix in fresh entropy. False when the source is not healthy: not `ready` until a later reseed is."""
        raw = self._source(_RAW)
        mark = hashlib.sha256(raw).digest()[:8]
        seed, old, _ = self._saved() or (b"", None, 0)
        self._core = None
        if mark == old or not healthy(raw):  # a source that starts over at every boot repeats its draw
            save(self._store, _NAME, b"")
            return False
        return self._start(raw, seed, mark, now)

    def generate(self, count):
        """`count` bytes. Raises StorageError when not `ready`, or when the seed cannot be replaced."""
        saved = None if self._core else self._saved()
        # With the RF off the source is not credited, but cannot harm (SP 800-90A, 8.7.1).
        if not self._core and not (saved and self._start(saved[0], self._source(32), saved[1], saved[2])):
            raise StorageError("no seed to draw from")
        return self._core.generate(count)

    def _start(self, entropy, nonce, mark, drawn_at):
        core = Hmac256Drbg(entropy, nonce, b"borne")
        # The saved seed is replaced before anything is drawn: no power cut replays a draw.
        saved = save(self._store, _NAME, struct.pack(_FORM, core.generate(32), mark, drawn_at))
        self._core = core if saved else self._core
        return saved

    def _saved(self):
        body = unseal(self._store.read(_NAME))
        return struct.unpack(_FORM, body) if body else None
