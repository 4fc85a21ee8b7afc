"""The lamp's brightness follows presence on the node itself, at once: full light, and back when nobody came for long.

The output is PWM. `pwm`: its duty is the brightness. `dc10`: a transistor pulls the control line of a driver with
0-10 V down by it (IEC 60929, annex E.2: the driver feeds the line, and open is full light), so that a node without
power leaves the lamp bright.
"""

from borne_node.compat import const, ticks_diff

FULL = const(100)
_DUTY = const(65535)  # machine.PWM.duty_u16
_STEP_MS = const(1000)  # between two looks at whether the lamp may go down; up it goes in the interrupt


class Dimmer:
    """From now on `board.dimmer()` follows; settings `dimmer`, `dim_percent` (nobody there), `dim_hold_s`.

    Raises SettingsError on a board without a pin for it.
    """

    def __init__(self, board, settings):
        self._board = board
        self._output = board.dimmer()
        self._inverted = settings["dimmer"] == "dc10"
        self._low = settings["dim_percent"]
        self._hold_ms = settings["dim_hold_s"] * 1000
        self._clock = board.clock
        self._since = None
        self.percent = None
        self._set(self._low)
        board.follow = self.seen

    def stay_up(self, node, until):
        """Instead of a sleep, in which there is no PWM: dim, and count, until the next wake of `node` (app.Node)."""
        board = self._board
        board.slept, board.woken_by_pin = True, False
        while self._clock.now() < until:
            self.tick(node.pulses.level())
            board.feed()
            self._clock.sleep_ms(_STEP_MS)
        node.count()

    def seen(self):
        """Somebody is there; called in the interrupt."""
        self._since = self._clock.ticks_ms()
        self._set(FULL)

    def tick(self, there):
        """Now and then, at least every few minutes: whether somebody is still `there`."""
        if there:
            self.seen()
        elif self._since is not None and ticks_diff(self._clock.ticks_ms(), self._since) >= self._hold_ms:
            self._since = None
            self._set(self._low)

    def _set(self, percent):
        if percent != self.percent:
            self.percent = percent
            duty = percent * _DUTY // FULL
            self._output.duty_u16(_DUTY - duty if self._inverted else duty)
