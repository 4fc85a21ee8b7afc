"""Battery, and how long to sleep."""

# A node wakes at least daily, so that a clock gone wrong cannot put it to sleep for ever.
_LONGEST_S = 24 * 3600
# Shorter than that, deep sleep costs more (boot, 16 KiB of imports) than it saves.
_SHORTEST_MS = 1000
_SAMPLES = 5


def millivolts(read_uv, divider):
    """Battery voltage in mV: the median of a few readings in uV at the divider's tap, times `divider`."""
    readings = sorted(read_uv() for _ in range(_SAMPLES))
    return int(readings[_SAMPLES // 2] * divider) // 1000


def sleep_ms(now, until):
    """Milliseconds from `now` to `until` (unix seconds), within what is sensible for a deep sleep."""
    return max(_SHORTEST_MS, min(until - now, _LONGEST_S) * 1000)
