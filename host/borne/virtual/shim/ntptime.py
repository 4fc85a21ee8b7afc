# mypy: ignore-errors
"""`ntptime`: the network's time is the simulated clock's."""

import struct

import _link
import _ops
import machine
import utime

host = "pool.ntp.org"
timeout = 1
_EPOCH = 946684800


def time():
    """Seconds since 2000. Raises OSError without a network or an answer."""
    if not _link.state.link_up:
        raise OSError(-202)
    return struct.unpack("<Q", _link.ask(_ops.NTP))[0] // 1000000 - _EPOCH


def settime():
    t = utime.gmtime(time() + _EPOCH)
    machine.RTC().datetime((t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0))
