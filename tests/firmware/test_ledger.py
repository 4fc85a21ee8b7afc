"""Each window is paid once, whatever happens to the power and to the slots."""

from gated import MIDNIGHT
from store import FakeStore, PowerCut

from borne_node.errors import StorageError
from borne_node.privacy.ledger import Ledger

W = 900
ONE = (1, 1)
POLICY = b"abcd"


def opened(start=MIDNIGHT):
    store = FakeStore()
    ledger = Ledger(store)
    ledger.audit(start)
    return store, ledger


def test_a_window_is_paid_once():
    _, ledger = opened()
    assert ledger.pay(MIDNIGHT, ONE, POLICY)
    assert not ledger.pay(MIDNIGHT, ONE, POLICY)
    assert ledger.pay(MIDNIGHT + W, ONE, POLICY)
    assert not ledger.pay(MIDNIGHT, ONE, POLICY)


def test_paying_is_durable_when_it_returns():
    store, ledger = opened()
    assert ledger.pay(MIDNIGHT, ONE, POLICY)
    assert not Ledger(store.reboot()).pay(MIDNIGHT, ONE, POLICY)


def test_what_was_spent_is_written_down():
    store, ledger = opened()
    ledger.pay(MIDNIGHT, (1, 2), POLICY)
    (record,) = [data for data in store.durable.values() if POLICY in data]
    assert record[:4] == MIDNIGHT.to_bytes(4, "little") and record[4:8] == b"\1\0\2\0"


def test_without_an_audit_the_unknown_is_spent():
    ledger = Ledger(FakeStore())
    assert not ledger.pay(MIDNIGHT, ONE, POLICY)
    assert ledger.pay(MIDNIGHT + W, ONE, POLICY)


def test_at_the_first_start_only_what_came_before_is_spent():
    _, ledger = opened(MIDNIGHT)
    assert not ledger.pay(MIDNIGHT - W, ONE, POLICY)
    assert ledger.pay(MIDNIGHT, ONE, POLICY)


def test_an_audit_of_clear_slots_changes_nothing():
    store, ledger = opened()
    ledger.pay(MIDNIGHT, ONE, POLICY)
    before = dict(store.durable)
    Ledger(store).audit(MIDNIGHT + 10 * W)
    assert store.durable == before


def test_a_corrupt_slot_counts_as_spent():
    for slot in ("ledger0", "ledger1"):
        for at in range(16):
            store, ledger = opened()
            ledger.pay(MIDNIGHT, ONE, POLICY)
            bad = bytearray(store.durable[slot])
            bad[at] ^= 4
            store.durable[slot] = bytes(bad)
            again = Ledger(store)
            assert not again.pay(MIDNIGHT, ONE, POLICY)
            assert again.pay(MIDNIGHT + W, ONE, POLICY)


def test_a_slot_of_another_form_counts_as_spent():
    from borne_node.sealed import seal

    store, ledger = opened()
    ledger.pay(MIDNIGHT, ONE, POLICY)
    store.durable["ledger1"] = seal(b"12345678")
    assert not Ledger(store).pay(MIDNIGHT, ONE, POLICY)


def test_repair_never_forgets_a_later_window():
    store, ledger = opened()
    ledger.pay(MIDNIGHT + 5 * W, ONE, POLICY)
    ledger.pay(MIDNIGHT + 6 * W, ONE, POLICY)
    store.durable["ledger0"] = b"torn"
    again = Ledger(store)
    again.audit(MIDNIGHT)  # the clock was set back besides
    assert not again.pay(MIDNIGHT + 5 * W, ONE, POLICY)


def test_a_power_cut_at_any_operation_never_pays_twice():
    for cut in range(12):
        store, ledger = opened()
        paid = []
        store.cut_after = cut
        for turn in range(6):
            window = MIDNIGHT + turn * W
            try:
                if ledger.pay(window, ONE, POLICY):
                    paid.append(window)
            except PowerCut:
                store.reboot()
                ledger = Ledger(store)
                ledger.audit(window)
                if ledger.pay(window, ONE, POLICY):
                    paid.append(window)
        assert len(paid) == len(set(paid)) and len(paid) >= 5, (cut, paid)


def test_a_power_cut_during_repair_leaves_it_unclear():
    for cut in range(4):
        store = FakeStore(cut_after=cut)
        try:
            Ledger(store).audit(MIDNIGHT)
        except PowerCut:
            pass
        ledger = Ledger(store.reboot())
        ledger.audit(MIDNIGHT)
        assert not ledger.pay(MIDNIGHT - W, ONE, POLICY) and ledger.pay(MIDNIGHT, ONE, POLICY)


def test_a_store_that_fails_pays_nothing():
    for fault in (StorageError("worn out"), OSError(5)):
        store, ledger = opened()

        def fail(*_, fault=fault):
            raise fault

        store.commit = fail
        assert not ledger.pay(MIDNIGHT, ONE, POLICY)
