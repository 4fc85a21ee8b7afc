"""How much this node may still send: the law's duty cycle in every sub-band, and the network's fair use.

Airtime is counted in slots, and a slot is forgotten only when all of it is older than the window. So no window of an
hour (ETSI EN 300 220-1 V3.1.1, 5.5.2) or of a day, wherever it starts, ever holds more than the limit. A bucket that
refills at the same rate would let through twice as much after a pause.
"""

import struct
from array import array

from borne_node.compat import const, ticks_diff

_UNIT_US = const(10_000)  # of the counts, so that an hour's 10 % fits 16 bits
_UNITS_S = const(100)
_HOUR = const(3600)
_HOUR_SLOT = const(600)
_HOUR_SLOTS = const(7)  # six whole ones and the one that is filling
_DAY_SLOT = const(3600)
_DAY_SLOTS = const(25)
_FULL = const(0xFFFF)
_STATE = "<IIBI"  # account time, clock, whether it was set, rest after the aggregated duty cycle


class Ledger:
    """Airtime by slot; `at` is a time in seconds that never runs backwards."""

    def __init__(self, slot, slots):
        self._slot = slot
        self._newest = 0
        self.counts = array("H", [0] * slots)

    def spend(self, units, at):
        self._advance(at)
        place = self._newest % len(self.counts)
        self.counts[place] = min(_FULL, self.counts[place] + units)

    def wait(self, units, limit, at):
        """Seconds until `units` more stay within `limit`; what alone exceeds it has to find the window empty."""
        self._advance(at)
        size = len(self.counts)
        excess = sum(self.counts) + units - max(limit, units)
        number = self._newest - size + 1
        while excess > 0:
            excess -= self.counts[number % size]
            number += 1
        if number == self._newest - size + 1:
            return 0
        return (number - 1 + size) * self._slot - at

    def _advance(self, at):
        number = at // self._slot
        size = len(self.counts)
        for passed in range(max(self._newest + 1, number - size + 1), number + 1):
            self.counts[passed % size] = 0
        self._newest = max(number, self._newest)


class DutyCycle:
    """The account over all sub-bands of `bands` (rows of a Plan). `fair_use_s`: seconds a day, 0 for no such limit.

    `day` is the Ledger of fair use, in hundredths of a second. `state` is what `state()` gave before a deep sleep:
    without it the last hour is unknown, and half of what each sub-band may send is taken as sent.
    """

    def __init__(self, bands, clock, fair_use_s=0, state=None):
        self._clock = clock
        self._shares = [one_in for _, _, one_in, _ in bands]
        self._fair_use = fair_use_s * _UNITS_S
        self._hours = [Ledger(_HOUR_SLOT, _HOUR_SLOTS) for _ in bands]
        self.day = Ledger(_DAY_SLOT, _DAY_SLOTS)
        self._rest_until = 0
        self._ticks = clock.ticks_ms()
        # Far from zero, so that slot numbers are never negative.
        self._at_ms = _DAY_SLOT * _DAY_SLOTS * 1000
        if not self._restore(state):
            for band, share in enumerate(self._shares):
                if share > 1:
                    self._hours[band].spend(_HOUR * _UNITS_S // share // 2, self._at())

    def wait(self, band, airtime_us):
        """Seconds until a frame of `airtime_us` may be sent in this sub-band; 0 for now."""
        units = -(-airtime_us // _UNIT_US)
        at = self._at()
        wait = max(0, self._rest_until - at)
        if self._shares[band] > 1:
            wait = max(wait, self._hours[band].wait(units, _HOUR * _UNITS_S // self._shares[band], at))
        if self._fair_use:
            wait = max(wait, self.day.wait(units, self._fair_use, at))
        return wait

    def spend(self, band, airtime_us, aggregate):
        """Count a frame that is about to be sent. `aggregate`: the exponent of the last DutyCycleReq."""
        units = -(-airtime_us // _UNIT_US)
        # By its end, so that no part of a frame leaves the window before it should.
        end = self._at() + airtime_us // 1_000_000 + 1
        self._hours[band].spend(units, end)
        self.day.spend(units, end)
        if aggregate:
            # TS001-1.0.4, DutyCycleReq: at most 1 / 2^n of the time over all channels.
            self._rest_until = end + (airtime_us * ((1 << aggregate) - 1) + 999_999) // 1_000_000

    def _at(self):
        # Own seconds, driven by the ticks: setting the clock must neither free nor freeze the account.
        ticks = self._clock.ticks_ms()
        self._at_ms += max(0, ticks_diff(ticks, self._ticks))
        self._ticks = ticks
        return self._at_ms // 1000

    def state(self):
        clock = self._clock
        head = struct.pack(_STATE, self._at(), clock.now() & 0xFFFFFFFF, bool(clock.is_set), self._rest_until)
        return head + b"".join(bytes(one.counts) + struct.pack("<I", one._newest) for one in self._ledgers())

    def _ledgers(self):
        return self._hours + [self.day]

    def _restore(self, state):
        head = struct.calcsize(_STATE)
        if not state or len(state) != head + sum(2 * len(one.counts) + 4 for one in self._ledgers()):
            return False
        at, now, was_set, self._rest_until = struct.unpack(_STATE, state[:head])
        # A clock that was set in between says nothing about how long the node slept: count none of it.
        slept = self._clock.now() - now if bool(was_set) == bool(self._clock.is_set) else 0
        self._at_ms = (at + max(0, slept)) * 1000
        for one in self._ledgers():
            size = 2 * len(one.counts)
            one.counts = array("H", state[head : head + size])
            one._newest = struct.unpack("<I", state[head + size : head + size + 4])[0]
            head += size + 4
        return True
