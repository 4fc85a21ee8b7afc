"""Any bytes at all decode or are refused, and on both interpreters alike: one digest over thousands of outcomes."""

import hashlib

from borne_node.report import codec, schema

PORTS = tuple(sorted(schema.TABLE)) + (10, 11, 20, 30, 0, 158)
SIZES = (0, 1, 2, 3, 3, 4, 4, 5, 7, 8, 10, 12, 14)
# Of the outcomes below; the same on CPython and on MicroPython, which is the point.
DIGEST = "27e67487551b3e23"


def payloads(count):
    # Knuth's MMIX generator, cut to 30 bits so that MicroPython counts in small integers.
    state = 1
    for _ in range(count):
        numbers = []
        for _ in range(16):
            state = (state * 25214903 + 11) & 0x3FFFFFFF
            numbers.append(state >> 12)
        yield (
            PORTS[numbers[0] % len(PORTS)],
            bytes([n & 255 for n in numbers[2 : 2 + SIZES[numbers[1] % len(SIZES)]]]),
        )


def outcome(port, payload):
    try:
        frame = codec.decode(port, payload)
    except schema.FrameError as error:
        return "%s %s %s" % (error.port, error.byte, error.bit)
    again = codec.encode(port, frame.window, frame.values)
    assert again == payload[: len(again)], (port, payload)
    return "%s %s %s" % (frame.window, frame.values, frame.history)


def test_outcomes_are_the_same_everywhere():
    digest = hashlib.sha256()
    reports = 0
    for port, payload in payloads(3000):
        said = outcome(port, payload)
        reports += "(" in said
        digest.update(said.encode())
    assert reports > 150, reports
    found = "".join(["%02x" % byte for byte in digest.digest()[:8]])
    assert found == DIGEST, found
