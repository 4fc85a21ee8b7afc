"""Released values of earlier windows, which later frames repeat (report/history.py); kept in RTC memory."""

import json

from borne_node.report.markers import SUPPRESSED
from borne_node.sealed import seal, unseal

_KEPT = 8  # about what a frame has room for
_SPAN = 16  # windows that it reaches back: a night block is eight
_HIDDEN = "*"  # SUPPRESSED, in words that JSON can keep


class Past:
    """`state` is what `state()` gave before the sleep, or None."""

    def __init__(self, state=None):
        body = unseal(state)
        self._kept = json.loads(body) if body else []

    def add(self, port, window, values):
        """Take what is released now. A clock set back makes what was released of later windows the future's."""
        before = [frame for frame in self._kept if frame[0] == port and frame[1] < window]
        values = [_HIDDEN if one is SUPPRESSED else one for one in values]
        self._kept = [[port, window, values]] + before[: _KEPT - 1]

    def history(self, port, window):
        """What was released on `port` for window-1, window-2, ...: a list of values, None where nothing."""
        found = []
        for of_window, values in self.kept(port):
            if 0 < window - of_window <= _SPAN:
                found.extend([None] * (window - of_window - 1 - len(found)))
                found.append(values)
        return found

    def kept(self, port):
        """(window, values) of what was released on `port`, newest first."""
        return [
            (window, tuple([SUPPRESSED if one == _HIDDEN else one for one in values]))
            for of_port, window, values in self._kept
            if of_port == port
        ]

    def state(self):
        """Bytes, under 600."""
        return seal(json.dumps(self._kept).encode())
