"""Wakes that fail: counted, written down, and after three in a row safe mode.

A wake counts as failed from its beginning until its good end, so that a watchdog, a panic or a brown-out counts as an
exception does. The count of a wake from deep sleep lies in RTC memory and wears no flash. A brown-out empties that, and
on MicroPython 1.20 every reset does: after a reset the count is in NVS too, and gone when other firmware is put there.

Safe mode after a reset, when somebody may be there: the REPL's window stays open for five minutes, then the node rests
for an hour and tries again. After a deep sleep it rests at once: a RESET by hand gives the window.
"""

import hashlib
import os

from borne_node.compat import const
from borne_node.errors import NodeError, StorageError

# In RTC memory: wakes failed in a row, what reset the last of them (machine.reset_cause), whether the node has rested.
# In NVS: the same, and the first bytes of the version file's SHA-256, which tells this firmware from another.
_RECORD = "failed"

_SIZE = const(3)
_MOST = const(3)
_AGAIN_MS = const(60_000)
_WINDOW_S = const(300)
_REST_MS = const(3_600_000)
_LINES = const(8)
_LINE = const(96)


def begin(board):
    """Count a wake. Returns (whether to go on, what reset the failed ones before it or None).

    Not to go on: the node is in safe mode, asleep or at its prompt.
    """
    failed, cause, rested = _recall(board)
    if failed and not board.slept:
        cause = board.reset_cause
        note(board, "wake %d ended by reset %d" % (failed, cause))
    if failed >= _MOST and not (board.slept and rested):
        _safe_mode(board, failed, cause)
        return False, cause
    remember(board, (min(failed + 1, 255), cause, 0), not board.slept)
    return True, cause if failed else None


def end(board):
    """The wake ended well, or a host ended it: forget the failed ones."""
    remember(board, bytes(_SIZE), any((board.nvs.read(_RECORD) or b"")[:_SIZE]))


def fail(board, error):
    """The wake raised `error`: try again after a minute, or rest in safe mode."""
    # The text of a foreign exception may hold a raw value; its class does not.
    reason = str(error) if isinstance(error, NodeError) else type(error).__name__
    failed = _recall(board)[0]
    print("borne: failed wake %d: %s" % (failed, reason))
    note(board, "wake %d failed: %s" % (failed, reason))
    if failed >= _MOST:
        return _safe_mode(board, failed, 0)
    return board.deep_sleep(_AGAIN_MS)


def note(board, text):
    """Keep a line in the log on flash: the unix second and the text; the last eight, none with a measured value."""
    lines = []
    try:
        with open("log") as file:
            lines = file.read().split("\n")[:-1]
    except (OSError, ValueError):
        pass  # none yet, or damaged
    try:
        lines.append("%d %s" % (board.clock.now(), text[:_LINE]))
        with open("log.new", "w") as file:
            file.write("\n".join(lines[-_LINES:]) + "\n")
        os.rename("log.new", "log")
    except OSError:
        pass  # a full or damaged filesystem must not cost the wake


def _safe_mode(board, failed, cause):
    print("borne: safe mode: %d wakes failed in a row" % failed)
    remember(board, (failed, cause, 1), True)
    # A try that failed after a reset had its window.
    if cause and not board.slept and board.host_is_waiting(_WINDOW_S):
        return end(board)
    print("borne: resting for an hour; RESET opens the window again")
    return board.deep_sleep(_REST_MS)


def _recall(board):
    """[failed, cause, rested], the worse of what RTC memory and NVS say."""
    found = [board.memory.read(_RECORD)]
    if not board.slept:
        kept = board.nvs.read(_RECORD)
        if kept and kept[_SIZE:] == build():
            found.append(kept[:_SIZE])
    return list(max(raw for raw in found + [bytes(_SIZE)] if raw and len(raw) == _SIZE))


def remember(board, values, durable):
    board.memory.write(_RECORD, bytes(values))
    board.memory.commit()
    if durable:
        try:
            board.nvs.write(_RECORD, bytes(values) + build())
            board.nvs.commit()
        except (StorageError, OSError):
            pass  # RTC memory has it


def build():
    try:
        with open("version.json", "rb") as file:
            return hashlib.sha256(file.read()).digest()[:4]
    except OSError:
        return b""
