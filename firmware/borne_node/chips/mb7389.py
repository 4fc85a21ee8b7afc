"""MaxBotix MB7389 (HRXL-MaxSonar-WRMT), ultrasonic distance over a UART (datasheet PD11500).

It reports the largest target, corrects for the warmth of the air by a thermometer of its own, and while pin 4 is
high or open sends a reading each 148 ms: "R", four digits, carriage return, at TTL levels.
"""

from borne_node.chips.frames import drain
from borne_node.compat import const, ticks_diff
from borne_node.errors import SensorFault

NAME = "MB7389"
NEAREST_MM = const(300)  # "objects closer report 300 mm"
NO_TARGET_MM = const(5000)  # "no target is detected: 5000"

_R = const(0x52)
_RETURN = const(0x0D)
_DIGITS = const(4)
# "Sensor timing": 6.67 Hz. Three readings, since the first may have begun before we listened.
_LIMIT_MS = const(500)
_POLL_MS = const(10)


class MB7389:
    """`start` empties the buffer, `poll` reads on without waiting, `ping` waits for one reading.

    The sensor has no identity to ask for and takes no commands.
    """

    name = NAME
    baudrate = 9600
    nearest_mm = NEAREST_MM
    farthest_mm = NO_TARGET_MM - 1
    celsius = None  # corrects itself

    def __init__(self, uart, clock):
        self._uart = uart
        self._clock = clock
        self._byte = bytearray(1)
        self._digits = -1  # how many of a reading have come; -1: its "R" has not
        self._value = 0
        self._heard = 0

    def start(self):
        """Forget all that was sent before now."""
        drain(self._uart, self._byte)
        self._digits = -1

    def poll(self):
        """Millimetres of the next whole reading, 300 and 5000 included; None while there is none."""
        while self._uart.any() and self._uart.readinto(self._byte):
            self._heard += 1
            byte = self._byte[0]
            if byte == _R:
                self._digits = self._value = 0
            elif self._digits == _DIGITS and byte == _RETURN:
                self._digits = -1
                return self._value
            elif 0 <= self._digits < _DIGITS and 0x30 <= byte <= 0x39:
                self._value = self._value * 10 + byte - 0x30
                self._digits += 1
            else:
                self._digits = -1
        return None

    def ping(self):
        """Millimetres, 301 to 4999. Raises SensorFault "no answer", "bad checksum" or "out of range".

        The line has no checksum; "bad checksum" is for bytes that make no reading.
        """
        began = self._clock.ticks_ms()
        self._heard = 0
        while True:
            distance = self.poll()
            if distance is not None:
                if NEAREST_MM < distance < NO_TARGET_MM:
                    return distance
                raise SensorFault(NAME, "out of range")
            if ticks_diff(self._clock.ticks_ms(), began) > _LIMIT_MS:
                raise SensorFault(NAME, "bad checksum" if self._heard > 2 * _DIGITS else "no answer")
            self._clock.sleep_ms(_POLL_MS)

    def stop(self):
        """It goes on measuring; its supply is not ours to switch."""
