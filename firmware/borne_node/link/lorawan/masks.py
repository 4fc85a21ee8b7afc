"""Which channels a network wants: ChMask and CFList (RP002-1.0.4). Loaded by what takes them: joins and requests."""

from borne_node.compat import const

_FIXED = const(72)
_NARROW = const(64)  # channels of 125 kHz in a fixed plan
_ALL_NARROW = (1 << 64) - 1


def masked(channels, mask, control, bits):
    """`mask` after one ChMaskCntl and ChMask, or None where it is to be refused (RP002-1.0.4)."""
    if not channels.plan.fixed:
        new = bits if control == 0 else channels.defined() if control == 6 else None
    elif control <= 3:
        new = mask & ~(0xFFFF << 16 * control) | bits << 16 * control
    elif control == 4:
        new = mask & _ALL_NARROW | (bits & 0xFF) << _NARROW
    elif control == 5:
        new = (bits & 0xFF) << _NARROW
        for block in range(8):
            if bits >> block & 1:
                new |= 0xFF << 8 * block
    else:
        new = (_ALL_NARROW if control == 6 else 0) | (bits & 0xFF) << _NARROW
    if new is None or new & ~channels.defined():
        return None
    return new


def add_list(channels, raw):
    """The CFList of a join accept (RP002-1.0.4); a type that this plan lacks is left alone."""
    if channels.plan.fixed:
        if raw[15] == 1:
            channels.mask = int.from_bytes(raw[:9], "little") & ((1 << _FIXED) - 1) or channels.mask
        return
    if raw[15]:
        return
    for place in range(5):
        frequency = int.from_bytes(raw[3 * place : 3 * place + 3], "little") * 100
        if frequency and channels.plan.band(frequency) is not None:
            channels.define(len(channels.plan.channels) + place, frequency, 0, 5)
