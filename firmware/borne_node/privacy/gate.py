"""The gate: readings go in, released values come out, once a window, on a fixed schedule. No other door.

Unix time is cut into windows, windows into slots that take one reading each. A window's frame leaves `jitter`
seconds after its end, whatever was measured; jitter and noise are drawn one window ahead. A window not seen
whole, or without healthy randomness, leaves as a constant withheld frame; one without a reading, as a fault.
"""

import json
from collections import namedtuple

from borne_node import RELEASED
from borne_node.compat import const
from borne_node.errors import SensorFault, StorageError
from borne_node.privacy import policy
from borne_node.privacy.noise import Sampler
from borne_node.privacy.sealed import seal, unseal
from borne_node.report import schema
from borne_node.report.schema import SUPPRESSED

# window: unix seconds // its length; values: int, None (unknown) or SUPPRESSED, as in schema.names(port).
Released = namedtuple("Released", ("port", "window", "values"))

_SLEW_S = const(60)  # more than the sleep clock is off in a slot; setting it back by less is no set-back
_BEAT = const(60)  # windows of the live profile between two signs of life
_KEPT = const(8)  # released windows kept for `history`: about what a frame has room for (report.schema)

# What outlives deep sleep. phase: of this window's readings. next_*: drawn for the window to come. slots: bits
# of those read. sums, parking: readings per bay that were occupied, then readings per bay; light and fill: lux
# class or level per slot, then temperature, all moved up so that 0 is none.
_STATE = ("start", "end", "seen", "phase", "whole", "jitter", "noise", "drawn", "next_jitter", "next_noise")
_STATE += ("next_drawn", "slots", "triggers", "fault", "sums")


