"""Battery, and how long to sleep."""

# A node wakes at least daily, so that a clock gone wrong cannot put it to sleep for ever.
LONGEST_S = 24 * 3600
# Below that the boot costs more than the sleep saves.
_SHORTEST_MS = 1000
_SAMPLES = 5


def millivolts(board):
    """Battery voltage in mV, the median of a few readings; None where the board cannot tell, or has no cell."""
    readings = [board.battery_uv() for _ in range(_SAMPLES)]
    if None in readings:
        return None
    readings.sort()
    return int(readings[_SAMPLES // 2] * board.names.get("battery_divider", 1)) // 1000


def sleep_ms(now, until):
    """Milliseconds from `now` to `until` (unix seconds), within what is sensible for a deep sleep."""
    return max(_SHORTEST_MS, min(until - now, LONGEST_S) * 1000)
