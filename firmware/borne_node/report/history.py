"""Earlier windows behind the current one, as tight as an adaptive model of each field makes them.

A binary range coder with carry (G. N. N. Martin, 1979; the byte-wise form of LZMA) whose probabilities adapt
while the frame is read. No number reaches 2**28, so none leaves the small integers of a 32-bit MicroPython.

For each window: one decision "another window follows", then field by field how the wire code differs from
that of the next newer window. All-zero bytes say "no further window", so padding costs nothing; and what
stands behind the last window must be what this encoder would have written: other bytes are refused.
"""

from array import array

from borne_node.compat import const
from borne_node.report.codec import from_code, slots, to_code
from borne_node.report.schema import FrameError

_TOP = const(1 << 24)
_LOW = const(1 << 16)
_RATE = const(4)  # a probability moves a 16th of the way at each decision
_MOST = const(255)  # windows in one frame; also what an 8-bit window index can tell apart

# Contexts of a field; all slots of a row that counts several share one set, so that all bays learn together.
_SET = const(16)
_CHANGED = const(0)  # two: the newer window had not, had changed
_RESERVED = const(2)
_DOWN = const(3)
_LENGTH = const(4)  # twelve: the unary prefix of the Elias gamma code of the difference

# First probabilities of a 0 ("no"), in 4096ths.
_FOLLOWS_0 = const(512)
_CHANGED_0 = const(3072)
_RESERVED_0 = const(3968)
_EVEN = const(2048)


def write(buffer, start, stop, port, fields, values, history):
    """Fill buffer[start:stop], which is zero, with as many windows of `history` as fit."""
    coder = _Writer(port, fields, values)
    count = coder.fit(stop - start, history)
    coder.reset()
    coder.buffer = buffer
    coder.at = start
    for n in range(count):
        coder.window(history[n])
    if count < _MOST:
        coder.decide(0, 0)
    coder.flush()


def read(payload, start, port, fields, values):
    """The tuples of values of the earlier windows, newest first. Raises FrameError at the block's first
    byte.
    """
    return _Reader(port, fields, values, payload, start).windows()


class _Model:
    """What writer and reader share: which decisions describe a window, and how likely each is."""

    def __init__(self, port, fields, values):
        self.port = port
        self.fields = fields
        self.start = 0
        self.newest = [0] * slots(fields)
        self._codes(values, self.newest)
        self.target = [0] * len(self.newest)
        self.codes = [0] * len(self.newest)
        self.changed = bytearray(len(self.newest))
        self.chances = array("H", bytes(2 * _SET * (len(fields) + 1)))
        self.reset()

    def reset(self):
        for n in range(len(self.chances)):
            self.chances[n] = _EVEN
        self.chances[0] = _FOLLOWS_0
        for base in range(_SET, len(self.chances), _SET):
            self.chances[base + _CHANGED] = _CHANGED_0
            self.chances[base + _RESERVED] = _RESERVED_0
        for n in range(len(self.codes)):
            self.codes[n] = self.newest[n]
            self.changed[n] = 0
        self.low = 0
        self.range = _TOP
        self.at = 0

    def _codes(self, values, into):
        slot = 0
        for field in self.fields:
            for _ in range(field[6]):
                value = values[slot] if values is not None and slot < len(values) else None
                into[slot] = to_code(self.port, 0, field, value)
                slot += 1

    def step(self):
        """Code one window: the writer codes `target`, the reader ignores it; `codes` is it afterwards."""
        slot = 0
        base = 0
        for _, width, _, _, last, _, count in self.fields:
            base += _SET
            for _ in range(count):
                old = self.codes[slot]
                new = self._symbol(base, width, last, old, self.target[slot], self.changed[slot])
                self.changed[slot] = new != old
                self.codes[slot] = new
                slot += 1

    def _symbol(self, base, width, last, old, new, changed):
        if not self.decide(base + _CHANGED + changed, new != old):
            return old
        top = (1 << width) - 1
        if self.decide(base + _RESERVED, new > last):
            new = top - self._plain(2, top - new)
            fine = new > last
        elif old > last:
            new = self._plain(width, new)
            fine = new <= last
        else:
            # At either end of the scale there is one way to go.
            down = self.decide(base + _DOWN, new < old) if 0 < old < last else old > 0
            step = self._gamma(base + _LENGTH, old - new if down else new - old)
            new = old - step if down else old + step
            fine = 0 <= new <= last
        if not fine or new == old:
            self.refuse()
        return new

    def _gamma(self, context, number):
        bits = 0
        while self.decide(context + bits, number >> bits > 1):
            bits += 1
            if bits == 11:  # no field is wider
                self.refuse()
        return 1 << bits | self._plain(bits, number)

    def _plain(self, bits, number):
        value = 0
        while bits:
            bits -= 1
            value = value << 1 | self.half(number >> bits & 1)
        return value

    def learn(self, context, bit):
        chance = self.chances[context]
        self.chances[context] = chance - (chance >> _RATE) if bit else chance + (4096 - chance >> _RATE)

    def refuse(self):
        raise FrameError(self.port, self.start, 7, "what follows the report is no history")


