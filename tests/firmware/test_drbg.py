"""HMAC-DRBG against NIST's vectors; the seed over reboots, power cuts and bad sources."""

import json
from binascii import hexlify, unhexlify

from gated import MIDNIGHT, Entropy
from store import FakeStore, PowerCut
from support import raises

from borne_node.errors import StorageError
from borne_node.privacy.drbg import Drbg, Hmac256Drbg, healthy

_FILE = __file__.replace("\\", "/").rsplit("/", 2)[0] + "/vectors/privacy/hmac_drbg_sha256.json"
NOW = MIDNIGHT


def seeded(store=None, source=None):
    drbg = Drbg(source or Entropy(), store or FakeStore())
    assert drbg.reseed(NOW)
    return drbg


def good():
    return bytearray(Entropy()(1024))


def test_vectors_of_nist():
    with open(_FILE) as file:
        cases = json.load(file)["cases"]
    assert len(cases) == 20
    for case in cases:
        core = Hmac256Drbg(*[unhexlify(case[name]) for name in ("entropy", "nonce", "personalization")])
        if "reseed" in case:
            core.reseed(unhexlify(case["reseed"]))
        returned = unhexlify(case["returned"])
        core.generate(len(returned))
        assert core.generate(len(returned)) == returned, (case["file"], case["count"])


def test_short_draws_are_the_beginning_of_long_ones():
    assert Hmac256Drbg(b"seed").generate(45) == Hmac256Drbg(b"seed").generate(64)[:45]


def test_a_good_source_is_healthy():
    for seed in range(20):
        assert healthy(Entropy(seed)(1024))


def test_bad_sources_are_not():
    for raw in (bytes(1024), b"\xff" * 1024, b"\x5a" * 1024, bytes(range(256)) * 4, b""):
        assert not healthy(raw)
    for period in (1, 2, 3, 7, 16, 64, 500, 1000):
        assert not healthy((Entropy()(period) * (1024 // period + 1))[:1024]), period
    assert not healthy(Entropy()(1023))


def test_repetition_count():
    for length, fine in ((8, True), (9, False)):
        raw = good()
        raw[300] = raw[300 + length + 1] = 1
        raw[301 : 301 + length] = b"\x77" * length
        assert healthy(bytes(raw)) == fine, length


def test_adaptive_proportion_in_either_half():
    for half in (0, 512):
        for count, fine in ((70, True), (71, False)):
            raw = good()
            for i in range(512):
                if raw[half + i] == 0x77:
                    raw[half + i] = 0x78
            for i in range(count):
                raw[half + 7 * i] = 0x77
            assert healthy(bytes(raw)) == fine, (half, count)


def test_nothing_is_drawn_before_there_is_a_seed():
    drbg = Drbg(Entropy(), FakeStore())
    assert not drbg.ready and drbg.due(NOW)
    with raises(StorageError):
        drbg.generate(1)


def test_the_seed_outlives_sleep():
    store, source = FakeStore(), Entropy()
    first = seeded(store, source).generate(32)
    again = Drbg(source, store)
    assert again.ready and again.generate(32) != first


def test_looking_whether_it_is_ready_costs_no_write():
    store = FakeStore()
    seeded(store)
    commits = store.commits
    assert Drbg(Entropy(), store).ready and store.commits == commits


def test_the_saved_seed_is_replaced_before_it_is_used():
    store = FakeStore()
    seeded(store)
    # Even with a source that has nothing to add, no reboot at any point repeats a draw.
    drawn = set()
    for operations in (0, 1, 2, 2, 1, 0, 9):
        store.cut_after = operations
        try:
            drawn.add(Drbg(lambda size: bytes(size), store).generate(32))
        except PowerCut:
            pass
        store.reboot()
    assert len(drawn) == 3


def test_a_seed_that_cannot_be_replaced_is_not_used():
    store = FakeStore()
    seeded(store)

    def refuse(name, data):
        raise StorageError("worn out")

    store.write = refuse
    drbg = Drbg(Entropy(), store)
    with raises(StorageError):
        drbg.generate(1)


def test_a_corrupt_seed_is_no_seed():
    store = FakeStore()
    seeded(store)
    record = store.durable["drbg"]
    for i in range(len(record)):
        bad = bytearray(record)
        bad[i] ^= 1
        store.durable["drbg"] = bytes(bad)
        assert not Drbg(Entropy(), store).ready
        store.durable["drbg"] = record[:i]
        assert not Drbg(Entropy(), store).ready


def test_it_is_due_daily_and_after_a_clock_set_back():
    store = FakeStore()
    seeded(store)
    drbg = Drbg(Entropy(), store)
    assert not drbg.due(NOW) and not drbg.due(NOW + 86399)
    assert drbg.due(NOW + 86400) and drbg.due(NOW - 1)


def test_a_draw_does_not_put_off_the_next_reseed():
    store, source = FakeStore(), Entropy()
    seeded(store, source)
    Drbg(source, store).generate(1)
    assert Drbg(source, store).due(NOW + 86400)


def test_reseeding_mixes_the_old_seed_in():
    draws = set()
    for seed in (1, 2):
        store, source = FakeStore(), Entropy(seed)
        drbg = seeded(store, source)
        source.broken = Entropy(3)
        assert drbg.reseed(NOW + 86400)
        draws.add(drbg.generate(32))
    assert len(draws) == 2


def test_a_source_gone_bad_ends_all_draws_until_it_is_good_again():
    store, source = FakeStore(), Entropy()
    drbg = seeded(store, source)
    source.broken = lambda size: bytes(size)
    assert not drbg.reseed(NOW + 86400)
    for each in (drbg, Drbg(source, store)):
        assert not each.ready and each.due(NOW + 86400)
        with raises(StorageError):
            each.generate(1)
    source.broken = None
    assert drbg.reseed(NOW + 90000) and drbg.ready and len(drbg.generate(5)) == 5


def test_a_source_that_starts_over_at_every_boot_is_bad():
    store = FakeStore()
    seeded(store, Entropy(1))
    assert not Drbg(Entropy(1), store).reseed(NOW + 86400)


def test_no_record_shows_what_is_drawn():
    store = FakeStore()
    drawn = hexlify(seeded(store).generate(256))
    record = hexlify(store.durable["drbg"])
    for at in range(0, len(drawn) - 8, 2):
        assert drawn[at : at + 8] not in record
