from lorawan_network import asked
from lorawan_node import Node, joined, request
from support import raises

from borne_node.errors import LinkDown, LinkRefused, PayloadTooLong
from borne_node.link.lorawan import commands, frames
from borne_node.link.lorawan.air import window

# Receive windows


def test_windows_open_in_time():
    node = joined()
    node.send()
    _, _, end, frequency, sf, bandwidth, _ = node.ether.up[-1]
    (first, symbols, settings), (second, _, late) = node.radio.windows[-2:]
    assert settings == (frequency, sf, bandwidth, True)
    assert late == (869525000, 12, 125000, True)
    # The preamble of 8 symbols starts at 1 s and 2 s after the end; ours are open before and long enough.
    assert end + 1_000_000 - 12_000 <= first <= end + 1_000_000
    assert end + 2_000_000 - 50_000 <= second <= end + 2_000_000 + 131_072
    assert symbols >= 6


def test_a_downlink_is_heard_in_either_window_however_the_clock_errs():
    for rate in range(6):
        for error in (-2, -1, 0, 1, 2):
            for place in (1, 2):
                node = joined()
                node.mac.session.rate = rate
                put = node.network.put

                def shifted(raw, end, *rest, put=put, error=error):
                    put(raw, end + 1000 * error, *rest)

                node.network.put = shifted
                node.answer(port=5, payload=b"ok", window=place)
                got = node.send()
                assert got and got.payload == b"ok", (rate, error, place)


def test_window_rule():
    # 6 of 8 symbols of the preamble lie in the window for every error up to the stated one.
    for sf in range(7, 13):
        for delay_ms in (1000, 5000, 15000):
            for ppm in (10, 100, 1000):
                offset, symbols = window(sf, 125000, delay_ms, ppm)
                symbol = (1 << sf) * 8
                error = 2000 + delay_ms * ppm // 1000
                opened = offset * 1000
                closed = opened + symbols * symbol
                for shift in (-error, 0, error):
                    overlap = min(closed, shift + 8 * symbol) - max(opened, shift)
                    # One millisecond is lost to whole ticks.
                    assert overlap >= 6 * symbol - 1000, (sf, delay_ms, ppm, shift, overlap / symbol)


def test_second_window_stays_shut_after_a_frame_of_ours():
    node = joined()
    node.answer(port=5, payload=b"1")
    node.send()
    before = len(node.radio.windows)
    node.answer(port=5, payload=b"2")
    node.send()
    assert len(node.radio.windows) == before + 1
    assert node.radio.mode == "sleep"


def test_second_window_opens_after_a_frame_of_somebody_else():
    node = joined()
    node.send()
    before = len(node.radio.windows)
    # A short one: a long one would still be on the air when the second window is due.
    put = node.network.put

    def with_noise(raw, end, index, rate, delay_ms, window, rx2):
        put(b"\x60" + bytes(11), end, index, rate, delay_ms, 1, rx2)
        put(raw, end, index, rate, delay_ms, 2, rx2)

    node.network.put = with_noise
    node.answer(port=9, payload=b"mine")
    assert node.send().payload == b"mine"
    assert len(node.radio.windows) == before + 2


def test_a_corrupt_frame_is_no_frame():
    node = joined()
    put = node.network.put

    def corrupt(*what):
        put(*what)
        node.ether.down[-1] = node.ether.down[-1][:4] + (None,)

    node.network.put = corrupt
    node.answer(port=9, payload=b"mine")
    before = len(node.radio.windows)
    assert node.send() is None
    assert len(node.radio.windows) == before + 2


# Uplinks


def test_confirmed_uplinks():
    node = joined()
    node.answer(control=frames.ACK)
    assert node.send(confirmed=True) is None
    assert node.last.confirmed
    with raises(LinkDown) as caught:
        node.send(confirmed=True)
    assert "acknowledge" in str(caught.value)
    # A downlink without ACK does not acknowledge.
    node.answer(port=3, payload=b"x")
    with raises(LinkDown):
        node.send(confirmed=True)
    assert node.mac.received().payload == b"x"


