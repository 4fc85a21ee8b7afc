from aes import aes
from lorawan_node import Node, joined
from store import PowerCut
from support import raises

from borne_node.errors import LinkRefused, StorageError
from borne_node.link.lorawan import regions
from borne_node.link.lorawan.air import NotBefore
from borne_node.link.lorawan.crypto import Key


def wait(node):
    """Sleep until the back-off is over."""
    node.clock.sleep_ms(max(0, node.next_join - node.clock.now()) * 1000)


def test_join_and_send_in_every_region():
    for region in regions.NAMES:
        node = Node(region)
        assert node.join(), region
        node.send(10, b"hello")
        assert node.last.payload == b"hello" and node.last.port == 10 and node.last.count == 0, region
        node.send(11, b"again")
        assert node.last.payload == b"again" and node.last.count == 1, region


def test_second_window():
    node = Node()
    node.network.put = second_window_only(node.network.put)
    assert node.join()


def second_window_only(put):
    def put_late(raw, end, index, rate, delay_ms, window, rx2):
        put(raw, end, index, rate, delay_ms, 2, rx2)

    return put_late


def test_settings_of_the_join_accept():
    node = Node()
    node.network.settings = 2 << 4 | 3
    node.network.delay = 5
    node.network.list = bytes.fromhex("184f84e85684b85e84886684586e8400")
    assert node.join()
    session = node.mac.session
    assert (session.rx1_offset, session.rx2_rate, session.rx_delay) == (2, 3, 5)
    assert session.channels.mask == 0xFF
    node.answer(port=7, payload=b"x", offset=2)
    assert node.send().payload == b"x"
    node.answer(port=7, payload=b"y", window=2)
    assert node.send().payload == b"y"


def test_join_accepts_that_are_refused():
    # RX1 offset 6 does not exist in EU868; data rate 7 is FSK.
    for settings in (6 << 4, 7):
        node = Node()
        node.network.settings = settings
        assert not node.join()
        assert not node.mac.joined


def test_an_accept_signed_with_another_key_is_refused():
    node = Node()
    sign = node.network.accept_bytes
    node.network.accept_bytes = lambda nonce: sign(nonce, Key(aes, bytes(16)))
    assert not node.join()
    assert not node.mac.joined


def test_a_replayed_join_accept_is_refused():
    node = joined()
    node.network.join_nonce = 0
    address = node.mac.session.address
    wait(node)
    assert not node.join()
    # The old session goes on.
    assert node.mac.session.address == address
    node.network.join_nonce = 1
    wait(node)
    assert node.join()


def test_every_attempt_has_a_new_dev_nonce_and_a_channel_of_the_plan():
    node = Node()
    node.network.accepts = False
    for _ in range(40):
        assert not node.join()
        wait(node)
    assert node.network.nonces == set(range(40))
    assert {one[4] for one in node.ether.up} == {7, 8, 9, 10, 11, 12}


