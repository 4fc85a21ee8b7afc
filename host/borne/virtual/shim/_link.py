# mypy: ignore-errors
"""The one door to the supervisor, and time: both move only here."""

import struct

import _ops
import micropython

_pack = struct.pack_into
_unpack = struct.unpack_from

# Descriptors that the supervisor hands down; opened before the host's filesystem is unmounted.
_door = open(3, "r+b")  # noqa: SIM115
_tx = bytearray(_ops.REQUEST + _ops.PIECE + 64)
_rx = bytearray(_ops.ANSWER + _ops.PIECE)
_payload = memoryview(_rx)[_ops.ANSWER :]

# Reading a counter in a tight loop must move time, or such a loop never ends; the supervisor hears of it now and then.
_READ_US = 2
_SYNC_US = 50000


class _State:
    ticks_us = 0  # since boot, as of the last answer
    spent_us = 0  # since then
    sequence = 0
    link_up = False
    irq_off = 0


state = _State()
_handlers = {}  # pin number -> function without arguments
_timers = []


def call(op, size=0):
    """Send `size` bytes of payload that lie in the buffer; gives the length of the answer's payload.

    Raises OSError as the real call would, RuntimeError for what a datasheet forbids.
    """
    s = state
    # Ctrl-C may break any wait: an answer that then comes late is recognised by its sequence and thrown away.
    s.sequence = sequence = (s.sequence + 1) & 0xFF
    _tx[0] = op
    _tx[1] = sequence
    _pack("<HI", _tx, 2, size, s.spent_us)
    s.spent_us = 0
    _door.write(_tx, _ops.REQUEST + size)
    while True:
        if not _door.readinto(_rx):
            raise SystemExit  # the supervisor is gone
        if _rx[0] == sequence:
            break
    n = _rx[2] | _rx[3] << 8
    s.ticks_us = _unpack("<Q", _rx, 4)[0]
    status = _rx[1]
    s.link_up = status & _ops.LINK_UP
    status &= ~_ops.LINK_UP
    if status:
        _fail(status, bytes(_payload[:n]))
    return n


def _fail(status, payload):
    if status == _ops.MISUSE:
        raise RuntimeError("simulated chip: " + payload.decode())
    code = _unpack("<i", payload)[0]
    if status == _ops.IDF_ERROR:
        raise OSError(code, payload[4:].decode())
    raise OSError(code)


def ask(op, form="", *values):
    """A call with packed arguments; gives the answer's payload as a view that the next call overwrites."""
    size = 0
    if form:
        _pack(form, _tx, _ops.REQUEST, *values)
        size = struct.calcsize(form)
    return _payload[: call(op, size)]


def send(op, head, data):
    """A call whose payload is `head` (bytes) and `data` (any length)."""
    data = memoryview(data)
    start = 0
    while len(data) - start > _ops.PIECE - len(head):
        piece = data[start : start + _ops.PIECE]
        _tx[_ops.REQUEST : _ops.REQUEST + len(piece)] = piece
        call(_ops.STAGE, len(piece))
        start += len(piece)
    at = _ops.REQUEST
    _tx[at : at + len(head)] = head
    at += len(head)
    rest = len(data) - start
    _tx[at : at + rest] = data[start:]
    return _payload[: call(op, len(head) + rest)]


def fill(buf, first):
    """Copy an answer that may have more pieces into `buf`; `first` is its first piece. Gives the bytes copied."""
    at = 0
    piece = first
    while True:
        n = min(len(piece), len(buf) - at)
        buf[at : at + n] = piece[:n]
        at += n
        if len(piece) < _ops.PIECE or at == len(buf):
            return at
        piece = ask(_ops.MORE)


def now_us():
    """Microseconds since boot; reading them costs some."""
    spend(_READ_US)
    return state.ticks_us + state.spent_us


def spend(us):
    state.spent_us += us
    if state.spent_us >= _SYNC_US:
        call(_ops.SYNC)


def wait(us, flags=0):
    """Let `us` of simulated time pass, running interrupt handlers as they come; True when cut short by input."""
    end = state.ticks_us + state.spent_us + us
    while True:
        left = end - state.ticks_us - state.spent_us
        if left <= 0 and us:
            break
        if _timers:
            left = min(left, max(0, min(timer._due for timer in _timers) - state.ticks_us - state.spent_us))
        event = ask(_ops.WAIT, "<QB", max(0, left), flags)
        if len(event):
            if event[0] == 0xFF:
                return True
            _dispatch(event[0])
        for timer in tuple(_timers):
            timer._run(state.ticks_us)
        if not us:
            break
    return False


def _dispatch(pin):
    handler = _handlers.get(pin)
    if handler:
        handler()


def on_pin(pin, handler):
    if handler is None:
        _handlers.pop(pin, None)
    else:
        _handlers[pin] = handler


def deep_sleep(us, ext0, ext0_level, ext1, ext1_level):
    call_forever(_ops.DEEPSLEEP, "<QbBQB", us, ext0, ext0_level, ext1, ext1_level)


def call_forever(op, form="", *values):
    """A call that ends this process: nothing after it runs, and no `finally` either."""
    while True:
        micropython.kbd_intr(-1)
        ask(op, form, *values)
