"""Hi-Link HLK-LD2410, presence by 24 GHz radar: OUT pin and UART (serial communication protocol V1.02)."""

from borne_node.chips.frames import drain
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "LD2410"

# Section 2.3.1: reported data are F4 F3 F2 F1, length (2), body, F8 F7 F6 F5, numbers with the low byte first.
_HEAD = b"\xf4\xf3\xf2\xf1"
_TAIL = b"\xf8\xf7\xf6\xf5"
_BODY = const(13)  # basic mode: 02 AA, nine bytes of targets, 55 00
_FRAME = const(23)
_BASIC = const(0x02)
_MARK = const(0xAA)
_END = const(0x55)
_MOVING = const(1)
_STILL = const(2)

# A frame each 100 ms: three of them, since the first may have begun before we listened.
_LIMIT_MS = const(400)
_POLL_MS = const(5)


class LD2410:
    """`read` waits for one frame: (moving, still), each the target's distance in mm or None.

    The OUT pin is the presence sensor; the frames prove that the radar lives, which the pin at rest does not.
    """

    name = NAME
    baudrate = 256000

    def __init__(self, uart, clock):
        self._uart = uart
        self._clock = clock
        self._byte = bytearray(1)
        self._frame = bytearray(_FRAME)
        self._have = 0

    def read(self):
        """Raises SensorFault "no answer", or "bad checksum" for bytes that make no frame."""
        drain(self._uart, self._byte)
        self._have = 0
        heard = 0
        began = self._clock.ticks_ms()
        while True:
            while self._uart.any() and self._uart.readinto(self._byte):
                heard += 1
                if self._take(self._byte[0]):
                    return self._targets()
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                raise SensorFault(NAME, "bad checksum" if heard >= _FRAME else "no answer")
            self._clock.sleep_ms(_POLL_MS)

    def _take(self, byte):
        """True when `byte` ends a good frame."""
        frame = self._frame
        if self._have < 4:
            # No byte of the head repeats, so a wrong one begins anew, or is itself the first.
            self._have = self._have + 1 if byte == _HEAD[self._have] else 1 if byte == _HEAD[0] else 0
            return False
        frame[self._have] = byte
        self._have += 1
        if self._have < _FRAME:
            return False
        self._have = 0
        return (
            frame[4] == _BODY
            and frame[5] == 0
            and frame[6] == _BASIC
            and frame[7] == _MARK
            and frame[17] == _END
            and frame[19:] == _TAIL
        )

    def _targets(self):
        frame = self._frame
        state = frame[8]
        moving = (frame[9] | frame[10] << 8) * 10 if state & _MOVING else None
        still = (frame[12] | frame[13] << 8) * 10 if state & _STILL else None
        return moving, still
