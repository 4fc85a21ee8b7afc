"""Time: the seconds that windows are cut by, and the ticks that waits are limited by."""

from borne_node import RELEASED

# MicroPython counts from 2000 on the ESP32 and from 1970 on unix (docs: time, "Epoch").
_SECONDS_1970_TO_2000 = 946684800


class Clock:
    """`time` is MicroPython's time module, `rtc` a machine.RTC; both are handed in by hardware.py."""

    def __init__(self, time, rtc):
        self._time = time
        self._rtc = rtc
        self._epoch = _SECONDS_1970_TO_2000 if time.gmtime(0)[0] == 2000 else 0
        self.ticks_ms = time.ticks_ms
        self.sleep_ms = time.sleep_ms

    def now(self):
        """Unix time in whole seconds; counts from the epoch while the clock is not set."""
        return int(self._time.time()) + self._epoch

    @property
    def is_set(self):
        return self.now() >= RELEASED

    def set(self, now):
        """Set the clock to `now`, unix seconds; a time before this firmware's release is ignored as impossible."""
        if now < RELEASED:
            return
        year, month, day, hour, minute, second, weekday, _ = self._time.gmtime(now - self._epoch)
        self._rtc.datetime((year, month, day, weekday, hour, minute, second, 0))
