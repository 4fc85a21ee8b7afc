"""Released values <-> bytes, by the table in schema.py and nothing else.

A frame's size depends on the port, on whether the sender adds history, and on `room`: never on a value.
"""

from collections import namedtuple

from borne_node.report import schema
from borne_node.report.bits import put, take
from borne_node.report.markers import OVERFLOW, SUPPRESSED
from borne_node.report.schema import FrameError

# values, and each entry of history, are flat tuples in the order of meaning.names(port); history is newest
# first: the windows window - 1, window - 2, ... (modulo the width of the index).
Frame = namedtuple("Frame", ("port", "window", "values", "history"))


def encode(port, window, values, history=None, room=None):
    """The bytes of one report.

    window   number of the window (unix seconds // schema.layout(port).window_s; more than fits is cut off),
             or None where the port has none
    values   int, None (unknown), SUPPRESSED or OVERFLOW for each of meaning.names(port), bytes for raw
             fields. Numbers are rounded to the field's step; beyond its range they become OVERFLOW where the
             field has that code. Bays left out at the end are unknown.
    history  None: the bare frame. A sequence, also an empty one: released values of earlier windows, newest
             first (None for one without a release); as many as fit, then zero bytes up to `room`.
    room     bytes of a frame with history: what the airtime step pays for (see paid). None: the table's
             default.

    Raises FrameError (port, byte and bit of the field) for values that the frame cannot say.
    """
    buffer = bytearray(frame_size(port, values, history, room))
    encode_into(buffer, port, window, values, history, room)
    return bytes(buffer)


def encode_into(buffer, port, window, values, history=None, room=None):
    """The same into a buffer, without touching the heap; returns the bytes used. A shorter buffer:
    IndexError.
    """
    used = frame_size(port, values, history, room)
    for n in range(used):
        buffer[n] = 0
    _, _, bits, _, fields = schema.row(port)
    if (window is None) != (bits == 0):
        raise FrameError(port, 0, 7, "has a window or has none")
    position = put(buffer, 0, bits, window) if bits else 0
    position = _put_fields(buffer, position, port, fields, values, 0)
    taken = slots(fields)
    following = schema.VARIANTS.get(port)
    if following is not None:
        rest = _variant(port, following, values)
        _put_fields(buffer, position, port, rest, values, taken)
        taken += slots(rest)
    if len(values) > taken:
        raise FrameError(port, None, None, "takes %d values" % taken)
    if history is not None and used > schema.size(port):
        from borne_node.report import history as coder  # only nodes that use it pay for the heap

        coder.write(buffer, schema.size(port), used, port, fields, values, history)
    return used


def frame_size(port, values, history=None, room=None):
    """Bytes that encode will need. Of the values only the command of a command matters."""
    size = schema.size(port)
    following = schema.VARIANTS.get(port)
    if following is not None:
        for field in _variant(port, following, values):
            size += field[1] >> 3
    if history is None:
        return size
    default = schema.row(port)[3]
    if not default:
        raise FrameError(port, None, None, "has no history")
    return max(size, default if room is None else room)


def paid(size, airtime):
    """The most bytes that cost as much `airtime` (a function of bytes) as `size` does: the room for history.

    LoRa's time on air grows in steps of several bytes (Semtech AN1200.13): at SF12 3 bytes cost what 7 do.
    """
    while airtime(size + 1) == airtime(size):
        size += 1
    return size


def decode(port, payload):
    """A Frame out of the bytes of one report. Raises FrameError that names port, byte and bit."""
    _, _, bits, history_room, fields = schema.row(port)
    size = schema.size(port)
    if len(payload) < size:
        raise FrameError(port, len(payload), None, "must have %d bytes" % size)
    window = take(payload, 0, bits) if bits else None
    values = []
    position = _take_fields(payload, bits, port, fields, values)
    following = schema.VARIANTS.get(port)
    if following is not None:
        rest = _variant(port, following, values)
        size = (position + sum(field[1] for field in rest)) >> 3
        if len(payload) < size:
            raise FrameError(port, len(payload), None, "must have %d bytes" % size)
        position = _take_fields(payload, position, port, rest, values)
    history = ()
    if len(payload) > size:
        if not history_room:
            raise FrameError(port, size, None, "must have %d bytes" % size)
        from borne_node.report.reader import read

        history = read(payload, size, port, fields, values)
    return Frame(port, window, tuple(values), history)


def _variant(port, following, values):
    fields = following.get(values[0] if values else None)
    if fields is None:
        raise FrameError(port, 0, 7, "is no command")
    return fields


def slots(fields):
    """How many values the fields take."""
    count = 0
    for field in fields:
        count += field[6]
    return count


def _put_fields(buffer, position, port, fields, values, taken):
    for field in fields:
        for _ in range(field[6]):
            value = None
            if taken < len(values):
                value = values[taken]
            elif field[6] == 1:
                raise FrameError(port, position >> 3, 7 - (position & 7), "%s is missing" % field[0])
            position = put(buffer, position, field[1], to_code(port, position, field, value))
            taken += 1
    return position


def to_code(port, position, field, value):
    """The wire code of a value. Raises FrameError."""
    name, width, offset, step, last, reserved, _ = field
    top = (1 << width) - 1
    if value is None:
        if reserved & schema.UNKNOWN_CODE:
            return top
    elif value is SUPPRESSED:
        if reserved & schema.SUPPRESSED_CODE:
            return top - 1
    elif last == schema.RAW:
        if len(value) * 8 == width:
            return int.from_bytes(value, "big")
    else:
        code = last + 1 if value is OVERFLOW else (value - offset + (step >> 1)) // step
        if 0 <= code <= last:
            return code
        if reserved & schema.OVERFLOW_CODE:
            return top - 2
    raise FrameError(port, position >> 3, 7 - (position & 7), "%s cannot be %s" % (name, value))


def from_code(port, position, field, code):
    """The value of a wire code. Raises FrameError for a code without meaning."""
    name, width, offset, step, last, reserved, _ = field
    if last == schema.RAW:
        return code.to_bytes(width >> 3, "big")
    if code <= last:
        return offset + step * code
    below = (1 << width) - 1 - code
    if below == 0 and reserved & schema.UNKNOWN_CODE:
        return None
    if below == 1 and reserved & schema.SUPPRESSED_CODE:
        return SUPPRESSED
    if below == 2 and reserved & schema.OVERFLOW_CODE:
        return OVERFLOW
    raise FrameError(port, position >> 3, 7 - (position & 7), "%s has no code %d" % (name, code))


def _take_fields(payload, position, port, fields, values):
    for field in fields:
        width = field[1]
        for _ in range(field[6]):
            values.append(from_code(port, position, field, take(payload, position, width)))
            position += width
    return position
