"""DFRobot A02YYUW (SEN0311), ultrasonic distance over a UART at 9600 baud (wiki.dfrobot.com/sen0311).

The node's TX idles high on the sensor's RX, which selects the "processed value": a frame each 100 to 300 ms.
"""

from borne_node.chips.frames import drain
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "A02YYUW"
NEAREST_MM = const(30)  # specification: the blind zone
FARTHEST_MM = const(4500)

_HEADER = const(0xFF)
_FRAME = const(4)
# Response time 100 to 300 ms: two frames at the slowest, since the first may have begun before we listened.
_LIMIT_MS = const(700)
_POLL_MS = const(10)


class A02YYUW:
    """`start` empties the buffer, `poll` reads on without waiting, `ping` waits for one frame.

    The sensor has no identity to ask for and takes no commands.
    """

    name = NAME
    baudrate = 9600
    nearest_mm = NEAREST_MM
    farthest_mm = FARTHEST_MM
    # No document says that it knows how warm the air is, so its millimetres are those of a room.
    celsius = 20

    def __init__(self, uart, clock):
        self._uart = uart
        self._clock = clock
        self._window = bytearray(_FRAME)
        self._byte = bytearray(1)
        self._heard = 0

    def start(self):
        """Forget all that was sent before now."""
        drain(self._uart, self._byte)
        self._clear()

    def stop(self):
        """It goes on measuring; its supply is not ours to switch."""

    def poll(self):
        """Millimetres of the next whole frame, None while there is none, 0 for a frame without an echo."""
        window = self._window
        while self._uart.any() and self._uart.readinto(self._byte):
            window[0] = window[1]
            window[1] = window[2]
            window[2] = window[3]
            window[3] = self._byte[0]
            self._heard += 1
            if window[0] != _HEADER:
                continue
            # FF may also be the low byte or the sum. The sum of four bytes tells it from a header, but for
            # one case: FF, then a whole frame's FF and high byte, happen to sum up to a low byte of FF.
            if window[1] == _HEADER and window[2] <= FARTHEST_MM >> 8:
                continue
            if (window[0] + window[1] + window[2]) & 0xFF == window[3]:
                distance = window[1] << 8 | window[2]
                self._clear()
                return distance if NEAREST_MM <= distance <= FARTHEST_MM else 0
        return None

    def ping(self):
        """Millimetres, 30 to 4500. Raises SensorFault "no answer", "bad checksum" or "out of range"."""
        began = self._clock.ticks_ms()
        self._heard = 0
        while True:
            distance = self.poll()
            if distance:
                return distance
            if distance == 0:
                raise SensorFault(NAME, "out of range")
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                # Whole frames came, and none was right.
                raise SensorFault(NAME, "bad checksum" if self._heard >= 2 * _FRAME else "no answer")
            self._clock.sleep_ms(_POLL_MS)

    def _clear(self):
        for at in range(_FRAME):
            self._window[at] = 0
