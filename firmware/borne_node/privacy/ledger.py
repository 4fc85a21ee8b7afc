"""Which windows are spent: two slots in the store, committed before anything is sent.

Windows are spent in order, so the later slot says all. What is unknown or corrupt counts as spent.
"""

import struct

from borne_node.sealed import save, unseal

_SLOTS = ("ledger0", "ledger1")
_FORM = "<IHH4s"  # unix second of the window's start, epsilon's numerator and denominator, policy digest


class Ledger:
    """`store` is the non-volatile Store. A store that fails spends nothing and releases nothing."""

    def __init__(self, store):
        self._store = store

    def audit(self, start):
        """At start-up, with the current window's start: if the slots are unclear, all before is spent."""
        if None in self._windows():
            self._spend_all(start - 1)

    def pay(self, start, epsilon, policy):
        """Commit that the window at `start` is spent; True when it was not before: only then may it be sent.

        `epsilon` is the policy's fraction or None, `policy` the first 4 bytes of its digest.
        """
        windows = self._windows()
        if None in windows:
            self._spend_all(start)
            return False
        if start <= max(windows):
            return False
        # Over the older slot: a write that tears leaves the newer one.
        return self._write(windows.index(min(windows)), start, epsilon or (0, 1), policy)

    def _spend_all(self, through):
        through = max([through] + [window or 0 for window in self._windows()])
        for slot in range(2):
            self._write(slot, through, (0, 0), bytes(4))  # no fraction: what was spent, nobody knows

    def _write(self, slot, start, epsilon, policy):
        return save(self._store, _SLOTS[slot], struct.pack(_FORM, start, epsilon[0], epsilon[1], policy))

    def _windows(self):
        bodies = [unseal(self._store.read(slot)) for slot in _SLOTS]
        return [struct.unpack(_FORM, body)[0] if body and len(body) == 12 else None for body in bodies]
