"""HC-SR04, ultrasonic distance by the length of a pulse (ElecFreaks, HC-SR04 User Guide)."""

from . import Chip, Misuse, Noise, sound_mm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TRIGGER_US = 10  # user guide: the shortest pulse that starts a measurement
_CYCLE_US = 60_000  # user guide: the shortest time from one trigger to the next
_BURST_US = 450  # eight periods of 40 kHz and the module's own delay; the echo pin rises then
_US_PER_MM = 2000 / 343.4  # there and back at 20 degrees


class HCSR04(Chip):
    """`distance(t)` gives millimetres at t seconds, or None where nothing sends an echo; `celsius` is the air's.

    `trigger` is the pin that the node drives; `level` and `next_edge` are the echo pin's, as of any pin source.
    Failing by `silent` it sends no pulse, by `stuck` the pulse never ends.
    """

    celsius = 20.0
    nearest_mm, farthest_mm = 20, 4000
    nothing_us = 38_000  # user guide: the pulse without an echo
    noise_mm = 1.5  # user guide: accuracy to 3 mm

    def __init__(self, distance: "Callable[[float], float | None]", seed: int = 1) -> None:
        self.distance = distance
        self._noise = Noise(seed)
        self._up_us = -1
        self._rise_us = self._fall_us = -1
        self._triggered_us = -_CYCLE_US

    def trigger(self, level: int, now_us: int) -> None:
        """The node drives the trigger pin. Raises Misuse: too short, or too soon after the last time."""
        self.at(now_us)
        if level:
            self._up_us = now_us
        elif self._up_us >= 0:
            if now_us - self._up_us < _TRIGGER_US:
                raise Misuse("HC-SR04: triggered for %d us, 10 are needed" % (now_us - self._up_us))
            if now_us - self._triggered_us < _CYCLE_US:
                raise Misuse("HC-SR04: triggered again after %d us" % (now_us - self._triggered_us))
            self._up_us = -1
            self._triggered_us = now_us
            self._measure(now_us)

    def level(self, now_us: int) -> int:
        self.at(now_us)
        return (
            1
            if self._rise_us <= now_us and (now_us < self._fall_us or self._fall_us < 0 <= self._rise_us)
            else 0
        )

    def next_edge(self, now_us: int) -> "int | None":
        self.at(now_us)
        for edge_us in (self._rise_us, self._fall_us):
            if edge_us > now_us:
                return edge_us
        return None

    def _measure(self, now_us: int) -> None:
        if self.mode == "silent":
            self._rise_us = self._fall_us = -1
            return
        self._rise_us = now_us + _BURST_US
        self._fall_us = -1 if self.mode == "stuck" else self._rise_us + self._pulse_us(now_us / 1_000_000)

    def _pulse_us(self, t: float) -> int:
        distance = self.distance(t)
        if distance is None or distance > self.farthest_mm * 1.1:
            return self.nothing_us
        heard = sound_mm(distance, self.celsius) + self._noise.gauss() * self.noise_mm
        if distance < self.nearest_mm:
            # Still ringing: what is heard then is the second or third way there and back, or nothing at all.
            heard = heard * (2 + self._noise.below(2)) if self._noise.below(3) else self.nearest_mm / 2
        return max(1, int(heard * _US_PER_MM))
