"""Earlier windows behind the current one, as tight as an adaptive model of each field makes them.

A binary range coder with carry (G. N. N. Martin, 1979; the byte-wise form of LZMA) whose probabilities start
from PRIORS and adapt while the frame is read. No number reaches 2**30, so none leaves the small integers of
a 32-bit MicroPython.

For each window: "another one follows", "it is a gap" (all unknown: the node was not there), else slot by
slot how the wire code differs from that of the next newer window. All-zero bytes say "no further window", so
padding costs nothing. What stands behind the last window must be what this encoder would have written:
reader.py refuses other bytes.
"""

from array import array

from borne_node.compat import const
from borne_node.report.codec import slots, to_code

TOP = const(1 << 24)
LOW = const(1 << 16)
MOST = const(255)  # windows in one frame: what an 8-bit window index can tell apart
RATE = const(5)  # a probability moves a 32nd of the way at each decision
WIDEST = const(9)  # bits behind the first one of a difference; fields with history have at most 10

# Decisions of a window, then sets of decisions, one for each row; slots of a row share it, so that all bays
# learn together.
FOLLOWS = const(0)
GAP = const(1)  # 2: the newer window was none, was one
FIRST_SET = const(4)
SET = const(32)
CHANGED = const(0)  # 4, by class of the old code: inside the scale, at its low end, at its high end, reserved
RESERVED = const(4)  # 2: the old code was a number, was reserved
WHICH = const(6)  # 2: not unknown, not suppressed
MOVED = const(8)  # back from a reserved code: not to the number before it
DOWN = const(9)  # 3, by what the newer step did: nothing, up, down
HALF = const(12)  # 4: first bit behind the leading one of the difference, by its length
FAR = const(16)  # 4, by class: the difference is not 1
LONGER = const(19)  # 1 ... 8 added: its length goes on

# First probabilities of "no", in 256ths, in the order above, of every row; the other cells start even.
# bench/decoding_history.py measures them on simulated streets and prints this table.
COMMON = (16, 250, 64)
_FILL_1 = (
    b"\x92\x21\xcb\x80\xfe\x80\x80\x80\x80\x0a\x02\x18\xc8\xe4\x47\xfe\xbd\x02\xb6\x80\xa8\x2c\x8b\xfe",
    b"\x1a\x80\x80\x80\xfe\x80\x80\x80\x80\x7f\xb1\x4b\x8c\xc2\xfe\x80\x3a\x80\x80\x80\x6c\x98\xfe",
    b"\x80\x80\x80\xfe",
    b"\x80\x80\x80\xfe",
)
PRIORS = {
    30: _FILL_1,
    94: _FILL_1
    + (
        b"\x02\x02\x80\xfe\xfe\x80\xfc\x80\x80\x02\x02\x02\x80\x80\xfe\xc4\xfe\x02\x80\x80\x02\x02\x57\x7a\xc1\xfe",
    ),
    10: (
        b"\x44\x6a\x80\x80\xfe\x80\x80\x80\x80\x6c\x46\xae\xac\xe0\xfe\x80\x80\x70\x80\x80\xd1\xfd\xfe",
        b"\xfe\x80\x80\x80\xfe\x80\x80\x80\x80\x19\x80\xfd\x80\x80\x80\x80\xfe",
    ),
    11: (b"\x26\xc0\xc1\xfe\xfe\x80\x80\x80\x80\x82\x8c\x71\x9d\xfe\x80\x80\x7f\x51\x59\x80\xde\xfe",),
    20: (
        b"\x07\x80\x80\x7d\xf0\xfe\x02\xfe\x0e\x7c\x83\x7d\x80\x87\x94\xb6\x11\x80\x80\x1c\x23\x46\x87\xcb\xc1\xab\xde\xda",
        b"\x8c\x80\xb7\x80\xfe\x80\x80\x80\x80\x95\xeb\x27\xb5\xec\x80\x80\x95\x80\xfe\x80\x46\xfe",
        b"\x80\x80\x80\xfe",
        b"\x80\x80\x80\xfe",
        b"\x80\x80\x80\xfe",
    ),
}


def write(buffer, start, stop, port, fields, values, history):
    """Fill buffer[start:stop], which is zero, with as many windows of `history` as fit."""
    coder = _Writer(port, fields, values)
    count = coder.fit(stop - start, history)
    coder.reset()
    coder.buffer = buffer
    coder.at = start
    for n in range(count):
        coder.window(history[n])
    if count < MOST:
        coder.decide(FOLLOWS, 0)
    coder.flush()