def test_nb_trans_repeats_the_same_frame_until_it_is_answered():
    node = joined()
    node.mac.session.transmissions = 3
    node.send()
    assert [row[0].count for row in node.network.uplinks] == [0, 0, 0]
    assert len({row[1] for row in node.network.uplinks}) == 1
    assert len({row[3] for row in node.network.uplinks}) == 3
    node.network.answers = [None, {"port": 4, "payload": b"stop"}]
    assert node.send().payload == b"stop"
    assert [row[0].count for row in node.network.uplinks] == [0, 0, 0, 1, 1]


def test_confirmed_downlinks_are_acknowledged_at_once():
    node = joined()
    node.answer(port=4, payload=b"cmd", confirmed=True)
    assert node.send().payload == b"cmd"
    assert node.last.port is None and node.last.payload == b""
    assert node.last.control & frames.ACK
    node.send()
    assert not node.last.control & frames.ACK


def test_pending_frames_are_fetched():
    node = joined()
    node.network.answers = [
        {"port": 4, "payload": b"1", "control": frames.PENDING},
        {"port": 4, "payload": b"2", "control": frames.PENDING},
        {"port": 4, "payload": b"3"},
    ]
    assert node.send().payload == b"1"
    assert node.mac.received().payload == b"2"
    assert node.mac.received().payload == b"3"
    assert node.mac.received() is None


def test_payloads_have_the_room_of_the_rate():
    node = joined()
    for rate, room in ((0, 51), (2, 51), (3, 115), (5, 242)):
        node.mac.session.rate = rate
        assert node.mac.room() == room
        with raises(PayloadTooLong):
            node.send(payload=bytes(room + 1))
        node.send(payload=bytes(room), wait_s=3600)
        assert len(node.last.payload) == room


def test_room_counts_what_is_owed():
    node = joined()
    node.mac.session.rate = 0
    node.answer(options=request(commands.DEV_STATUS) + request(commands.RX_TIMING, 1))
    node.send()
    assert node.mac.room() == 51 - 3 - 1
    # A payload that leaves no room for the answers waits until these have gone by themselves.
    node.send(payload=bytes(51))
    data = [row[0] for row in node.network.uplinks[-2:]]
    assert [one.port for one in data] == [0, 10]
    assert [one[0] for one in asked(data[0])] == [commands.RX_TIMING, commands.DEV_STATUS]
    assert len(data[1].payload) == 51


def test_a_question_waits_for_room():
    node = joined()
    node.mac.session.rate = 0
    node.mac.ask_time()
    before = node.network.arrived
    node.send(payload=bytes(51))
    assert node.network.arrived == before + 1
    assert node.last.port == 10 and node.last.options == b""
    assert node.mac.room() == 51
    node.send(wait_s=3600)
    assert asked(node.last) == [(commands.DEVICE_TIME, ())]


def test_ports():
    node = joined()
    for port in (0, 224, 255):
        with raises(ValueError):
            node.mac.send(port, b"")
    for port in (224, 255):
        node.answer(port=port, payload=b"no")
        assert node.send() is None


def test_not_joined():
    with raises(LinkDown):
        Node().mac.send(1, b"")


def test_all_frame_counters_used_up():
    node = joined()
    node.mac.session.up = node.mac.session.reserved = 0xFFFFFFFE
    node.network.counts[node.network.sessions] = 0xFFFFFFFD
    node.send()
    with raises(LinkRefused):
        node.send()
    assert not node.mac.joined
    # The next wake does not take the session up again, but joins.
    node.deep_sleep()
    assert not node.mac.joined
    node.clock.sleep_ms(3_600_000)
    assert node.join()
    node.send()
    assert node.last.count == 0


def test_counters_cross_16_bits():
    node = joined()
    node.mac.session.up = node.mac.session.reserved = 0xFFFE
    node.network.counts[node.network.sessions] = 0xFFFD
    node.network.down = 0xFFFE
    node.mac.session.down = 0xFFFD
    for number in range(4):
        node.answer(port=1, payload=bytes((number,)))
        assert node.send().payload == bytes((number,))
    assert node.last.count == 0x10001
    assert node.mac.session.down == 0x10001
