"""The gate: readings go in, released values come out, once a window, on a fixed schedule. No other door.

Unix time is cut into windows, windows into slots that take one reading each. A window's frame leaves `jitter`
seconds after its end, whatever was measured; jitter and noise are drawn one window ahead. A window not seen
whole, or without healthy randomness, leaves as a constant withheld frame; one without a reading, as a fault.
"""

import json
from collections import namedtuple

from borne_node import RELEASED
from borne_node.errors import SensorFault, StorageError
from borne_node.privacy import policy
from borne_node.privacy.noise import Sampler
from borne_node.report import schema
from borne_node.sealed import seal, unseal

# window: unix seconds // its length; values: int, None (unknown) or SUPPRESSED, as in meaning.names(port).
Released = namedtuple("Released", ("port", "window", "values"))

_SLEW_S = 60  # more than the sleep clock is off in a slot; setting it back by less is no set-back
_BEAT = 60  # windows of the live profile between two signs of life
_KEPT = 8  # released windows kept for `history`: about what a frame has room for (report.schema)
_SPAN = 16  # windows that `history` reaches back: a night block is eight
_DEFECTIVE = 4  # of the lamp (report.meaning)
_HIDDEN = "*"  # SUPPRESSED, in words that JSON can keep

# What outlives deep sleep. phase: of this window's readings. next_*: drawn for the window to come. slots: bits
# of those read. sums: for parking the readings per bay that were occupied, then all; for light and fill the lux
# class or level per slot, then for light lamp and dimming (of the last reading; defective once is defective) and
# energy, for fill temperature per slot and, last, tilt and fire (once is enough); all but energy moved up so that 0
# is none. pending: the closed window not yet due (when, its start, frame). kept: frames released, newest first. A
# frame is port, window, values.
_STATE = ("start", "end", "seen", "phase", "whole", "jitter", "noise", "drawn", "next_jitter", "next_noise")
_STATE += ("next_drawn", "slots", "triggers", "fault", "sums", "pending", "kept")


