"""HC-SR04, ultrasonic distance by the length of a pulse (ElecFreaks, HC-SR04 User Guide)."""

from borne_node.compat import const
from borne_node.errors import SensorFault

_TRIGGER_US = const(10)  # user guide: a pulse of 10 microseconds at least starts a measurement
# User guide: over 60 ms from one trigger to the next, or the last one's echo is heard.
_CYCLE_MS = const(60)
# Without an echo the pin falls after 38 ms (HC-SR04) or 60 ms (JSN-SR04T): both are waited out.
_LIMIT_US = const(80_000)
_NEVER_FELL = const(-1)  # machine.time_pulse_us
# There and back at 343.4 m/s, the speed of sound at 20 degrees.
_NM_PER_US = const(171_700)


class HCSR04:
    """`measure(trigger_us, limit_us)` triggers, then gives the microseconds that the echo pin was high.

    It gives -2 when the pin never rose and -1 when it never fell, as machine.time_pulse_us does.
    The sensor has no identity to ask for.
    """

    name = "HC-SR04"
    nearest_mm = 20
    farthest_mm = 4000
    celsius = 20

    def __init__(self, measure, clock):
        self._measure = measure
        self._clock = clock

    def start(self):
        """Let the echoes of an earlier measurement die away."""
        self._clock.sleep_ms(_CYCLE_MS)

    def ping(self):
        """Millimetres in air of 20 degrees. Raises SensorFault "no answer", "stuck" or "out of range"."""
        pulse_us = self._measure(_TRIGGER_US, _LIMIT_US)
        self._clock.sleep_ms(_CYCLE_MS)
        if pulse_us < 0:
            raise SensorFault(self.name, "stuck" if pulse_us == _NEVER_FELL else "no answer")
        # Split, so that 80 ms stay below 2**30 in MicroPython's small integers.
        distance = pulse_us * (_NM_PER_US // 100) // 10_000
        if not self.nearest_mm <= distance <= self.farthest_mm:
            raise SensorFault(self.name, "out of range")
        return distance

    def stop(self):
        """It measures when it is triggered, and else rests."""