class Gate:
    """One node's gate.

    row        of the policy
    settings   `bays`, and `withheld_bays`: numbers from 0 of reserved, disabled and private ones
    drbg       drbg.Drbg
    ledger     ledger.Ledger
    state      what `state()` gave before the sleep; None or corrupt: nothing was observed so far
    booted_at  unix second of a reset that was no wake from deep sleep: a window begun before is partial
    """

    def __init__(self, row, settings, drbg, ledger, state=None, booted_at=None):
        self._row = row
        self._bays = settings.get("bays", 0)
        self._hidden = settings.get("withheld_bays", ())
        self._drbg = drbg
        self._ledger = ledger
        self._policy = policy.digest(row)[:4]
        for name in _STATE:
            setattr(self, name, 0)
        self._clear()
        self._pending = None  # the closed window that is not due yet: when, its start, Released
        self._kept = []
        body = unseal(state)
        if body and body[:4] == self._policy:
            self._restore(json.loads(body[4:]))
        if booted_at is not None and booted_at > self.start:
            self.whole = False

    def add(self, reading, now):
        """Take a reading at `now`, unix seconds. Returns the tuple of Released to send now, mostly empty."""
        return self._step(now, reading, None)

    def failed(self, fault, now):
        """The same when the sensor raised SensorFault `fault`; its `position`, if it has one, is the bay."""
        reason = SensorFault.REASONS.index(fault.reason)
        return self._step(now, None, (getattr(fault, "position", None), reason))

    def prepare(self):
        """Draw for the next window, unless done. For when nothing is left to send: its duration tells."""
        if self.next_drawn or not self._drbg.ready:
            return
        sampler = Sampler(self._drbg.generate)
        try:
            self.next_jitter = sampler.below(self._row.jitter_s or 1)
            if self._row.epsilon:
                self.next_noise = sampler.laplace(self._row.sensitivity, self._row.epsilon)
            self.next_drawn = True
        except StorageError:
            pass  # the next window goes out withheld

    def next_window(self, now):
        """When the open window ends, unix seconds."""
        return self.end or policy.window(self._row, now)[1]

    def next_release(self, now):
        """When the next frame leaves, unix seconds."""
        return self._pending[0] if self._pending else self.next_window(now) + self.jitter

    def next_wake(self, now):
        """The next second after `now` at which the node has to read its sensor and call `add`."""
        period = self._row.period_s
        if self._row.port == schema.LIVE or not self.start:
            return now + period - now % period
        wake = self.start + self.phase
        wake += max(0, (now - wake) // period + 1) * period
        # Triggers are counted up to the boundary; other readings wait for the release and share its wake.
        wake = min(wake, self.end if self._row.kind == "light" else self.end + self.jitter)
        if self._pending:
            wake = min(wake, self._pending[0])
        return max(wake, now + 1)

    def history(self, port, window):
        """What was released on `port` for window-1, window-2, ...: a list of values, None where nothing."""
        found = []
        for one in self._kept:
            if one.port == port and one.window < window:
                found.extend([None] * (window - one.window - 1 - len(found)))
                found.append(one.values)
        return found

    def state(self):
        """Bytes for the next wake, under 700. They hold what was measured: for RAM, never for flash."""
        pending = self._pending and (self._pending[0], self._pending[1], _plain(self._pending[2]))
        fields = [getattr(self, name) for name in _STATE]
        state = (fields, pending, [_plain(one) for one in self._kept])
        return seal(self._policy + json.dumps(state).encode())

    def _restore(self, state):
        fields, pending, kept = state
        for name in _STATE:
            setattr(self, name, fields.pop(0))
        self._pending = pending and (pending[0], pending[1], _released(pending[2]))
        self._kept = [_released(one) for one in kept]

    def _step(self, now, reading, fault):
        if now < RELEASED:  # the clock is not set
            self.whole = False
            return ()
        if now < self.seen - _SLEW_S:  # set back: what was seen lies in windows that will come again
            self.start = self.end = self.seen = 0
            self._pending = None
        self.seen = now = max(now, self.seen)
        if self._row.port == schema.LIVE:
            return self._live(now, reading, fault)
        if self._row.kind == "light" and self.start:
            # Triggers came since the last reading: they belong to the window that was open then.
            self.triggers = min(self.triggers + (reading.triggers if reading else 0), self._row.top)
            self.whole = self.whole and not fault and now - self.end <= self._row.jitter_s
        out = self._due(now)
        if now >= self.end:
            if self.start:
                self._close()
                out += self._due(now)
            self._open(now)
        if fault:
            self.fault = fault
        else:
            self._sample(reading, (now - self.start) // self._row.period_s)
        if not out:
            self.prepare()
        return out

    def _open(self, now):
        before = self.end
        self.start, self.end = policy.window(self._row, now)
        self.whole = self.start == before
        if not before:
            self._ledger.audit(self.start)
        self.phase = 0 if self._row.kind == "light" else self.jitter
        self.jitter, self.noise, self.drawn = self.next_jitter, self.next_noise, self.next_drawn
        self.next_jitter = self.next_noise = self.next_drawn = 0
        self._clear()

    def _clear(self):
        self.slots = self.triggers = 0
        self.fault = None
        self.sums = [0] * 16

    def _sample(self, reading, slot):
        if self.slots >> slot & 1:
            return
        self.slots |= 1 << slot
        if self._row.kind == "parking":
            for bay, occupied in enumerate(reading.occupied[: self._bays]):
                self.sums[bay] += 1 if occupied else 0
                self.sums[8 + bay] += occupied is not None
        elif self._row.kind == "light":
            self.sums[slot] = 0 if reading.lux is None else 1 + schema.lux_class(reading.lux)
        else:
            self.sums[slot] = 1 + _clamp(reading.level, self._row.top)
            self.sums[8 + slot] = 0 if reading.temperature is None else 101 + reading.temperature

    def _close(self):
        port, read = self._row.port, sum(self.slots >> slot & 1 for slot in range(12))
        if self.fault and not read:
            port, values = schema.FAULT, self._fault(self.fault)
        elif read >= self._row.need and self.whole and self.drawn:
            values = getattr(self, "_" + self._row.profile)()
        else:
            values = _withheld(port)
        released = Released(port, self.start // schema.row(port)[1], values)
        self._pending = (self.end + self.jitter, self.start, released)

    def _due(self, now):
        if not self._pending or now < self._pending[0]:
            return ()
        _, start, released = self._pending
        self._pending = None
        if not self._ledger.pay(start, self._row.epsilon, self._policy):
            return ()
        self._kept.insert(0, released)
        del self._kept[_KEPT:]
        return (released,)

    def _zone(self):
        slots = self._row.window_s // self._row.period_s
        taken = sum(2 * ones > slots for ones in self.sums[:8])
        return (self._noised(taken, self._bays), sum(read >= self._row.need for read in self.sums[8:]))

    def _bay(self):
        return tuple(SUPPRESSED if bay in self._hidden else self._share(bay) for bay in range(8))

    def _share(self, bay):
        taken, read = self.sums[bay], self.sums[8 + bay]
        return (8 * taken + read) // (2 * read) if read >= self._row.need else None

    def _light(self):
        return (self._noised(self.triggers, self._row.top), _median(self.sums[:8], 1), None, None, None)

    def _fill(self):
        step = self._row.step
        level = (_median(self.sums[:8], 1) + step // 2) // step * step
        return (level, _median(self.sums[8:], 101), None, None)

    def _noised(self, count, top):
        value = _clamp(_clamp(count, top) + self.noise, top)
        return value if value >= self._row.threshold else SUPPRESSED

    def _fault(self, fault):
        return (schema.KINDS.index(self._row.kind), fault[0], fault[1])

    def _live(self, now, reading, fault):
        port = schema.FAULT if fault else schema.LIVE
        values = self._fault(fault) if fault else tuple(reading.occupied[: self._bays])
        beat = now // self._row.window_s - self.start // self._row.window_s
        same = self._kept and self._kept[0].values == values and self._kept[0].port == port
        if beat == 0 or (same and beat < _BEAT):
            return ()
        self.start = now
        self._kept = [Released(port, now // schema.row(port)[1], values)]
        return tuple(self._kept)


def _clamp(value, top):
    return max(0, min(value, top))


def _median(sums, moved):
    """The lower median of what is there, moved back; None when nothing is."""
    there = sorted(one for one in sums if one)
    return there[(len(there) - 1) // 2] - moved if there else None


def _withheld(port):
    """The one frame that says nothing: suppressed where the field can say so, else unknown."""
    values = []
    for field in schema.row(port)[4]:
        values.extend([SUPPRESSED if field[5] & schema.SUPPRESSED_CODE else None] * field[6])
    return tuple(values)


def _plain(released):
    return [released.port, released.window] + ["" if one is SUPPRESSED else one for one in released.values]


def _released(plain):
    return Released(plain[0], plain[1], tuple(SUPPRESSED if one == "" else one for one in plain[2:]))
