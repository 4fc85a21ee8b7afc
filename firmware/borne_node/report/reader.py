"""The other way: earlier windows out of a frame. The node only writes them, so it never loads this."""

from borne_node.compat import const
from borne_node.report.codec import from_code
from borne_node.report.history import FOLLOWS, Model
from borne_node.report.schema import FrameError

_TOP = const(1 << 24)
_LOW = const(1 << 16)
_MOST = const(255)


def read(payload, start, port, fields, values):
    """The tuples of values of the earlier windows, newest first. Raises FrameError at the block's first
    byte.
    """
    return _Reader(port, fields, values, payload, start).windows()


class _Reader(Model):
    def __init__(self, port, fields, values, payload, start):
        super().__init__(port, fields, values)
        self.payload = payload
        self.start = start
        self.at = start
        self.value = 0  # the code, less the low end of the range
        for _ in range(3):
            self.value = self.value << 8 | self._next()

    def windows(self):
        found = []
        while len(found) < _MOST and self.decide(FOLLOWS, 0):
            gap = self.step(0)
            values = self._values(gap)
            if not self.sound or (not gap and all([one is None for one in values])):
                self._refuse()
            found.append(values)
        # What the writer's flush leaves: sixteen zero bits above its low end, and zero bytes to the end.
        if self.value >= _LOW or self.value + self.low & _LOW - 1:
            self._refuse()
        while self.at < len(self.payload):
            if self._next():
                self._refuse()
        return tuple(found)

    def _values(self, gap):
        values = []
        for field in self.fields:
            for _ in range(field[6]):
                code = self.codes[len(values)]
                try:
                    values.append(None if gap else from_code(self.port, 0, field, max(0, code)))
                except FrameError:
                    self._refuse()
        return tuple(values)

    def _refuse(self):
        raise FrameError(self.port, self.start, 7, "what follows the report is no history")

    def _next(self):
        byte = self.payload[self.at] if self.at < len(self.payload) else 0
        self.at += 1
        return byte

    def decide(self, cell, _):
        bit = self._narrow((self.range >> 9) * self.chances[cell] >> 6)
        self.learn(cell, bit)
        return bit

    def half(self, _):
        return self._narrow(self.range >> 1)

    def _narrow(self, bound):
        bit = self.value >= bound
        if bit:
            self.value -= bound
            self.low = self.low + bound & _TOP - 1
            self.range -= bound
        else:
            self.range = bound
        while self.range < _LOW:
            self.value = self.value << 8 | self._next()
            self.low = self.low << 8 & _TOP - 1
            self.range <<= 8
        return int(bit)
