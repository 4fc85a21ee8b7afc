# mypy: ignore-errors
"""`time` as the ESP32 has it: epoch 2000, whole seconds, ticks that wrap at 2**30, and the simulated clock below."""

import _link
import utime

_EPOCH = 946684800  # 2000-01-01 in Unix seconds
_MASK = (1 << 30) - 1
_HALF = 1 << 29

rtc_base_us = 0  # time of the RTC at boot, microseconds since 2000; set at start and by RTC.datetime()
# sleep_us() below this busy-waits on the ESP32 too.
_SHORT_US = 1000


def _set_base(us):
    global rtc_base_us
    rtc_base_us = us


def sleep(seconds):
    _link.wait(int(seconds * 1000000))


def sleep_ms(ms):
    _link.wait(max(0, ms) * 1000)


def sleep_us(us):
    if us < _SHORT_US:
        _link.spend(max(0, us))
    else:
        _link.wait(us)


def ticks_ms():
    return _link.now_us() // 1000 & _MASK


def ticks_us():
    return _link.now_us() & _MASK


ticks_cpu = ticks_us


def ticks_add(ticks, delta):
    if not -_HALF <= delta <= _HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) & _MASK


def ticks_diff(end, start):
    return ((end - start + _HALF) & _MASK) - _HALF


def time():
    return (rtc_base_us + _link.now_us()) // 1000000


def time_ns():
    return (rtc_base_us + _link.now_us()) * 1000


def gmtime(seconds=None):
    return utime.gmtime((time() if seconds is None else int(seconds)) + _EPOCH)[:8]


localtime = gmtime


def mktime(moment):
    return utime.mktime(tuple(moment[:8]) + (0,)) - _EPOCH
