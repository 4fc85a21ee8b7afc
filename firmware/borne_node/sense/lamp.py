"""What the lamp of a post does, from the power that it draws and the light around it."""

import struct

from borne_node.compat import const
from borne_node.sealed import save, unseal

# As in the report: meaning.py has the words.
OFF, ON, LOW, DEFECTIVE = 0, 1, 2, 4

# Of the lamp's rated power, in percent: less is the driver's own need, more is full light, and beyond that it burns
# what it should not.
_OFF_BELOW = const(5)
_ON_FROM = const(85)
_TOO_MUCH = const(130)

# A photocell switches at 10 to 70 lux. Below this it is night for all of them, above that day, lamp light included.
_DARK_LUX = const(5)
_DAY_LUX = const(200)
# Dusk, a passing cloud and a lamp that strikes again are over by then.
_WRONG_S = const(1800)

# Samples over half a second see the flicker of a failing driver or ballast (1 to 10 Hz): they differ by a third.
_SAMPLES = const(8)
_APART_MS = const(60)
_FLICKER = const(33)

# What a meter without a count is taken to have drawn between two readings; longer pauses (power cuts) are not guessed.
_GAP_S = const(3 * 3600)
_MJ_PER_WH = const(3_600_000)

_RECORD = "lamp"
# An NVS blob of 8 bytes takes three of a page's 126 entries, so at 96 writes a day the five pages of the smallest
# partition are erased less than once in two days each, of the 100,000 times that they bear.
_SAVE_S = const(900)
# Time and milliwatts of the last reading; millijoules that make no whole Wh yet; total Wh, as a meter counts or as
# added up here; since when it is wrong, and when the total was saved last.
_STATE = "<IIIIII"


class Lamp:
    """`open_meter()` gives the identified power meter or raises SensorFault; `settings["lamp_w"]` is the rated power.

    `night_off` in the settings: it is off for part of the night on purpose. `store` (NVS) keeps the energy count,
    written once in a quarter of an hour at most.
    """

    def __init__(self, open_meter, settings, clock, state=None, store=None):
        self._open_meter = open_meter
        self._full = settings["lamp_w"] * 1000
        self._night_off = settings.get("night_off", False)
        self._clock = clock
        self._store = store
        valid = state and len(state) == struct.calcsize(_STATE)
        self._at, self._power, self._rest, self.total_wh, self._wrong_since, self._saved_at = (
            struct.unpack(_STATE, state) if valid else (0, 0, 0, 0, 0, 0)
        )
        self._counted = valid
        if not valid:
            body = unseal(store.read(_RECORD)) if store else None
            if body and len(body) == 4:
                self.total_wh = struct.unpack("<I", body)[0]
                self._counted = True

    def read(self, now, lux):
        """(state, dimming in percent, Wh since the last reading or None). Raises SensorFault."""
        meter = self._open_meter()
        power, flickers = self._measure(meter)
        used = self._by_meter(meter.energy_wh) if meter.counts_energy else self._by_sum(power, now)
        self._at, self._power = now, power
        self._keep(now)
        percent = (power * 100 + self._full // 2) // self._full
        return (
            self._judge(percent, flickers, lux, now),
            0 if percent < _OFF_BELOW else min(100, percent),
            used,
        )

    def state(self):
        numbers = (self._at, self._power, self._rest, self.total_wh, self._wrong_since, self._saved_at)
        return struct.pack(_STATE, *numbers)

    def _measure(self, meter):
        """Milliwatts, and whether they flicker. A meter that counts energy measures once a second: too slow to tell."""
        least = most = total = meter.read()[2]
        if meter.counts_energy:
            return total, False
        for _ in range(_SAMPLES - 1):
            self._clock.sleep_ms(_APART_MS)
            power = meter.read()[2]
            total += power
            least, most = min(least, power), max(most, power)
        return total // _SAMPLES, (
            most - least
        ) * 100 * _SAMPLES > _FLICKER * total and most * 20 > self._full

    def _by_meter(self, count):
        # Less than before: somebody changed the meter, or set it back.
        used = count - self.total_wh if self._counted and count >= self.total_wh else None
        self.total_wh, self._counted = count, True
        return used

    def _by_sum(self, power, now):
        gap = now - self._at
        if not self._at or not 0 <= gap <= _GAP_S:
            return None
        self._rest += (self._power + power) // 2 * gap
        used = self._rest // _MJ_PER_WH
        self._rest -= used * _MJ_PER_WH
        self.total_wh = (self.total_wh + used) & 0xFFFFFFFF
        return used

    def _judge(self, percent, flickers, lux, now):
        off = percent < _OFF_BELOW
        dark, day = lux is not None and lux < _DARK_LUX, lux is not None and lux >= _DAY_LUX
        wrong = flickers or percent > _TOO_MUCH or (day and not off) or (dark and off and not self._night_off)
        if not wrong:
            self._wrong_since = 0
        elif not 0 < self._wrong_since <= now:
            self._wrong_since = now
        elif now - self._wrong_since >= _WRONG_S:
            return DEFECTIVE
        return OFF if off else ON if percent >= _ON_FROM else LOW

    def _keep(self, now):
        due = self._store and not 0 <= now - self._saved_at < _SAVE_S
        if due and save(self._store, _RECORD, struct.pack("<I", self.total_wh)):
            self._saved_at = now
