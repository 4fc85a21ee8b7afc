"""Where MicroPython and CPython differ: two definitions of one name. Nothing else asks where it runs."""

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


try:
    from time import ticks_add, ticks_diff

    if ticks_diff(0, (1 << 30) - 1) != 1:
        raise ImportError  # the unix port's ticks wrap much later
except ImportError:
    # MicroPython's ticks wrap at 2**30 on the ESP32 (docs: time.ticks_ms); the arithmetic is the same here.
    _PERIOD = 1 << 30
    _HALF = _PERIOD >> 1

    def ticks_add(ticks, delta):
        return (ticks + delta) & (_PERIOD - 1)

    def ticks_diff(end, start):
        return ((end - start + _HALF) & (_PERIOD - 1)) - _HALF
