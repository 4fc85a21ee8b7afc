"""The report codec against the vectors, on both interpreters."""

import json
import os

from support import raises

from borne_node.chips.lora import airtime_us
from borne_node.report import codec, meaning, schema

VECTORS = __file__.rsplit("/", 2)[0] + "/vectors/reports/"


def vectors(sort):
    for name in sorted(os.listdir(VECTORS)):
        with open(VECTORS + name) as file:
            for vector in json.load(file)[sort]:
                yield vector


def value(written):
    if isinstance(written, dict):
        return bytes(int(written["hex"][n : n + 2], 16) for n in range(0, len(written["hex"]), 2))
    return {"SUPPRESSED": schema.SUPPRESSED, "OVERFLOW": schema.OVERFLOW}.get(written, written)


def values(written):
    return tuple(value(one) for one in written)


def raw(digits):
    return bytes(int(digits[n : n + 2], 16) for n in range(0, len(digits), 2))


def past(vector):
    return [values(one) for one in vector["history"]] if "history" in vector else None


def test_every_vector_is_encoded():
    count = 0
    for vector in vectors("accept"):
        got = codec.encode(
            vector["port"], vector["window"], values(vector["values"]), past(vector), vector.get("room")
        )
        assert got == raw(vector["payload"]), (vector["name"], got)
        count += 1
    assert count > 25


def test_every_vector_is_decoded():
    for vector in vectors("accept"):
        frame = codec.decode(vector["port"], raw(vector["payload"]))
        assert (frame.port, frame.window) == (vector["port"], vector["window"]), vector["name"]
        full = values(vector["values"])
        assert frame.values[: len(full)] == full, (vector["name"], frame.values)
        assert all(one is None for one in frame.values[len(full) :]), vector["name"]
        assert list(frame.history) == (past(vector) or []), (vector["name"], frame.history)


def test_the_bits_of_a_vector_are_its_bytes():
    for vector in vectors("accept"):
        bits = vector["bits"].replace(" ", "")
        written = bytes(int(bits[n : n + 8], 2) for n in range(0, len(bits), 8))
        assert raw(vector["payload"])[: len(written)] == written, vector["name"]


def test_every_refusal_names_port_byte_and_bit():
    count = 0
    for vector in vectors("reject"):
        with raises(schema.FrameError) as caught:
            codec.decode(vector["port"], raw(vector["payload"]))
        error = caught.value
        assert error.port == vector["port"]
        assert (error.byte, error.bit) == (vector["byte"], vector["bit"]), (vector["name"], str(error))
        count += 1
    assert count > 25


def test_what_a_frame_cannot_say_is_refused():
    for vector in vectors("unsayable"):
        with raises(schema.FrameError) as caught:
            codec.encode(vector["port"], vector["window"], values(vector["values"]))
        error = caught.value
        assert (error.byte, error.bit) == (vector["byte"], vector["bit"]), (vector["name"], str(error))


def test_the_size_depends_on_the_port_only():
    sizes = {port: schema.size(port) for port in schema.TABLE}
    assert sizes == {1: 14, 2: 3, 3: 10, 4: 1, 5: 1, 10: 3, 11: 4, 12: 4, 13: 5, 20: 5, 30: 3, 94: 4}
    for vector in vectors("accept"):
        if vector["port"] != schema.COMMAND and "history" not in vector:
            assert len(raw(vector["payload"])) == sizes[vector["port"]]


def test_numbers_are_rounded_to_the_step():
    for given, shown in ((0, 0), (2, 0), (3, 5), (7, 5), (98, 100)):
        assert codec.decode(30, codec.encode(30, 0, (given, 0, 0, 0))).values[0] == shown


def test_numbers_beyond_the_field_overflow():
    for temperature in (-41, 85, 1000):
        frame = codec.decode(30, codec.encode(30, 0, (0, temperature, 0, 0)))
        assert frame.values[1] is schema.OVERFLOW


def test_a_window_index_wraps():
    assert codec.decode(30, codec.encode(30, 256 * 7 + 3, (0, 0, 0, 0))).window == 3


def test_a_longer_buffer_keeps_what_lies_behind():
    buffer = bytearray(b"\xff" * 8)
    assert codec.encode_into(buffer, 30, 10, (35, 21, 0, 0)) == 3
    assert bytes(buffer) == b"\x0a\x3b\xd0" + b"\xff" * 5
    with raises(IndexError):
        codec.encode_into(bytearray(2), 30, 10, (35, 21, 0, 0))


def test_values_are_named():
    assert meaning.names(10) == ("occupied", "bays_ok")
    assert meaning.names(11) == tuple("share_%d" % n for n in range(1, 9))
    assert schema.layout(30).window_s == 14400


def test_lux_classes():
    for lux, reached in ((0, 0), (1, 1), (2, 1), (3, 2), (29999, 9), (30000, 10), (120000, 10)):
        assert schema.lux_class(lux) == reached, lux


def cost(factor):
    # 13 bytes of LoRaWAN round the payload: MHDR, DevAddr, FCtrl, FCnt, FPort, MIC (LoRaWAN 1.0.4, section 4).
    return lambda size: airtime_us(factor, 125000, size + 13)


def test_the_room_is_what_the_step_pays_for():
    assert [codec.paid(size, cost(12)) for size in (1, 2, 3, 7, 8)] == [2, 2, 7, 7, 12]
    assert [codec.paid(size, cost(10)) for size in (1, 2, 3, 6, 7)] == [1, 6, 6, 6, 11]
    for factor in range(7, 13):
        top = codec.paid(3, cost(factor))
        assert cost(factor)(top) == cost(factor)(3) < cost(factor)(top + 1)
