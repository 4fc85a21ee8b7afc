"""Bits in and out of a buffer, most significant first. Positions count bits from the start of the buffer."""


def put(buffer, position, width, value):
    """Or the low `width` bits of `value` into a zeroed buffer; returns the position behind them."""
    while width:
        free = 8 - (position & 7)
        step = width if width < free else free
        width -= step
        buffer[position >> 3] |= (value >> width & (1 << step) - 1) << free - step
        position += step
    return position


def take(buffer, position, width):
    """The `width` bits at `position` as a number."""
    value = 0
    while width:
        free = 8 - (position & 7)
        step = width if width < free else free
        width -= step
        value = value << step | buffer[position >> 3] >> free - step & (1 << step) - 1
        position += step
    return value