class Model:
    """What writer and reader share: which decisions describe a window, and how likely each is.

    The writer's `decide(cell, bit)` and `half(bit)` code the bit they are given; the reader's ignore it;
    both return the true one.
    """

    def __init__(self, port, fields, values):
        self.port = port
        self.fields = fields
        self.newest = [0] * slots(fields)
        self.set_codes(values, self.newest)
        self.target = [0] * len(self.newest)
        self.codes = [0] * len(self.newest)
        self.numbers = [0] * len(self.newest)
        self.steps = bytearray(len(self.newest))
        self.chances = array("H", bytes(2 * (FIRST_SET + SET * len(fields))))
        self.reset()

    def reset(self):
        for n in range(len(self.chances)):
            self.chances[n] = 16384
        cell = FIRST_SET
        for priors in PRIORS.get(self.port, ()):
            for n in range(len(priors)):
                self.chances[cell + n] = priors[n] << 7
            cell += SET
        for n in range(len(COMMON)):
            self.chances[n] = COMMON[n] << 7
        slot = 0
        for field in self.fields:
            for _ in range(field[6]):
                code = self.newest[slot]
                self.codes[slot] = code
                self.numbers[slot] = code if code <= field[4] else 0
                self.steps[slot] = 0
                slot += 1
        self.gap = False
        self.sound = True  # False: the reader met what no writer writes
        self.low = 0
        self.range = TOP
        self.at = 0

    def set_codes(self, values, into):
        """The wire codes of `values` (None: a window without release); True if all of them are unknown."""
        slot = 0
        gap = True
        for field in self.fields:
            for _ in range(field[6]):
                value = values[slot] if values is not None and slot < len(values) else None
                into[slot] = to_code(self.port, 0, field, value)
                gap = gap and value is None
                slot += 1
        return gap

    def step(self, gap):
        """Code one window, `target`; afterwards `codes` is it, unless it is a gap, which is returned."""
        self.gap = self.decide(GAP + self.gap, gap)
        if self.gap:
            return True
        slot = 0
        cell = FIRST_SET
        for _, width, _, _, last, _, count in self.fields:
            for _ in range(count):
                self._slot(slot, cell, (1 << width) - 1, last, self.codes[slot], self.target[slot])
                slot += 1
            cell += SET
        return False

    def _slot(self, slot, cell, top, last, old, new):
        step = self.steps[slot]
        self.steps[slot] = 0
        kind = 3 if old > last else 1 if old == 0 else 2 if old == last else 0
        if not self.decide(cell + CHANGED + kind, new != old):
            return
        if self.decide(cell + RESERVED + (old > last), new > last):
            self.codes[slot] = code = top - self._which(cell + WHICH, top - new)
            self.sound = self.sound and last < code != old
            return
        number = self.numbers[slot]
        if old <= last or self.decide(cell + MOVED, new != number):
            # At either end of the scale there is one way to go.
            down = number > 0
            if 0 < number < last:
                down = self.decide(cell + DOWN + step, new < number)
            size = self._size(cell, kind, number - new if down else new - number)
            number = number - size if down else number + size
            self.numbers[slot] = number
            self.steps[slot] = 2 if down else 1
            self.sound = self.sound and 0 <= number <= last
        self.codes[slot] = number

    def _which(self, cell, below):
        if not self.decide(cell, below != 0):
            return 0
        return 1 + self.decide(cell + 1, below != 1)

    def _size(self, cell, kind, size):
        """Elias gamma: how many bits follow the leading one, then these bits."""
        bits = 0
        here = cell + FAR + kind
        while bits < WIDEST and self.decide(here, size >> bits > 1):
            bits += 1
            here = cell + LONGER + bits
        value = 1
        for n in range(bits - 1, -1, -1):
            bit = size >> n & 1
            bit = self.decide(cell + HALF + min(bits, 4) - 1, bit) if value == 1 else self.half(bit)
            value = value << 1 | bit
        return value

    def learn(self, cell, bit):
        chance = self.chances[cell]
        self.chances[cell] = chance - (chance >> RATE) if bit else chance + (32768 - chance >> RATE)


class _Writer(Model):
    buffer = None  # None: only count the bytes

    def fit(self, space, history):
        """How many windows fit into `space` bytes."""
        count = 0
        for values in history:
            if count == MOST:
                break
            self.window(values)
            # Behind the last window come the decision to stop and one byte that ends the code.
            size = self.at + 1
            stop = (self.range >> 9) * self.chances[FOLLOWS] >> 6
            while stop < LOW:
                stop <<= 8
                size += 1
            if size > space:
                break
            count += 1
        return count

    def window(self, values):
        self.decide(FOLLOWS, 1)
        self.step(self.set_codes(values, self.target))

    def decide(self, cell, bit):
        self._narrow((self.range >> 9) * self.chances[cell] >> 6, bit)
        self.learn(cell, bit)
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
        while self.range < LOW:
            self._byte()
            self.low = self.low << 8 & TOP - 1
            self.range <<= 8

    def _byte(self):
        """Move the highest byte of `low` out; the bit above it is a carry into the bytes before."""
        if self.buffer is not None:
            self.buffer[self.at] = self.low >> 16 & 255
            before = self.at
            carry = self.low >= TOP
            while carry:
                before -= 1
                carry = self.buffer[before] == 255
                self.buffer[before] = self.buffer[before] + 1 & 255
        self.at += 1

    def flush(self):
        # The lowest number in the range with sixteen zero bits: one byte says it, the zeros behind it cost
        # nothing.
        self.low += LOW - 1
        self._byte()
