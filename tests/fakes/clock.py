"""A clock that stands still until told: what the node's clock seam looks like to its caller."""


class FakeClock:
    """Unix time in whole seconds and wrapping millisecond ticks; `sleep_ms` advances both at once."""

    def __init__(self, now=1_790_000_000, is_set=True):
        self.began = now
        self._ms = now * 1000
        self._start_ms = self._ms
        self.is_set = is_set
        self.slept_ms = 0
        self.pins = []  # with an interrupt: `next_edge()` and `look()`

    def now(self):
        return self._ms // 1000

    def set(self, now):
        self._start_ms += now * 1000 - self._ms
        self._ms = now * 1000
        self.is_set = True

    def physics_us(self):
        """Microseconds that only ever pass: setting the clock changes no physics."""
        return self.began * 1_000_000 + self.slept_ms * 1000

    def ticks_ms(self):
        return (self._ms - self._start_ms) & ((1 << 30) - 1)

    def sleep_ms(self, duration):
        if duration < 0:
            raise ValueError("sleep_ms of a negative time")
        end_us = self.physics_us() + duration * 1000
        while self.pins:
            edges = [pin.next_edge() for pin in self.pins]
            edge_us = min([edge for edge in edges if edge is not None] or [end_us + 1])
            if edge_us > end_us:
                break
            self._pass((edge_us - self.physics_us() + 999) // 1000)
            for pin in list(self.pins):
                pin.look()
        self._pass(max(0, end_us - self.physics_us()) // 1000)

    def _pass(self, duration):
        self.slept_ms += duration
        self._ms += duration
