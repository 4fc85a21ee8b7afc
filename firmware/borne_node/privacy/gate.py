"""The gate: readings go in, released values come out, once a window, on a fixed schedule. No other door.

Unix time is cut into windows, windows into slots that take one reading each. A window's frame leaves `jitter`
seconds after its end, whatever was measured; jitter and noise are drawn one window ahead. A window not seen
whole, or without healthy randomness, leaves as a constant withheld frame; one without a reading, as a fault. What
endangers a thing (it lies, it burns) leaves at once: an alarm, at most one a window, none while it lasts.
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
_DEFECTIVE = 4  # of the lamp (report.meaning)
_SERIES = {"light": ("lux",), "fill": ("level", "temperature")}
_HIDDEN = "*"  # SUPPRESSED, in words that JSON can keep

# What outlives deep sleep. phase: of this window's readings. next_*: drawn for the window to come. slot: the next to
# be read, read: how many were. counts: per bay the readings that were occupied, then all. series: lux, or levels and
# temperatures. things: lamp, dimming (both of the last reading; defective once is defective) and energy in Wh, or tilt,
# fire (once is enough) and second of the emptying. untold: energy of a window withheld. alarmed: alarms told. pending:
# closed window not yet due (when, start, frame). last: the frame released last, if live. Frame: port, window, values.
_STATE = (
    "start end seen phase whole jitter drawn next_jitter next_drawn slot read triggers fault pending untold "
)
_STATE = (_STATE + "noise next_noise counts series things alarmed last").split()
_FIRST = (
    "[" + "0, " * 12 + "null, " * 3 + "[], [], [%s0], [[], []], [null, null, null], [], [0]]" % ("0, " * 15)
)


class Gate:
    """One node's gate, for a row of the policy, a drbg.Drbg and a ledger.Ledger.

    settings: `bays`, `withheld_bays` (numbers from 1: reserved, disabled, private), `dimmer`. `state`: what `state()`
    gave before the sleep; None or corrupt: nothing was observed. `booted_at`: unix second of a reset that was no
    wake from deep sleep, else None; a window begun before it is partial.
    """

    def __init__(self, row, settings, drbg, ledger, state=None, booted_at=None):
        self._row, self._settings, self._drbg, self._ledger = row, settings, drbg, ledger
        self._bays = settings.get("bays", 0)
        self._policy = policy.digest(row)[:4]
        body = unseal(state) or b""
        fields = json.loads(body[4:] if body[:4] == self._policy else _FIRST)
        for i, name in enumerate(_STATE):
            setattr(self, "_" + name, fields[i])
        if booted_at is not None and booted_at > self._start:
            self._whole = False

    def prepare(self):
        """Draw for the next window, unless done. For when nothing is left to send: its duration tells."""
        if self._next_drawn or not self._drbg.ready:
            return
        sampler, row = Sampler(self._drbg.generate), self._row
        counts = range(self._bays if row.unit == "quarter-hour" else 1)
        try:
            self._next_jitter = sampler.below(row.jitter_s)
            if row.epsilon:
                self._next_noise = [sampler.laplace(row.sensitivity, row.epsilon) for _ in counts]
            self._next_drawn = True
        except StorageError:
            pass  # the next window goes out withheld

    def next_release(self, now):
        """When the next frame leaves, unix seconds."""
        end = self._end or policy.window(self._row, now)[1]
        return self._pending[0] if self._pending else end + self._jitter

    def next_wake(self, now):
        """The next second after `now` at which the node has to read its sensor and call `add`."""
        period = self._row.period_s
        if self._row.port == schema.LIVE or not self._start or now < self._start:
            return now + period - now % period
        wake = self._start + self._phase
        wake += max(0, (now - wake) // period + 1) * period
        # Triggers are counted up to the boundary; other readings wait for the release and share its wake.
        last = self._end if self._row.kind == "light" else self._end + self._jitter
        return max(now + 1, min(wake, last, self._pending[0] if self._pending else last))

    def state(self):
        """Bytes for the next wake, under 800. They hold what was measured: for RAM, never for flash."""
        return seal(self._policy + json.dumps([getattr(self, "_" + name) for name in _STATE]).encode())

    def add(self, reading, now):
        """Take a reading at `now` (unix seconds), or the SensorFault in its place, whose `position` is the bay, if any.

        Returns a tuple of what is Released now, mostly empty.
        """
        fault = None
        if isinstance(reading, SensorFault):
            code = SensorFault.REASONS.index(reading.reason)
            fault = [schema.KINDS.index(self._row.kind), getattr(reading, "position", None), code]
        if now < RELEASED:  # the clock is not set
            self._whole = False
            return ()
        if now < self._seen - _SLEW_S:  # set back: what was seen lies in windows that will come again
            self._start = self._end = self._seen = 0
            self._pending, self._last = None, [0]
        self._seen = now = max(now, self._seen)
        if self._row.port == schema.LIVE:
            return self._live(now, reading, fault)
        late = False
        if self._row.kind == "light" and self._start:
            # Triggers came since the last reading: they belong to the window that was open then.
            self._triggers = min(self._triggers + (0 if fault else reading.triggers), self._row.top)
            more, used = None if fault else reading.energy, self._things[2]
            self._things[2] = None if more is None or used is None else used + more
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
            out += self._alarms(reading) if self._row.kind == "fill" else ()
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
        self._next_jitter = self._next_drawn = self._slot = self._read = self._triggers = 0
        self._fault, self._next_noise, self._counts, self._series = None, [], [0] * 16, [[], []]
        self._alarmed = [n for n in self._alarmed if self._things[n]]
        # Energy that no frame told is told by the next.
        self._things = [None, None, (self._untold or 0) if self._row.kind == "light" else None]

    def _sample(self, reading, slot):
        if slot < self._slot:
            return
        self._slot, self._read = slot + 1, self._read + 1
        for bay, occupied in enumerate(getattr(reading, "occupied", ())[: self._bays]):
            self._counts[bay] += 1 if occupied else 0
            self._counts[8 + bay] += occupied is not None
        for n, name in enumerate(_SERIES.get(self._row.kind, ())):
            if getattr(reading, name) is not None:
                self._series[n].append(getattr(reading, name))
        if self._row.kind == "light":
            lamp = _DEFECTIVE if self._things[0] == _DEFECTIVE else reading.lamp
            self._things[:2] = lamp, reading.dimming

    def _alarms(self, reading):
        """What lies or burns, and was not told since it did not."""
        for n, flag in enumerate((reading.tilt, reading.fire)):
            if flag is not None:
                self._things[n] = flag or self._things[n] or 0
        self._things[2] = reading.emptied
        told = [n for n in range(2) if self._things[n] and n not in self._alarmed]
        self._alarmed += told
        return tuple(_released([schema.ALARM, None, schema.KINDS.index(self._row.kind), n]) for n in told)

    def _close(self):
        port, row = self._row.port, self._row
        told = self._read >= row.need and self._whole and self._drawn
        if self._fault and not self._read:
            port, told, values = schema.FAULT, False, self._fault
        elif told:
            values = self._shares() if row.unit == "quarter-hour" else getattr(self, "_" + row.profile)()
        else:
            # Nothing is said: suppressed where the field can say so, else unknown.
            values = []
            for field in schema.row(port)[4]:
                values += [_HIDDEN if field[5] & schema.SUPPRESSED_CODE else None] * field[6]
        self._untold = None if told else self._things[2]
        frame = [port, self._start // schema.row(port)[1]] + values
        self._pending = [self._end + self._jitter, self._start, frame]

    def _due(self, now):
        if not self._pending or now < self._pending[0]:
            return ()
        (_, start, frame), self._pending = self._pending, None
        return (_released(frame),) if self._ledger.pay(start, self._row.epsilon, self._policy) else ()

    def _zone(self):
        slots = self._row.window_s // self._row.period_s
        taken = sum(2 * ones > slots for ones in self._counts[:8])
        return [self._noised(taken, self._bays), sum(read >= self._row.need for read in self._counts[8:])]

    def _shares(self):
        # Noise is added to slots, which one vehicle changes by as many as it stays; then they are scaled.
        parts, shares = self._row.top // self._row.step, [None] * 8
        for bay, read in enumerate(self._counts[8:]):
            if bay + 1 in self._settings.get("withheld_bays", ()):
                shares[bay] = _HIDDEN
            elif read >= self._row.need:
                shares[bay] = (2 * parts * self._noised(self._counts[bay], read, bay) + read) // (2 * read)
        return shares

    def _light(self):
        # The lamp is a thing and says nothing of people, unless it follows them: then only that it fails is said.
        things = self._things
        if self._settings.get("dimmer", "none") != "none":
            things = [_DEFECTIVE if things[0] == _DEFECTIVE else None, None, None]
        lux = _median(self._series[0], schema.lux_class)
        return [self._noised(self._triggers, self._row.top), lux] + things

    def _fill(self):
        step, top = self._row.step, self._row.top
        level = _median(self._series[0], lambda level: (max(0, min(level, top)) + step // 2) // step * step)
        ago = self._things[2] and max(0, -((self._things[2] - self._start) // self._row.window_s))
        return [level, _median(self._series[1], int)] + self._things[:2] + [ago]

    def _noised(self, count, top, n=0):
        value = max(0, min(min(count, top) + self._noise[n], top))
        return value if value >= self._row.threshold else _HIDDEN

    def _live(self, now, reading, fault):
        port = schema.FAULT if fault else schema.LIVE
        frame = [port, now // schema.row(port)[1]] + (fault or list(reading.occupied[: self._bays]))
        beat = now // self._row.window_s - self._start // self._row.window_s
        if beat == 0 or (beat < _BEAT and frame[0] == self._last[0] and frame[2:] == self._last[2:]):
            return ()
        self._start, self._last = now, frame
        return (_released(frame),)


def _median(values, said):
    """The lower median, as `said` makes it; None of nothing."""
    return said(sorted(values)[(len(values) - 1) // 2]) if values else None


def _released(frame):
    values = [schema.SUPPRESSED if one == _HIDDEN else one for one in frame[2:]]
    return Released(frame[0], frame[1], tuple(values))
