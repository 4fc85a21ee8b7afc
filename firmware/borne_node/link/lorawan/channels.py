"""The uplink channels of a session: defined, enabled, and taken in turn at random."""

import struct

from borne_node.compat import const

_DYNAMIC = const(16)  # RP002-1.0.4: at most 16 channels in a dynamic plan
_FIXED = const(72)
_NARROW = const(64)  # channels of 125 kHz in a fixed plan
_RECORD = "<BIBI"  # index, uplink Hz, data rates, downlink Hz
_RECORD_SIZE = const(10)


class Channels:
    """`mask` has one bit a channel; `used` the channels taken since all of them were."""

    def __init__(self, plan):
        self.plan = plan
        self.count = _FIXED if plan.fixed else _DYNAMIC
        self.reset()

    def reset(self):
        """The default channels only, all enabled: what a join request is sent on."""
        self._added = {}
        self._down = {}
        self.used = 0
        self.mask = self.defaults()

    def defaults(self):
        """The mask of the region's default channels."""
        return (1 << (_FIXED if self.plan.fixed else len(self.plan.channels))) - 1

    def get(self, index):
        """(Hz, lowest, highest data rate), or None where no such channel is defined."""
        if self.plan.fixed:
            for first, step, count, low, high in self.plan.fixed:
                if index < count:
                    return first + index * step, low, high
                index -= count
            return None
        if index < len(self.plan.channels):
            return self.plan.channels[index]
        return self._added.get(index)

    def defined(self):
        """The mask of all channels that are defined."""
        mask = 0
        for index in range(self.count):
            if self.get(index):
                mask |= 1 << index
        return mask

    def down_hz(self, index):
        """Where RX1 listens after an uplink on this channel."""
        if self.plan.fixed:
            first, step, count = self.plan.down
            return first + index % count * step
        return self._down.get(index) or self.get(index)[0]

    def is_default(self, index):
        return bool(self.plan.fixed) or index < len(self.plan.channels)

    def define(self, index, frequency, low, high):
        """Set one channel and enable it; `frequency` 0 takes it away. The caller has checked all of them."""
        self._down.pop(index, None)
        if frequency:
            self._added[index] = (frequency, low, high)
            self.mask |= 1 << index
        else:
            self._added.pop(index, None)
            self.mask &= ~(1 << index)

    def set_down(self, index, frequency):
        self._down[index] = frequency

    def carries(self, mask, rate):
        """Whether a channel of `mask` may send at `rate`."""
        return any(self._fits(index, mask, rate) for index in range(self.count))

    def _fits(self, index, mask, rate):
        if not mask >> index & 1:
            return False
        _, low, high = self.get(index)
        return low <= rate <= high

    def pick(self, rate, entropy, allowed):
        """A random enabled channel for `rate` that `allowed(Hz)` accepts, or None; `allowed` is asked one by one.

        Each is taken once before any is taken again (RP002-1.0.4, default settings). `entropy(n)`: n random bytes.
        """
        left = [index for index in range(self.count) if self._fits(index, self.mask, rate)]
        while left:
            fresh = [index for index in left if not self.used >> index & 1]
            if not fresh:
                for index in left:
                    self.used &= ~(1 << index)
                fresh = left
            # 16 bits over at most 72 channels: no channel is preferred by more than 1 in 900.
            index = fresh[int.from_bytes(entropy(2), "little") % len(fresh)]
            if allowed(self.get(index)[0]):
                self.used |= 1 << index
                return index
            left.remove(index)
        return None

    def narrow(self, mask):
        """How many channels of 125 kHz `mask` has in a fixed plan."""
        return sum(mask >> index & 1 for index in range(_NARROW))

    def pack(self):
        parts = [self.mask.to_bytes(9, "little")]
        for index in range(self.count):
            added = self._added.get(index, (0, 0, 0))
            if added[0] or index in self._down:
                rates = added[1] | added[2] << 4
                parts.append(struct.pack(_RECORD, index, added[0], rates, self._down.get(index, 0)))
        return b"".join(parts)

    def unpack(self, raw):
        self.reset()
        for start in range(9, len(raw), _RECORD_SIZE):
            index, frequency, rates, down = struct.unpack(_RECORD, raw[start : start + _RECORD_SIZE])
            if frequency:
                self._added[index] = (frequency, rates & 15, rates >> 4)
            if down:
                self._down[index] = down
        self.mask = int.from_bytes(raw[:9], "little")
