"""The block cipher handed to the LoRaWAN stack: `cryptolib.aes` on MicroPython, `cryptography` elsewhere."""

try:
    from cryptolib import aes
except ImportError:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    class aes:
        """As MicroPython's cryptolib: mode 1 (ECB) only, an object is used in one direction."""

        def __init__(self, key, mode):
            if mode != 1:
                raise ValueError("mode")
            self._cipher = Cipher(algorithms.AES(key), modes.ECB())
            self._context = None
            self._direction = None

        def encrypt(self, data, out=None):
            return self._run("encryptor", data, out)

        def decrypt(self, data, out=None):
            return self._run("decryptor", data, out)

        def _run(self, direction, data, out):
            if self._direction not in (None, direction):
                raise ValueError("can't encrypt & decrypt")
            if len(data) % 16:
                raise ValueError("blksize % 16")
            if self._context is None:
                self._direction = direction
                self._context = getattr(self._cipher, direction)()
            done = self._context.update(bytes(data))
            if out is None:
                return done
            out[: len(done)] = done
            return out
