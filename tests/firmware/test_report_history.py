"""Earlier windows in a frame: their room, their size, their heap. The bytes themselves are in the vectors."""

import gc

from support import raises

from borne_node.report import codec, schema

FULL = (100, schema.OVERFLOW, 1, 1)
CALM = (35, 21, 0, 0)


def noise(seed):
    """Values that jump about, and every marker."""
    rows = []
    for _ in range(40):
        seed = (seed * 1103515245 + 12345) & 0x3FFFFFFF
        level = (None, schema.SUPPRESSED, 0, 100)[seed >> 8 & 3] if seed & 0x4000 else seed % 21 * 5
        rows.append((level, schema.OVERFLOW if seed % 7 == 0 else seed % 125 - 40, seed >> 5 & 1, None))
    return rows


def test_a_frame_s_size_says_nothing_about_its_values():
    for room in (3, 4, 7, 12, 17, 51):
        for past in ((), [CALM], [CALM] * 300, [FULL, CALM] * 20, [None] * 9, noise(1), noise(2)):
            assert len(codec.encode(30, 5, CALM, past, room)) == room
    assert len(codec.encode(30, 5, CALM, ())) == schema.row(30)[3] == 12


def test_a_room_below_the_report_is_the_report():
    assert codec.encode(30, 5, CALM, [FULL], 0) == codec.encode(30, 5, CALM)


def test_a_kind_without_history_refuses_it():
    with raises(schema.FrameError):
        codec.encode(12, 0, (1,), [(0,)])


def test_what_fits_comes_back_newest_first():
    for seed in range(1, 30):
        past = noise(seed)
        frame = codec.decode(30, codec.encode(30, 9, past[0], past[1:], 3 + seed * 4))
        assert frame.values == past[0]
        assert list(frame.history) == past[1 : 1 + len(frame.history)], seed
    assert len(frame.history) == 39


def test_a_window_without_release_is_unknown():
    frame = codec.decode(10, codec.encode(10, 9, (1, 8), [(2, 8), None, (3, 8)], 12))
    assert frame.history == ((2, 8), (None, None), (3, 8))


def test_calm_windows_heal_many_losses():
    assert len(codec.decode(30, codec.encode(30, 9, CALM, [CALM] * 300, 7)).history) >= 5
    assert len(codec.decode(30, codec.encode(30, 9, CALM, [CALM] * 300, 51)).history) == 255


def test_history_that_cannot_be_said_is_refused():
    with raises(schema.FrameError):
        codec.encode(10, 9, (1, 8), [(61, 8)], 12)


def encodes(buffer, times, past):
    for n in range(times):
        codec.encode_into(buffer, 30, n, CALM, past, 12)


def test_encoding_leaves_the_heap_as_it_was():
    if not hasattr(gc, "mem_alloc"):
        return
    buffer = bytearray(12)
    past = [CALM, FULL, CALM]
    encodes(buffer, 2, None)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    encodes(buffer, 10000, None)
    assert gc.mem_alloc() == before, "a bare frame touches the heap"
    gc.enable()
    encodes(buffer, 2, past)
    gc.collect()
    before = gc.mem_alloc()
    encodes(buffer, 1000, past)
    gc.collect()
    assert gc.mem_alloc() <= before