class Gate:
    """One node's gate, for a row of the policy, a drbg.Drbg and a ledger.Ledger.

    settings: `bays`, `withheld_bays` (numbers from 1: reserved, disabled, private). `state`: what `state()` gave
    before the sleep; None or corrupt: nothing was observed. `booted_at`: unix second of a reset that was no wake
    from deep sleep, else None; a window begun before it is partial.
    """

    def __init__(self, row, settings, drbg, ledger, state=None, booted_at=None):
        self._row = row
        self._bays = settings.get("bays", 0)
        self._withheld_bays = settings.get("withheld_bays", ())
        self._drbg = drbg
        self._ledger = ledger
        self._policy = policy.digest(row)[:4]
        body = unseal(state)
        valid = body and body[:4] == self._policy
        fields = json.loads(body[4:]) if valid else [0] * (len(_STATE) - 2) + [None, []]
        for i, name in enumerate(_STATE):
            setattr(self, "_" + name, fields[i])
        if booted_at is not None and booted_at > self._start:
            self._whole = False

    def add(self, reading, now):
        """Take a reading at `now`, unix seconds. Returns the tuple of Released to send now, mostly empty."""
        return self._step(now, reading, None)

    def failed(self, fault, now):
        """The same when the sensor raised SensorFault `fault`; its `position`, if it has one, is the bay."""
        kind, reason = schema.KINDS.index(self._row.kind), SensorFault.REASONS.index(fault.reason)
        return self._step(now, None, [kind, getattr(fault, "position", None), reason])

    def prepare(self):
        """Draw for the next window, unless done. For when nothing is left to send: its duration tells."""
        if self._next_drawn or not self._drbg.ready:
            return
        sampler = Sampler(self._drbg.generate)
        try:
            self._next_jitter = sampler.below(self._row.jitter_s)
            if self._row.epsilon:
                self._next_noise = sampler.laplace(self._row.sensitivity, self._row.epsilon)
            self._next_drawn = True
        except StorageError:
            pass  # the next window goes out withheld

    def next_release(self, now):
        """When the next frame leaves, unix seconds."""
        if self._pending:
            return self._pending[0]
        return (self._end or policy.window(self._row, now)[1]) + self._jitter

    def next_wake(self, now):
        """The next second after `now` at which the node has to read its sensor and call `add`."""
        period = self._row.period_s
        if self._row.port == schema.LIVE or not self._start or now < self._start:
            return now + period - now % period
        wake = self._start + self._phase
        wake += max(0, (now - wake) // period + 1) * period
        # Triggers are counted up to the boundary; other readings wait for the release and share its wake.
        wake = min(wake, self._end if self._row.kind == "light" else self._end + self._jitter)
        if self._pending:
            wake = min(wake, self._pending[0])
        return max(wake, now + 1)

    def history(self, port, window):
        """What was released on `port` for window-1, window-2, ...: a list of values, None where nothing."""
        found = []
        for frame in self._kept:
            back = window - frame[1]
            if frame[0] == port and 0 < back <= _SPAN:
                found.extend([None] * (back - 1 - len(found)))
                found.append(_released(frame).values)
        return found

    def state(self):
        """Bytes for the next wake, under 800. They hold what was measured: for RAM, never for flash."""
        return seal(self._policy + json.dumps([getattr(self, "_" + name) for name in _STATE]).encode())

    def _step(self, now, reading, fault):
        if now < RELEASED:  # the clock is not set
            self._whole = False
            return ()
        if now < self._seen - _SLEW_S:  # set back: what was seen lies in windows that will come again
            self._start = self._end = self._seen = 0
            self._pending, self._kept = None, []
        self._seen = now = max(now, self._seen)
        if self._row.port == schema.LIVE:
            return self._live(now, reading, fault)
        late = False
        if self._row.kind == "light" and self._start:
            # Triggers came since the last reading: they belong to the window that was open then.
            self._triggers = min(self._triggers + (reading.triggers if reading else 0), self._row.top)
            more, used = reading and reading.energy, self._sums[10]
            self._sums[10] = None if more is None or used is None else used + more
            late = now - self._end > self._row.jitter_s
            self._whole = self._whole and not fault and not late
        out = self._due(now)
        if now >= self._end:
            if self._start:
                self._close()
                out += self._due(now)
            self._open(now, late)
        if fault:
            self._fault = fault
        else:
            self._sample(reading, (now - self._start) // self._row.period_s)
        if not out:
            self.prepare()
        return out

    def _open(self, now, late):
        before = self._end
        self._start, self._end = policy.window(self._row, now)
        self._whole = self._start == before and not late
        if not before:
            self._ledger.audit(self._start)
        self._phase = 0 if self._row.kind == "light" else self._jitter
        self._jitter, self._noise, self._drawn = self._next_jitter, self._next_noise, self._next_drawn
        self._next_jitter = self._next_noise = self._next_drawn = self._slots = self._triggers = 0
        self._fault, self._sums = None, [0] * 16

    def _sample(self, reading, slot):
        if self._slots >> slot & 1:
            return
        self._slots |= 1 << slot
        if self._row.kind == "parking":
            for bay, occupied in enumerate(reading.occupied[: self._bays]):
                self._sums[bay] += 1 if occupied else 0
                self._sums[8 + bay] += occupied is not None
        elif self._row.kind == "light":
            self._sums[slot] = 0 if reading.lux is None else 1 + schema.lux_class(reading.lux)
            if self._sums[8] != 1 + _DEFECTIVE:
                self._sums[8] = 0 if reading.lamp is None else 1 + reading.lamp
            self._sums[9] = 0 if reading.dimming is None else 1 + reading.dimming
        else:
            self._sums[slot] = 0 if reading.level is None else 1 + max(0, min(reading.level, self._row.top))
            self._sums[8 + slot] = 0 if reading.temperature is None else 101 + reading.temperature
            for at, alarm in ((14, reading.tilt), (15, reading.fire)):
                self._sums[at] = max(self._sums[at], 0 if alarm is None else 1 + alarm)

    def _close(self):
        port, read = self._row.port, sum(self._slots >> slot & 1 for slot in range(12))
        if self._fault and not read:
            port, values = schema.FAULT, self._fault
        elif read >= self._row.need and self._whole and self._drawn:
            values = getattr(self, "_" + self._row.profile)()
        else:
            # Nothing is said: suppressed where the field can say so, else unknown.
            hide = schema.SUPPRESSED_CODE
            values = [
                _HIDDEN if one[5] & hide else None for one in schema.row(port)[4] for _ in range(one[6])
            ]
        frame = [port, self._start // schema.row(port)[1]] + values
        self._pending = [self._end + self._jitter, self._start, frame]

    def _due(self, now):
        if not self._pending or now < self._pending[0]:
            return ()
        _, start, frame = self._pending
        self._pending = None
        if not self._ledger.pay(start, self._row.epsilon, self._policy):
            return ()
        self._kept = [frame] + self._kept[: _KEPT - 1]
        return (_released(frame),)

    def _zone(self):
        slots = self._row.window_s // self._row.period_s
        taken = sum(2 * ones > slots for ones in self._sums[:8])
        return [self._noised(taken, self._bays), sum(read >= self._row.need for read in self._sums[8:])]

    def _bay(self):
        shares = [None] * 8
        for bay, read in enumerate(self._sums[8:]):
            if bay + 1 in self._withheld_bays:
                shares[bay] = _HIDDEN
            elif read >= self._row.need:
                shares[bay] = (8 * self._sums[bay] + read) // (2 * read)
        return shares

    def _light(self):
        # The lamp is a thing and says nothing of people, as long as it does not follow them: its dimming is its plan's.
        lamp, dimming = (_median([one], 1) for one in self._sums[8:10])
        lux = _median(self._sums[:8], 1)
        return [self._noised(self._triggers, self._row.top), lux, lamp, dimming, self._sums[10]]

    def _fill(self):
        step, level = self._row.step, _median(self._sums[:8], 1)
        if level is not None:
            level = (level + step // 2) // step * step
        return [level, _median(self._sums[8:12], 101)] + [_median([one], 1) for one in self._sums[14:]]

    def _noised(self, count, top):
        value = max(0, min(min(count, top) + self._noise, top))
        return value if value >= self._row.threshold else _HIDDEN

    def _live(self, now, reading, fault):
        port = schema.FAULT if fault else schema.LIVE
        frame = [port, now // schema.row(port)[1]] + (fault or list(reading.occupied[: self._bays]))
        beat = now // self._row.window_s - self._start // self._row.window_s
        last = self._kept[0] if self._kept else [0]
        if beat == 0 or (beat < _BEAT and frame[0] == last[0] and frame[2:] == last[2:]):
            return ()
        self._start, self._kept = now, [frame]
        return (_released(frame),)


def _median(sums, moved):
    """The lower median of what is there, moved back; None when nothing is."""
    there = sorted(one for one in sums if one)
    return there[(len(there) - 1) // 2] - moved if there else None


def _released(frame):
    values = [schema.SUPPRESSED if one == _HIDDEN else one for one in frame[2:]]
    return Released(frame[0], frame[1], tuple(values))