def test_us915_takes_the_blocks_in_turn():
    node = Node("US915")
    node.network.accepts = False
    for _ in range(16):
        node.join()
        wait(node)
    narrow = [(one[3] - 902_300_000) // 1_600_000 for one in node.ether.up if one[5] == 125000]
    wide = [(one[3] - 903_000_000) // 1_600_000 for one in node.ether.up if one[5] == 500000]
    assert narrow == wide == list(range(8))


def test_back_off_of_ten_seconds_to_an_hour():
    node = Node()
    node.network.accepts = False
    waits = []
    for _ in range(14):
        node.join()
        waits.append(node.next_join - node.clock.now())
        with raises(NotBefore) as caught:
            node.join()
        assert caught.value.when == node.next_join
        wait(node)
    # The time of the two windows, 6 s, is part of each wait.
    for place, wanted in enumerate((10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 3600)):
        assert wanted * 0.8 - 9 <= waits[place] <= wanted * 1.2 + 1, (waits, wanted)
    assert len({one % 60 for one in waits}) > 5


def test_back_off_survives_deep_sleep():
    node = Node()
    node.network.accepts = False
    for _ in range(5):
        node.join()
        wait(node)
    node.join()
    then = node.next_join
    node.deep_sleep()
    with raises(NotBefore):
        node.join()
    assert node.next_join == then and node.mac._joins[0] == 6


def test_joining_for_days_keeps_to_the_8_7_seconds():
    node = Node()
    node.network.accepts = False
    for _ in range(200):
        node.join()
        wait(node)
    # TS001-1.0.4, chapter 7: 36 s in the first hour, 36 s in the next ten, then 8.7 s in 24 h.
    start = node.ether.up[0][1]
    late = [one for one in node.ether.up if one[1] - start > 12 * 3600 * 1_000_000]
    days = (late[-1][1] - late[0][1]) / 86_400_000_000
    assert sum(one[2] - one[1] for one in late) / days <= 8_700_000 * 1.05
    early = [one[2] - one[1] for one in node.ether.up if one[1] - start <= 3_600_000_000]
    assert sum(early) <= 36_000_000


def test_nodes_that_wake_together_do_not_speak_together():
    starts = set()
    for seed in range(1, 21):
        node = Node(seed=seed * 7919)
        node.join()
        starts.add(node.ether.up[0][1] // 100_000)
    assert len(starts) >= 15


def test_dev_nonces_run_out_once():
    node = Node()
    node.nvs.write("lw_nonce", b"\xff\xff\0\0\xb0\xb0\0\0")
    node.nvs.commit()
    node.network.accepts = False
    node.join()
    assert node.network.nonces == {0xFFFF}
    wait(node)
    with raises(LinkRefused):
        node.join()
    # A new JoinEUI or AppKey is another owner, as provisioning makes one; its counter begins anew.
    node.mac.session.owner = 0xB0B1
    node.network.nonces.clear()
    for _ in range(2):
        wait(node)
        node.join()
    assert node.network.nonces == {0, 1}


def test_an_unreadable_dev_nonce_stops_the_node():
    node = Node()
    node.nvs.write("lw_nonce", b"\x01\0\0\0")
    node.nvs.commit()
    with raises(StorageError):
        node.join()
    assert node.ether.up == []


def test_power_cut_at_every_write_of_a_join():
    cut = 0
    node = Node()
    while True:
        node.nvs.cut_after = cut
        try:
            done = node.join()
        except PowerCut:
            done = False
        if node.nvs.cut_after is not None and node.nvs.cut_after > 0 and done:
            break
        node.power_cut()
        # Whatever the cut left, the node joins and its frames are accepted; the network refuses any repetition.
        if not node.mac.joined:
            assert node.join()
        node.send()
        cut += 1
        node.clock.sleep_ms(3_600_000)
        node = Node() if cut > 20 else rejoin(node)
    assert cut >= 4


def rejoin(node):
    node.mac.session.address = None
    node.mac._joins = (0, 0, 0)
    return node


def test_a_session_of_another_owner_is_not_taken_up():
    node = joined()
    raw = node.nvs.durable["lw_session"]
    for place in (1, 20, len(raw) - 1):
        broken = bytearray(raw)
        broken[place] ^= 1
        node.nvs.durable["lw_session"] = bytes(broken)
        assert not node.boot().joined
    node.nvs.durable["lw_session"] = raw
    assert node.boot().joined


def test_personalization():
    node = Node()
    network, application = bytes(16), bytes(range(16))
    node.mac.personalize(0x26011BDA, network, application)
    node.network.address = 0x26011BDA
    node.network.network, node.network.application = Key(aes, network), Key(aes, application)
    for _ in range(70):
        node.send()
    node.power_cut()
    node.mac.personalize(0x26011BDA, network, application)
    node.send()
    assert node.last.count == 128