class _Writer(_Model):
    buffer = None  # None: only count the bytes

    def fit(self, space, history):
        """How many windows fit into `space` bytes."""
        count = 0
        for values in history:
            if count == _MOST:
                break
            self.window(values)
            # Behind the last window come the decision to stop and one byte that ends the code.
            size = self.at + 1
            stop = (self.range >> 8) * self.chances[0] >> 4
            while stop < _LOW:
                stop <<= 8
                size += 1
            if size > space:
                break
            count += 1
        return count

    def window(self, values):
        self._codes(values, self.target)
        self.decide(0, 1)
        self.step()

    def decide(self, context, bit):
        bound = (self.range >> 8) * self.chances[context] >> 4
        self._narrow(bound, bit)
        self.learn(context, bit)
        return bit

    def half(self, bit):
        self._narrow(self.range >> 1, bit)
        return bit

    def _narrow(self, bound, bit):
        if bit:
            self.low += bound
            self.range -= bound
        else:
            self.range = bound
        while self.range < _LOW:
            self._byte()
            self.low = self.low << 8 & _TOP - 1
            self.range <<= 8

    def _byte(self):
        """Move the highest byte of `low` out; the bit above it is a carry into the bytes before."""
        if self.buffer is not None:
            self.buffer[self.at] = self.low >> 16 & 255
            if self.low >= _TOP:
                before = self.at - 1
                while self.buffer[before] == 255:
                    self.buffer[before] = 0
                    before -= 1
                self.buffer[before] += 1
        self.at += 1

    def flush(self):
        # The lowest number in the range with sixteen zero bits: one byte says it, the zeros behind it cost
        # nothing.
        self.low += _LOW - 1
        self._byte()


class _Reader(_Model):
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
        while len(found) < _MOST and self.decide(0, 0):
            self.step()
            found.append(self._values())
        # What the writer's flush leaves: sixteen zero bits above its low end, and zero bytes to the end.
        if (self.value + self.low & _LOW - 1) != 0 or self.value >= _LOW:
            self.refuse()
        while self.at < len(self.payload):
            if self._next():
                self.refuse()
        return tuple(found)

    def _values(self):
        values = []
        for field in self.fields:
            for _ in range(field[6]):
                try:
                    values.append(from_code(self.port, 0, field, self.codes[len(values)]))
                except FrameError:
                    self.refuse()
        return tuple(values)

    def _next(self):
        byte = self.payload[self.at] if self.at < len(self.payload) else 0
        self.at += 1
        return byte

    def decide(self, context, _):
        bit = self._narrow((self.range >> 8) * self.chances[context] >> 4)
        self.learn(context, bit)
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
        return bit
