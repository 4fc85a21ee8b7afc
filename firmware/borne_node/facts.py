"""What `borne info` asks at the prompt: settings, counters and how the node fares. No secret, no measured value."""

import json
import struct

from borne_node import app, settings
from borne_node.errors import StorageError
from borne_node.link.lorawan import join, session
from borne_node.outbox import Outbox


def tell(board):
    """Print a JSON object; what the node does not know is None."""
    cause, _, lost, waiting = app.recall(board.memory)[:4]
    failed = board.memory.read("failed")
    found = {
        "settings": _settings(),
        "reset_cause": cause or None,
        "failed_wakes": failed[0] if failed else 0,
        "time": board.clock.now() if board.clock.is_set else None,
    }
    found.update(_outbox(lost, waiting))
    found.update(_counters(board.nvs))
    print(json.dumps(found))


def _settings():
    try:
        with open(settings.FILE) as file:
            return json.loads(file.read())
    except (OSError, ValueError):
        return None


def _outbox(lost, waiting):
    try:
        outbox = Outbox("outbox")
    except StorageError:
        return {"dropped": None, "waiting": None}
    return {"dropped": outbox.dropped + lost, "waiting": len(outbox)}


def _counters(nvs):
    """The next DevNonce; FCntUp up to which all may have been used; the last FCntDown."""
    nonce, counts = nvs.read(join.NONCE), nvs.read(session.COUNTS)
    up = down = None
    if counts and len(counts) == 12:
        _, up, down = struct.unpack("<III", counts)
    return {
        "dev_nonce": struct.unpack("<I", nonce[:4])[0] if nonce and len(nonce) == 8 else None,
        "fcnt_up": up,
        "fcnt_down": down - 1 if down else None,
    }
