"""Records with a CRC-32 behind them: read back whole or not at all."""

import binascii
import struct

from borne_node.errors import StorageError


def seal(body):
    return body + struct.pack("<I", binascii.crc32(body) & 0xFFFFFFFF)


def unseal(record):
    """The body, or None when the record is absent, cut or corrupt."""
    return record[:-4] if record and record == seal(record[:-4]) else None


def save(store, name, body):
    """Make a sealed record durable in a Store; False when the store cannot."""
    try:
        store.write(name, seal(body))
        store.commit()
    except (StorageError, OSError):
        return False
    return True
