"""Battery, and how long to sleep."""

# A node wakes at least daily, so that a clock gone wrong cannot put it to sleep for ever.
LONGEST_S = 24 * 3600
# Below that the boot costs more than the sleep saves.
_SHORTEST_MS = 1000
_SAMPLES = 5


def millivolts(board):
    """Battery voltage in mV, the median of a few readings at the divider's tap; None on a board without one."""
    divider = board.names.get("battery_divider")
    if divider is None:
        return None
    readings = sorted(board.battery_uv() for _ in range(_SAMPLES))
    return int(readings[_SAMPLES // 2] * divider) // 1000


def sleep_ms(now, until):
    """Milliseconds from `now` to `until` (unix seconds), within what is sensible for a deep sleep."""
    return max(_SHORTEST_MS, min(until - now, LONGEST_S) * 1000)
